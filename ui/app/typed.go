package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"cipherdeck/crypto/keys"
	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/seal"
	"cipherdeck/crypto/secret"
	"cipherdeck/remote/api"
	"cipherdeck/vault"
	"cipherdeck/vault/account"
)

// defaultRSA is the size of a new RSA key in bits when nothing says another.
const defaultRSA = 3072

// NewIdentity says which identity to make, and the vault for it.
type NewIdentity struct {
	Name    string
	Keyring bool
	Bits    int    // of the RSA key: 3072, 4096 or 8192; 0: 3072, or what a check value says
	Import  string // file of an RSA key that exists, instead of a new one

	Typed  bool      // the identity follows from the name and a typed secret
	Weak   bool      // a secret that is too easy to guess will do
	Check  string    // file of a check value to compare with, besides the one beside the vault
	Server *api.Code // server to ask for check values of the name
}

// Made is a new identity, and what is to be said of how it came to be.
type Made struct {
	Identity
	RSABits  int      `json:"rsa_bits"`
	Typed    bool     `json:"typed"`
	Imported bool     `json:"imported"`
	Compared []string `json:"compared,omitempty"`      // with which check values the secret was found to be the same
	First    bool     `json:"first_use"`               // a typed secret that there was nothing to compare with
	Estimate int      `json:"estimate_bits,omitempty"` // how hard the secret is to guess
	Check    string   `json:"check_file,omitempty"`

	// Easy is set when the passphrase is easy to guess: about how many bits. The
	// vault takes it all the same, for who guesses needs the file and pays for
	// each try.
	Easy int `json:"easy_passphrase_bits,omitempty"`
}

// easyBits is below what a passphrase is called easy: three random words.
const easyBits = 38

// MakeIdentity makes an identity and its vault, which stays open. It asks for
// the vault's passphrase and, apart from that, for a typed secret. Whatever goes
// wrong, and when ctx ends, there is no vault then.
//
// Errors wrap secret.ErrWeak, secret.ErrOther, secret.ErrCheck, keys.ErrBits or
// keys.ErrRSA besides those of InitVault.
func (a *App) MakeIdentity(ctx context.Context, n NewIdentity, sink progress.Sink) (Made, error) {
	if err := n.check(); err != nil {
		return Made{}, err
	}
	if _, err := os.Lstat(a.vaultPath()); err == nil {
		return Made{}, fmt.Errorf("%w: %s", vault.ErrExists, a.vaultPath())
	}
	made := Made{Typed: n.Typed, Imported: n.Import != ""}
	work, err := a.plan(ctx, n, &made)
	if err != nil {
		return Made{}, err
	}
	prompt := "New passphrase"
	if n.Typed { // two things were asked for then
		prompt = "New passphrase of the vault"
	}
	pass, err := a.Ask(ctx, prompt, true)
	if err != nil {
		return Made{}, err
	}
	defer clear(pass)
	if err := vault.CheckPassphrase(pass); err != nil { // before the keys, which may take a minute
		return Made{}, err
	}
	if bits := int(math.Round(secret.Measure(pass, n.Name).Bits)); bits < easyBits {
		made.Easy = max(1, bits)
	}
	acc, err := patiently(ctx, sink, made.RSABits, work)
	if err != nil {
		return Made{}, err
	}
	if made.Identity, err = a.createVault(acc, pass, n.Keyring); err != nil || !n.Typed {
		return made, err
	}
	made.Check = a.checkPath(made.Name)
	if _, err := os.Lstat(made.Check); err == nil {
		return made, nil // it was compared
	}
	if err := writeCheck(made.Check, acc.Check, false); err != nil {
		return made, fmt.Errorf("the vault was made, but not the file of its check value: %w", err)
	}
	return made, nil
}

// check refuses what does not go together, before anything is asked.
func (n NewIdentity) check() error {
	switch {
	case n.Import != "" && (n.Typed || n.Bits != 0):
		return fmt.Errorf("%w: an imported RSA key has its own size, and follows from no secret: leave out --rsa and --typed", ErrInput)
	case !n.Typed && (n.Weak || n.Check != "" || n.Server != nil):
		return fmt.Errorf("%w: --weak, --check and --server are for --typed", ErrInput)
	case n.Bits == 2048:
		return fmt.Errorf("%w: 2048 bits are too few for a new key that files of today are kept under for years; a key that exists already can be taken along with --import-rsa", keys.ErrBits)
	case n.Bits != 0 && n.Bits != 3072 && n.Bits != 4096 && n.Bits != 8192:
		return fmt.Errorf("%w: %d bits, choose 3072, 4096 or 8192", keys.ErrBits, n.Bits)
	}
	return nil
}

// making is the slow part: it makes the keys.
type making func(context.Context) (vault.Account, error)

// plan does everything that can be refused quickly, and notes in made what is
// known so far.
func (a *App) plan(ctx context.Context, n NewIdentity, made *Made) (making, error) {
	made.RSABits = n.Bits
	if n.Bits == 0 {
		made.RSABits = defaultRSA
	}
	switch {
	case n.Typed:
		return a.planTyped(ctx, n, made)
	case n.Import != "":
		k, err := privateKeyFile(n.Import)
		if err != nil {
			return nil, err
		}
		made.RSABits = k.N.BitLen()
		return func(context.Context) (vault.Account, error) { return account.NewImported(rand.Reader, n.Name, k) }, nil
	}
	return func(ctx context.Context) (vault.Account, error) {
		return account.New(ctx, rand.Reader, n.Name, made.RSABits)
	}, nil
}

