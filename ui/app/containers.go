package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"cipherdeck/crypto/agefile"
	"cipherdeck/crypto/archive"
	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/keys"
	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/seal"
)

// VerifyContainer reads a container to its end and writes nothing; "-" is in.
func (a *App) VerifyContainer(ctx context.Context, path string, in io.Reader, passphrase []byte, sink progress.Sink) (seal.Report, error) {
	who, err := a.openers(ctx, Opener{Passphrase: passphrase})
	if err != nil {
		return seal.Report{}, err
	}
	if path == "-" {
		return seal.Verify(ctx, in, who, seal.FileOptions{Sink: sink})
	}
	return seal.VerifyFile(ctx, path, who, seal.FileOptions{Sink: sink})
}

// ListContainer lists the folder that a container holds. Only its index is
// read.
func (a *App) ListContainer(ctx context.Context, path string, passphrase []byte) ([]archive.Entry, error) {
	who, err := a.openers(ctx, Opener{Passphrase: passphrase})
	if err != nil {
		return nil, err
	}
	f, st, err := seal.OpenRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, _, err := seal.OpenArchive(f, st.Size(), who...)
	if err != nil {
		return nil, err
	}
	var out []archive.Entry
	for e, err := range r.Entries() {
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// OpenMember restores one file or folder of a container that holds a folder.
func (a *App) OpenMember(ctx context.Context, spec SealSpec, member string, sink progress.Sink) (Sealed, error) {
	who, err := a.openers(ctx, Opener{Passphrase: spec.Passphrase})
	if err != nil {
		return Sealed{}, err
	}
	e, err := seal.ExtractMember(ctx, spec.Out, spec.In, member, who, seal.FileOptions{Force: spec.Force, Sink: sink})
	return Sealed{Out: spec.Out, Name: e.Path, Size: e.Size, Dir: e.Kind == archive.Dir}, err
}

// AddRecipients gives a container to more people, keys or a project. Its
// payload is not touched.
func (a *App) AddRecipients(ctx context.Context, path string, w Audience) (seal.Change, error) {
	if w.empty() {
		return seal.Change{}, fmt.Errorf("%w: say who: user ids, --to-key or --project", ErrInput)
	}
	who, err := a.openers(ctx, Opener{})
	if err != nil {
		return seal.Change{}, err
	}
	add, err := a.audience(ctx, w)
	if err != nil {
		return seal.Change{}, err
	}
	return seal.AddRecipients(ctx, path, who, add, seal.FileOptions{})
}

// RemoveRecipients takes the way into a container away from those whom w
// names: a new header, the payload as it was. Who has the old file or its key
// can still open it; only sealing the content anew ends that.
func (a *App) RemoveRecipients(ctx context.Context, path string, w Audience) (seal.Change, error) {
	if w.empty() {
		return seal.Change{}, fmt.Errorf("%w: say who: user ids, --to-key or --project", ErrInput)
	}
	who, err := a.openers(ctx, Opener{})
	if err != nil {
		return seal.Change{}, err
	}
	drop, err := a.named(w)
	if err != nil {
		return seal.Change{}, err
	}
	return seal.RemoveRecipients(ctx, path, who, drop, seal.FileOptions{})
}

// Reseal encrypts the content of a container anew, with a new file key, for
// the vault's owner and w. Only this ends what somebody could still do who was
// a recipient before.
func (a *App) Reseal(ctx context.Context, path string, w Audience, sink progress.Sink) (seal.Change, error) {
	who, err := a.openers(ctx, Opener{})
	if err != nil {
		return seal.Change{}, err
	}
	to, err := a.withOwner(ctx, w)
	if err != nil {
		return seal.Change{}, err
	}
	return seal.Reseal(ctx, path, who, to, seal.FileOptions{Sink: sink})
}

// publicKeys are those of a person whom the vault knows, or of its owner.
func (a *App) publicKeys(u chain.UID, unverified bool) (keys.Public, error) {
	_, me, err := a.opened()
	if err != nil {
		return keys.Public{}, err
	}
	if u == me.Account.UID {
		return me.Pair.Public(), nil
	}
	acc, err := a.verified(u, unverified)
	if err != nil {
		return keys.Public{}, err
	}
	return keys.Public{RSA: acc.RSA, XWing: acc.XWing}, nil
}

// AgeSpec says what to convert from or to the format of age.
type AgeSpec struct {
	In, Out    string
	To         []string // age recipients, for an export
	Keys       string   // file of age or SSH private keys, for an import
	Passphrase []byte   // of the container, for an export; of the key file, for an import
	Armor      bool
	Force      bool
}

// ExportAge writes the content of a container as an age file, which protects
// it no better than its recipients do.
func (a *App) ExportAge(ctx context.Context, spec AgeSpec, sink progress.Sink) error {
	who, err := a.openers(ctx, Opener{Passphrase: spec.Passphrase})
	if err != nil {
		return err
	}
	to, err := agefile.ReadRecipients(strings.NewReader(strings.Join(spec.To, "\n")))
	if err != nil {
		return err
	}
	if len(to) == 0 {
		return fmt.Errorf("%w: say for whom: --to age1…", ErrInput)
	}
	return agefile.ExportFile(ctx, spec.Out, spec.In, who, to, agefile.Options{Armor: spec.Armor, Force: spec.Force, Sink: sink})
}

// ImportAge seals the content of an age file for the vault's owner.
func (a *App) ImportAge(ctx context.Context, spec AgeSpec, sink progress.Sink) error {
	_, me, err := a.opened()
	if err != nil {
		return err
	}
	f, err := os.Open(spec.Keys)
	if err != nil {
		return err
	}
	defer f.Close()
	ids, err := agefile.ReadIdentities(f, spec.Passphrase)
	if err != nil {
		return fmt.Errorf("%s: %w", spec.Keys, err)
	}
	return agefile.ImportFile(ctx, spec.Out, spec.In, ids, []seal.Recipient{seal.Hybrid(me.Pair.Public())}, seal.FileOptions{Force: spec.Force, Sink: sink})
}
