package app

import (
	"context"
	"fmt"
	"io"
	"os"

	"cipherdeck/crypto/keys"
	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/seal"
)

// Sealed says what was sealed or opened.
type Sealed struct {
	Out  string `json:"out"`
	Name string `json:"name,omitempty"`
	Size int64  `json:"size"` // of the content; 0 for a folder
	Dir  bool   `json:"folder,omitempty"`
	To   int    `json:"recipients,omitempty"`

	// WeakerTo counts recipients that a quantum computer will open.
	WeakerTo int `json:"not_post_quantum,omitempty"`
}

// SealSpec says what to seal for whom. "-" is standard input or output.
type SealSpec struct {
	In, Out    string
	For        Audience // besides the owner of the vault
	Passphrase []byte   // to seal: instead of any recipient
	KeyFile    string   // to open: RSA private key in PEM
	Force      bool
	Pad        bool // hide the length, when sealing a file or folder
	CBC        bool // AES-256-CBC with HMAC, for readers who must have CBC
	NoProfile  bool // a table by its name that is not read as one
}

// Seal encrypts a file: for the vault's owner and the people in spec, or under
// a passphrase and then without a vault.
func (a *App) Seal(ctx context.Context, spec SealSpec, in io.Reader, out io.Writer, sink progress.Sink) (Sealed, error) {
	to, err := a.recipients(ctx, spec)
	if err != nil {
		return Sealed{}, err
	}
	done := Sealed{Out: spec.Out, To: len(to), WeakerTo: spec.For.weaker()}
	if (spec.In == "-" || spec.Out == "-") && (spec.Pad || spec.CBC) {
		return done, fmt.Errorf("%w: --pad and --cbc need a file or folder to read and a file to write, not a pipe", ErrInput)
	}
	m := seal.Meta{}
	if !spec.NoProfile && spec.In != "-" {
		if m.Profile, err = profileFor(ctx, spec.In); err != nil {
			return done, err
		}
	}
	if spec.In == "-" || spec.Out == "-" {
		return done, sealStream(ctx, spec, in, out, m, to, sink)
	}
	if err := seal.SealFile(ctx, spec.Out, spec.In, m, to, seal.FileOptions{Force: spec.Force, Pad: spec.Pad, CBC: spec.CBC, Sink: sink}); err != nil {
		return done, err
	}
	st, err := os.Stat(spec.In)
	if err == nil {
		done.Name = st.Name()
		done.measure(st)
	}
	return done, err
}

// measure notes the size of a file, or that it is a folder.
func (s *Sealed) measure(st os.FileInfo) {
	if s.Dir = st.IsDir(); !s.Dir {
		s.Size = st.Size()
	}
}

// sealStream seals what comes from a pipe or goes into one. The facts come first,
// so a table from a pipe has no profile.
func sealStream(ctx context.Context, spec SealSpec, in io.Reader, out io.Writer, m seal.Meta, to []seal.Recipient, sink progress.Sink) error {
	m.Size = seal.SizeUnknown
	if spec.In != "-" {
		f, err := os.Open(spec.In)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	if spec.Out != "-" {
		return seal.WriteFile(spec.Out, spec.Force, func(w io.Writer) error {
			return seal.Seal(ctx, w, in, m, to, sink)
		})
	}
	return seal.Seal(ctx, out, in, m, to, sink)
}

func (a *App) recipients(ctx context.Context, spec SealSpec) ([]seal.Recipient, error) {
	if spec.Passphrase == nil {
		return a.withOwner(ctx, spec.For)
	}
	if !spec.For.empty() || spec.For.Wrap != "" || spec.For.Hidden {
		return nil, fmt.Errorf("%w: a passphrase must be the only recipient; leave out --to, --to-key, --project, --wrap and --hidden", ErrInput)
	}
	return []seal.Recipient{seal.Passphrase(spec.Passphrase, keys.DefaultArgon2id())}, nil
}

// Unseal decrypts a container with the vault's identity, or with a passphrase
// and then without a vault. A file appears under its name only when its last
// byte was authenticated; standard output gets authenticated chunks and the
// error tells when the end was not good.
func (a *App) Unseal(ctx context.Context, spec SealSpec, in io.Reader, out io.Writer, sink progress.Sink) (Sealed, error) {
	who, err := a.openers(ctx, Opener{spec.Passphrase, spec.KeyFile})
	if err != nil {
		return Sealed{}, err
	}
	if spec.In != "-" && spec.Out != "-" {
		m, err := seal.OpenFile(ctx, spec.Out, spec.In, who, seal.FileOptions{Force: spec.Force, Sink: sink})
		if err != nil {
			return Sealed{}, err
		}
		return opened(spec.Out, m)
	}
	return a.openStream(ctx, spec, in, out, who, sink)
}

// opened says what was opened as out.
func opened(out string, m seal.Meta) (Sealed, error) {
	done := Sealed{Out: out, Name: m.Name}
	st, err := os.Stat(out)
	if err == nil {
		done.measure(st)
	}
	return done, err
}

func (a *App) openStream(ctx context.Context, spec SealSpec, in io.Reader, out io.Writer, who []seal.Identity, sink progress.Sink) (Sealed, error) {
	if spec.In != "-" {
		f, err := os.Open(spec.In)
		if err != nil {
			return Sealed{}, err
		}
		defer f.Close()
		in = f
	}
	if spec.Out != "-" {
		m, err := seal.OpenStream(ctx, spec.Out, in, who, seal.FileOptions{Force: spec.Force, Sink: sink})
		if err != nil {
			return Sealed{}, err
		}
		return opened(spec.Out, m)
	}
	r, err := seal.Open(in, who...)
	if err != nil {
		return Sealed{}, err
	}
	done := Sealed{Out: spec.Out, Name: r.Meta.Name}
	done.Size, err = r.Copy(ctx, out, sink)
	return done, err
}

// InspectFile reads the header of a container, without any key; "-" is in.
func InspectFile(path string, in io.Reader) (seal.Info, error) {
	if path == "-" {
		return seal.Inspect(in)
	}
	f, _, err := seal.OpenRegular(path)
	if err != nil {
		return seal.Info{}, err
	}
	defer f.Close()
	return seal.Inspect(f)
}
