package action

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/progress"
	"cipherdeck/remote/api"
	"cipherdeck/ui/app"
)

func initAction() *Action {
	return &Action{ID: "vault.init", Title: "Create a vault", Keys: []string{"n"}, Screen: "unlock", Run: runInit,
		Help: "Makes a new identity (RSA, X-Wing, Ed25519) and a vault for it, opened by a passphrase and, with --keyring, by a random key in the OS keyring. Any program of the same user can read that entry while the keyring is unlocked. The passphrase is asked on the terminal, or comes from --passphrase-fd or CIPHERDECK_PASSPHRASE. " +
			"Keys are drawn at random, unless --typed: then they follow from NAME and a secret, asked apart or from --new-fd, and the same two make the same identity on any machine. Whoever knows your public key can try secrets for ever, so eight random words (cipherdeck words) are the least that is good; and all your machines are one device. " +
			"A mistyped secret would be another identity, so it is compared with NAME.check beside the vault, --check and --server; when it differs, nothing is made. An RSA key of 8192 bits takes half a minute, or two; ctrl-C leaves nothing.",
		Args: []Arg{{Name: "name", Help: "your name, as teammates will see it", Need: true},
			{Name: "keyring", Flag: "keyring", Switch: true, Help: "let the OS keyring open it too"},
			{Name: "rsa", Flag: "rsa", Help: "bits of the RSA key: 3072 (unless a check value says another), 4096 or 8192"},
			{Name: "import-rsa", Flag: "import-rsa", Help: "file of an RSA key that you must keep using: PEM, no passphrase, 2048 bits or more"},
			{Name: "typed", Flag: "typed", Switch: true, Help: "the identity follows from NAME and a secret"},
			{Name: "weak", Flag: "weak", Switch: true, Help: "take a secret that is too easy to guess"},
			{Name: "check", Flag: "check", Help: "file of the check value of the first use"},
			{Name: "code", Flag: "server", Help: "pairing code of a server that may have the check value"}},
		Can: func(f app.Facts) (bool, string) { return !f.HasVault, "there is a vault already" }}
}

func identityActions() []*Action {
	return []*Action{
		{ID: "account.show", Title: "Show your identity and its keys", Vault: true, Run: runAccountShow,
			Help: "The words stand for the user id and are the same wherever this identity is: compare them after a typed secret on a new machine. To meet another person use: people add."},
		{ID: "account.check", Title: "Write the check value of a typed secret again", Vault: true, Run: runAccountCheck,
			Help: "The check value is your public keys, signed by them. With it the next vault init --typed notices a mistyped secret. It is public, but who has it can try secrets against it.",
			Args: []Arg{{Name: "out", Flag: "output", Short: "o", Help: "file to write; default: NAME.check beside the vault"},
				{Name: "force", Flag: "force", Switch: true, Help: "replace the output if it exists"},
				{Name: "server", Flag: "server", Help: "name of a pinned server to give it to as well"}}},
	}
}

func runInit(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
	n := app.NewIdentity{Name: args.Get("name"), Keyring: args.Has("keyring"), Import: args.Get("import-rsa"),
		Typed: args.Has("typed"), Weak: args.Has("weak"), Check: args.Get("check")}
	if err := chain.CheckName(n.Name); err != nil && !n.Typed { // that one is brought into form first
		return Result{}, fmt.Errorf("%w: %w", app.ErrInput, err)
	}
	if v := args.Get("rsa"); v != "" {
		bits, err := strconv.Atoi(v)
		if err != nil || bits == 0 {
			return Result{}, fmt.Errorf("%w: --rsa %q: want a number of bits", app.ErrInput, v)
		}
		n.Bits = bits
	}
	if v := args.Get("code"); v != "" {
		code, err := api.ParseCode(v)
		if err != nil {
			return Result{}, err
		}
		n.Server = &code
	}
	m, err := a.MakeIdentity(ctx, n, sink)
	if err != nil {
		return Result{}, err
	}
	r, err := identity(m.Identity, nil)
	r.Data = m
	r.Text = append(r.Text, madeLines(m)...)
	return r, err
}

func madeLines(m app.Made) []string {
	lines := []string{fmt.Sprintf("rsa    %d bits", m.RSABits)}
	if m.Easy > 0 {
		lines = append(lines, fmt.Sprintf("! the passphrase is easy to guess (about %d bits): cipherdeck words, then vault passphrase", m.Easy))
	}
	if m.Imported {
		return append(lines, "! the RSA key is the one you gave: nothing in the world derives it again; keep a copy of the vault and a recovery code (vault recovery)")
	}
	if !m.Typed {
		return append(lines, "next   print a way in for when the passphrase is forgotten: cipherdeck vault recovery")
	}
	lines = append(lines, fmt.Sprintf("secret about %d bits to guess", m.Estimate), "check  "+m.Check)
	if m.First {
		return append(lines, "! first use here: not compared with anything; if there is an older machine, compare the words of account show")
	}
	return append(lines, "✓ the same secret as in "+strings.Join(m.Compared, ", "))
}

func runAccountShow(_ context.Context, a *app.App, _ Args, _ progress.Sink) (Result, error) {
	k, err := a.KeyFacts()
	if err != nil {
		return Result{}, err
	}
	from := "drawn at random"
	switch {
	case k.Typed:
		from = "follow from the name and a typed secret"
	case k.Imported:
		from = "RSA imported: nothing but this vault and its copies leads to it; the others drawn at random"
	}
	return Result{Data: k, Text: []string{
		"name    " + k.Name,
		"uid     " + k.UID,
		"words   " + k.Words,
		fmt.Sprintf("rsa     %d bits, id %s", k.RSABits, k.RSA),
		"x-wing  ML-KEM-768 and X25519, id " + k.XWing,
		"ed25519 255 bits, id " + k.Device,
		"keys    " + from,
	}}, nil
}

func runAccountCheck(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	path, err := a.WriteCheck(args.Get("out"), args.Has("force"))
	if err != nil {
		return Result{}, err
	}
	data := map[string]string{"out": path}
	r := Result{Data: data, Text: []string{"check value in " + path}}
	if s := args.Get("server"); s != "" {
		if err := a.PublishCheck(ctx, s); err != nil {
			return r, err
		}
		data["server"] = s
		r.Text = append(r.Text, "given to server "+s)
	}
	return r, nil
}