// planTyped asks for the secret, refuses a weak one, and compares the seed that
// it gives with what is known of the name.
func (a *App) planTyped(ctx context.Context, n NewIdentity, made *Made) (making, error) {
	name, err := account.TypedName(n.Name)
	if err != nil {
		return nil, err
	}
	typed, err := a.AskNew(ctx, "Secret of the identity "+name)
	if err != nil {
		return nil, err
	}
	defer clear(typed)
	made.Estimate = int(math.Round(secret.Measure(typed, name).Bits))
	derive := secret.Derive
	if n.Weak {
		derive = secret.DeriveWeak
	}
	seed, err := derive(name, typed)
	if err != nil {
		return nil, err
	}
	pins, err := a.pins(ctx, name, seed, n)
	if err != nil {
		return nil, err
	}
	made.First = len(pins) == 0
	for _, p := range pins {
		bits := p.check.Public.RSA.N.BitLen()
		if n.Bits != 0 && n.Bits != bits {
			return nil, fmt.Errorf("%w: --rsa %d, but the identity of this name and secret has an RSA key of %d bits, by %s", ErrInput, n.Bits, bits, p.from)
		}
		made.RSABits = bits
		made.Compared = append(made.Compared, p.from)
	}
	return func(ctx context.Context) (vault.Account, error) {
		acc, err := account.NewTyped(ctx, name, seed, made.RSABits)
		for _, p := range pins {
			if err == nil {
				err = sameKeys(acc, p)
			}
		}
		return acc, err
	}, nil
}

// sameKeys compares the RSA key, too, when there is one at last.
func sameKeys(acc vault.Account, p pin) error {
	c, err := secret.OpenCheck(acc.Check)
	if err == nil && !c.Public.RSA.Equal(p.check.Public.RSA) {
		err = fmt.Errorf("%w: %s has another RSA key", secret.ErrOther, p.from)
	}
	return err
}

// pin is a check value that the secret was found to match.
type pin struct {
	from  string // where it was, for a person
	check secret.Check
}

// pins compares the seed with every check value that can be had. Errors wrap
// secret.ErrOther when one is of another secret.
func (a *App) pins(ctx context.Context, name string, seed keys.Seed, n NewIdentity) ([]pin, error) {
	var out []pin
	beside := a.checkPath(name)
	for _, path := range []string{beside, n.Check} {
		if path == "" {
			continue
		}
		c, err := readCheck(path)
		if path == beside && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = c.Match(name, seed)
		}
		if err != nil {
			return nil, fmt.Errorf("compare with %s: %w", path, err)
		}
		out = append(out, pin{path, c})
	}
	if n.Server == nil {
		return out, nil
	}
	p, err := serverPin(ctx, *n.Server, name, seed, a.cfg.Now)
	if err == nil && p != nil {
		out = append(out, *p)
	}
	return out, err
}

// serverPin finds the check value among those that a server holds for the name.
// Others may use the name there, too: one that matches is enough. nil means that
// it holds none.
func serverPin(ctx context.Context, code api.Code, name string, seed keys.Seed, now func() time.Time) (*pin, error) {
	c := api.New(api.Config{Addr: code.Addr, Pin: code.Pin, Now: now})
	defer c.Close()
	all, err := c.Checks(ctx, name)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	for _, k := range all {
		if err = k.Match(name, seed); err == nil {
			return &pin{"server " + code.Addr, k}, nil
		}
	}
	return nil, fmt.Errorf("compare with the server %s, which holds %d for this name: %w; if this is the first use, somebody else has the name there: take another name, or leave out --server", code.Addr, len(all), err)
}

// The time that a key of 8192 bits takes is known as a distribution only. Two
// primes are searched for, each with an even chance at every step, so the time is
// a gamma distribution of shape 2: with the mean of 33 s that was measured on a
// quiet core (7 to 71 s, 6 keys), half take under 28 s and one in twenty over 78 s.
const (
	slowRSA     = 8192
	slowRSATime = "on a quiet core half take under 30 s, one in twenty over 80 s"
)

// patiently makes the keys. While a slow one is searched for, it tells sink that
// time goes by; a share of the work would be made up.
func patiently(ctx context.Context, sink progress.Sink, bits int, work making) (vault.Account, error) {
	if bits < slowRSA {
		return work(ctx)
	}
	sink.Phase(fmt.Sprintf("RSA key of %d bits (%s; ctrl-C leaves nothing)", bits, slowRSATime), 0, progress.Elapsed)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				sink.Add(0)
			}
		}
	}()
	return work(ctx)
}

// checkPath is the file of the check value of an identity, beside the vault. It
// is public, and outlives the vault's file.
func (a *App) checkPath(name string) string { return filepath.Join(a.cfg.Home, name+".check") }

func readCheck(path string) (secret.Check, error) {
	b, err := readSmall(path, secret.MaxCheck)
	if err != nil {
		return secret.Check{}, err
	}
	return secret.OpenCheck(b)
}

func writeCheck(path string, raw []byte, force bool) error {
	return seal.WriteFile(path, force, func(w io.Writer) error {
		_, err := w.Write(raw)
		return err
	})
}

// readSmall reads a file that has at most limit bytes. Errors wrap ErrInput.
func readSmall(path string, limit int64) ([]byte, error) {
	b, err := smallFile(path, limit)
	if err == nil && int64(len(b)) > limit {
		clear(b)
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrInput, path, limit)
	}
	return b, err
}
