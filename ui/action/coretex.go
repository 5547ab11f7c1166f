package action

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"cipherdeck/crypto/coretex"
	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
	"cipherdeck/vault/secret"
)

func coretexActions() []*Action {
	out := Arg{Name: "out", Flag: "output", Short: "o", Help: "file to write", Need: true}
	force := Arg{Name: "force", Flag: "force", Switch: true, Help: "replace the output if it exists"}
	bits := Arg{Name: "bits", Flag: "bits", Default: "2048", Help: "size of the RSA key that a secret gives: 2048, 3072 or 4096"}
	key := Arg{Name: "key", Flag: "key", Help: "file of the Coretex private key: PEM, or base64 of it as in CTX_PRIVATE_KEY"}
	ask := Arg{Name: "ask", Flag: "ask", Switch: true, Help: "derive that key from the Coretex secret, which is asked twice or comes from --new-fd"}
	return []*Action{
		{ID: "coretex.key", Title: "Derive the RSA key that Coretex makes of a secret", Args: []Arg{out, bits, force}, Run: runCoretexKey,
			Help: "Asks for the Coretex secret, or reads it from --new-fd, and writes the private key (PKCS#8, PEM, mode 0600). A mistyped secret gives another key and no error: compare the fingerprint with your public key. Coretex's derivation has no salt and is fast, so whoever has that public key can guess the secret: use the key to take your data along, not for anything new."},
		{ID: "coretex.seal", Title: "Seal a file that Coretex encrypted for yourself", Vault: true, Run: runCoretexSeal,
			Help: "Decrypts AES-256-CBC of Coretex and writes a container; the plaintext is never on disk. The file's format cannot detect a wrong key, changed bytes or a missing end, and nothing done here can make up for that. --project-key is the field of the Coretex secret (opened with --key or --ask), or without these the key itself, 32 bytes or base64.",
			Args: []Arg{out, {Name: "in", Help: "file that Coretex encrypted", Need: true}, {Name: "project-key", Flag: "project-key", Need: true, Help: "file of the project's key"}, key, ask, bits, force}},
		{ID: "coretex.secret", Title: "Take a secret of Coretex into the vault", Vault: true, Run: runCoretexSecret,
			Help: "Opens fields that Coretex encrypted with your RSA key (base64, as its server gives them) and stores them as a secret: see help secret put for kinds and their fields. Nothing is stored unless every field opens.",
			Args: []Arg{{Name: "name", Help: "name of the secret", Need: true}, {Name: "kind", Flag: "kind", Need: true, Help: "git, aws, login, api, note or file"},
				{Name: "field", Flag: "field", Many: true, Need: true, Help: "FIELD=FILE that has the encrypted value; FILE - is standard input"},
				{Name: "set", Flag: "set", Many: true, Help: "FIELD=VALUE, for what is no secret"}, key, ask, bits}},
	}
}

func coretexKey(args Args) (app.CoretexKey, error) {
	n, err := strconv.Atoi(args.Get("bits"))
	if err != nil {
		return app.CoretexKey{}, fmt.Errorf("%w: --bits %q: want a number", app.ErrInput, args.Get("bits"))
	}
	return app.CoretexKey{File: args.Get("key"), Ask: args.Has("ask"), Bits: n}, nil
}

func runCoretexKey(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	k, err := coretexKey(args)
	if err != nil {
		return Result{}, err
	}
	p, err := a.WriteCoretexKey(ctx, args.Get("out"), k.Bits, args.Has("force"))
	if err != nil {
		return Result{}, err
	}
	return Result{Data: p, Text: []string{"wrote " + p.Out, fmt.Sprintf("RSA %d bits, SHA-256 of the public key (SubjectPublicKeyInfo):", p.Bits), "  " + p.SHA256}}, nil
}

func runCoretexSeal(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
	k, err := coretexKey(args)
	if err != nil {
		return Result{}, err
	}
	f := app.CoretexFile{In: args.Get("in"), Out: args.Get("out"), Key: k, Project: args.Get("project-key"), Force: args.Has("force")}
	res, err := a.SealCoretex(ctx, f, sink)
	if err != nil {
		return Result{}, err
	}
	r := Result{
		Data: map[string]any{"out": f.Out, "size": res.Size, "padding_removed": res.Removed, "zip": res.Zip, "warning": coretex.Warning},
		Text: []string{fmt.Sprintf("sealed %s: %d bytes, %d bytes of padding removed", f.Out, res.Size, res.Removed)},
	}
	if res.Zip {
		r.Text = append(r.Text, "it begins as a ZIP file, as samples of Coretex do")
	} else {
		r.Text = append(r.Text, "! it does not begin as a ZIP file, and samples of Coretex do: if this is one, the key is wrong")
	}
	r.Text = append(r.Text, "! "+coretex.Warning)
	return r, nil
}

func runCoretexSecret(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	k, err := coretexKey(args)
	if err != nil {
		return Result{}, err
	}
	s := secret.Secret{Kind: secret.Kind(args.Get("kind")), Fields: map[string][]byte{}}
	if _, _, ok := s.Kind.Shape(); !ok {
		return Result{}, fmt.Errorf("%w: kind %q; see help secret put", secret.ErrInvalid, args.Get("kind"))
	}
	if err := eachPair(args.All("set"), "--set wants FIELD=VALUE", func(f, v string) error {
		s.Fields[f] = []byte(v)
		return nil
	}); err != nil {
		return Result{}, err
	}
	sealed := map[string][]byte{}
	if err := eachPair(args.All("field"), "--field wants FIELD=FILE", func(f, path string) error {
		if _, twice := sealed[f]; twice || s.Fields[f] != nil {
			return fmt.Errorf("%w: field %s is given twice", app.ErrInput, f)
		}
		sealed[f], err = sealedField(path)
		return err
	}); err != nil {
		return Result{}, err
	}
	if err := a.PutCoretexSecret(ctx, args.Get("name"), s, k, sealed); err != nil {
		return Result{}, err
	}
	return Result{Data: map[string]string{"name": args.Get("name"), "kind": args.Get("kind")},
		Text: []string{"stored " + args.Get("name"), "! renew it where it is used: who guesses the Coretex secret has it, too"}}, nil
}

// eachPair calls f with both halves of NAME=VALUE.
func eachPair(words []string, want string, f func(k, v string) error) error {
	for _, w := range words {
		k, v, ok := strings.Cut(w, "=")
		if !ok {
			return fmt.Errorf("%w: %s", app.ErrInput, want)
		}
		if err := f(k, v); err != nil {
			return err
		}
	}
	return nil
}

// maxSealedField is more than base64 of an RSA-4096 ciphertext.
const maxSealedField = 4 << 10

// sealedField reads an encrypted field from a file, or from standard input.
func sealedField(path string) ([]byte, error) {
	in, _ := stdio()
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxSealedField+1))
	if err == nil && len(b) > maxSealedField {
		err = fmt.Errorf("%w: %s has more than %d bytes", coretex.ErrSecret, path, maxSealedField)
	}
	return b, err
}
