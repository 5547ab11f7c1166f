package app

import (
	"context"
	"crypto/rsa"
	"fmt"
	"io"
	"os"
	"slices"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/keys"
	"cipherdeck/crypto/seal"
	"cipherdeck/vault"
	"cipherdeck/vault/project"
)

// Audience is for whom a container is sealed, besides the owner of the vault.
type Audience struct {
	People     []chain.UID
	Unverified bool     // people whose words were not compared will do
	Wrap       string   // how the owner and people are addressed: hybrid (also ""), x-wing, rsa
	Hidden     bool     // no key ids in the header; hybrid only
	KeyFiles   []string // RSA public keys or certificates in PEM
	Project    string   // all who can read it, by the key of its current epoch
}

func (w Audience) empty() bool {
	return len(w.People) == 0 && len(w.KeyFiles) == 0 && w.Project == ""
}

// weaker counts the recipients of w, the owner among them, that a quantum
// computer will open.
func (w Audience) weaker() int {
	n := len(w.KeyFiles)
	if w.Wrap == "rsa" {
		n += 1 + len(w.People)
	}
	return n
}

// address chooses how to address people who have both keys.
func (w Audience) address() (func(keys.Public) seal.Recipient, error) {
	switch {
	case w.Hidden && w.Wrap != "" && w.Wrap != "hybrid":
		return nil, fmt.Errorf("%w: --hidden is for --wrap hybrid only", ErrInput)
	case w.Hidden && (len(w.KeyFiles) > 0 || w.Project != ""):
		return nil, fmt.Errorf("%w: --hidden does not go with --to-key and --project, which show in the header for whom it is", ErrInput)
	case w.Hidden:
		return seal.Hidden, nil
	case w.Wrap == "" || w.Wrap == "hybrid":
		return seal.Hybrid, nil
	case w.Wrap == "x-wing":
		return seal.XWing, nil
	case w.Wrap == "rsa":
		return seal.RSA, nil
	}
	return nil, fmt.Errorf("%w: --wrap %q: want hybrid, x-wing or rsa", ErrInput, w.Wrap)
}

// audience is the recipients that w names: people, then key files, then the
// project. The project's server is asked for its current epoch.
func (a *App) audience(ctx context.Context, w Audience) ([]seal.Recipient, error) {
	address, err := w.address()
	if err != nil {
		return nil, err
	}
	var to []seal.Recipient
	for _, u := range w.People {
		pub, err := a.publicKeys(u, w.Unverified)
		if err != nil {
			return nil, err
		}
		to = append(to, address(pub))
	}
	for _, path := range w.KeyFiles {
		pub, err := publicKeyFile(path)
		if err != nil {
			return nil, err
		}
		to = append(to, seal.RSA(pub))
	}
	if w.Project == "" {
		return to, nil
	}
	p, err := a.Project(ctx, w.Project)
	if err != nil {
		return nil, fmt.Errorf("project %q: %w", w.Project, err)
	}
	r, err := p.Recipient()
	if err != nil {
		return nil, fmt.Errorf("project %q: %w", w.Project, err)
	}
	return append(to, r), nil
}

// withOwner is audience, with the owner of the vault before the others.
func (a *App) withOwner(ctx context.Context, w Audience) ([]seal.Recipient, error) {
	_, me, err := a.opened()
	if err != nil {
		return nil, err
	}
	address, err := w.address()
	if err != nil {
		return nil, err
	}
	to, err := a.audience(ctx, w)
	return append([]seal.Recipient{address(me.Pair.Public())}, to...), err
}

// named finds which stanzas belong to w. No server is asked: of a project all
// epochs match.
func (a *App) named(w Audience) (func(int, seal.RecipientInfo) bool, error) {
	var pubs []keys.Public
	for _, u := range w.People {
		pub, err := a.publicKeys(u, true)
		if err != nil {
			return nil, err
		}
		pubs = append(pubs, pub)
	}
	for _, path := range w.KeyFiles {
		pub, err := publicKeyFile(path)
		if err != nil {
			return nil, err
		}
		pubs = append(pubs, pub)
	}
	var pid id.ID
	if w.Project != "" {
		r, err := a.projectRecord(w.Project)
		if err != nil {
			return nil, err
		}
		pid = r.ID
	}
	return func(_ int, r seal.RecipientInfo) bool {
		if r.Type == seal.TypeEpoch {
			return w.Project != "" && r.Prefix == [16]byte(pid[:16])
		}
		return slices.ContainsFunc(pubs, func(p keys.Public) bool { return addressedTo(r, p) })
	}, nil
}

// addressedTo says whether r shows a key of p.
func addressedTo(r seal.RecipientInfo, p keys.Public) bool {
	if r.Hidden {
		return false
	}
	if p.XWing != nil && r.XWing == p.XWingKeyID() {
		return true
	}
	kid, err := p.RSAKeyID()
	return err == nil && r.Type == seal.TypeRSA && r.RSA == kid
}

func publicKeyFile(path string) (keys.Public, error) {
	b, err := smallFile(path, keys.MaxPEM)
	if err != nil {
		return keys.Public{}, err
	}
	pub, err := keys.ParseRSAPublicPEM(b)
	if err != nil {
		return pub, fmt.Errorf("%s: %w", path, err)
	}
	return pub, nil
}

func privateKeyFile(path string) (*rsa.PrivateKey, error) {
	b, err := smallFile(path, keys.MaxPEM)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	k, err := keys.ParseRSAPrivatePEM(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// smallFile reads at most one byte more than most, which its parser refuses.
func smallFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most+1))
}

// Opener is who opens a container: a passphrase, a private key from a file, or
// else the owner of the vault and the projects that the vault knows.
type Opener struct {
	Passphrase []byte
	KeyFile    string // RSA private key in PEM
}

func (a *App) openers(ctx context.Context, o Opener) ([]seal.Identity, error) {
	switch {
	case o.Passphrase != nil && o.KeyFile != "":
		return nil, fmt.Errorf("%w: give --passphrase or --key, not both", ErrInput)
	case o.Passphrase != nil:
		return []seal.Identity{seal.Passphrase(o.Passphrase, keys.DefaultArgon2id())}, nil
	case o.KeyFile != "":
		k, err := privateKeyFile(o.KeyFile)
		return []seal.Identity{seal.RSAKey(k)}, err
	}
	_, me, err := a.opened()
	if err != nil {
		return nil, err
	}
	ids := []seal.Identity{seal.Pair(me.Pair)}
	for _, p := range me.Former {
		ids = append(ids, seal.Pair(p))
	}
	return append(ids, &epochs{app: a, ctx: ctx, known: map[string]answer{}}), nil
}

// epochs opens stanzas that are addressed to an epoch of a project that the
// vault knows. Its key is not in the vault: the project's server is asked, and
// so learns when somebody opens such a container. It is asked only when a
// container has such a stanza and nothing before it opened, and once for each
// project.
type epochs struct {
	app   *App
	ctx   context.Context
	known map[string]answer
}

type answer struct {
	ids []seal.Identity
	err error
}

func (e *epochs) Unwrap(s seal.Stanza, f seal.FileID) (seal.FileKey, error) {
	if s.Type != seal.TypeEpoch || len(s.Body) < 20 {
		return seal.FileKey{}, seal.ErrNotRecipient
	}
	r, ok, err := e.app.projectOf([16]byte(s.Body))
	if err != nil {
		return seal.FileKey{}, err
	}
	if !ok {
		return seal.FileKey{}, fmt.Errorf("%w: it is for project %x…, which this vault does not know", seal.ErrNotRecipient, s.Body[:16])
	}
	got := e.keysOf(r)
	if got.err != nil {
		return seal.FileKey{}, fmt.Errorf("the container is for project %q, whose key comes from server %q: %w", r.Name, r.Server, got.err)
	}
	for _, i := range got.ids {
		if k, err := i.Unwrap(s, f); err == nil {
			return k, nil
		}
	}
	return seal.FileKey{}, fmt.Errorf("%w: it is for an epoch of project %q", project.ErrNoKey, r.Name)
}

func (e *epochs) keysOf(r projectRecord) answer {
	k := r.ID.String()
	if got, ok := e.known[k]; ok {
		return got
	}
	p, err := e.app.open(e.ctx, r.Server, r.ID, project.Seen{Seq: r.Seq, Head: r.head, State: r.state})
	got := answer{err: err}
	if err == nil {
		got.ids = p.Identities()
	}
	e.known[k] = got
	return got
}

// projectOf finds the project whose id begins with prefix.
func (a *App) projectOf(prefix [16]byte) (projectRecord, bool, error) {
	all, err := a.Projects()
	if err != nil {
		return projectRecord{}, false, err
	}
	for _, p := range all {
		if [16]byte(p.ID[:16]) == prefix {
			r, err := a.projectRecord(p.ID.String())
			return r, err == nil, err
		}
	}
	return projectRecord{}, false, nil
}

// NamesOf says who the recipients of a container are, "" for each that this
// vault does not know, or nothing if it does not open without asking. Key ids
// stand in the header for anybody to write: a name here proves nothing.
func (a *App) NamesOf(ctx context.Context, i seal.Info) []string {
	if _, err := a.Unlock(ctx, func(context.Context) ([]byte, error) { return nil, ErrNoPassphrase }); err != nil {
		return nil
	}
	_, me, err := a.opened()
	if err != nil {
		return nil
	}
	known := map[doc.KeyID]string{me.Pair.Public().XWingKeyID(): "you"}
	people := func(s vault.State) {
		for _, p := range s.People {
			if acc, err := chain.OpenAccountChain(p.Genesis, p.Links); err == nil {
				known[keys.Public{XWing: acc.XWing}.XWingKeyID()] = p.Name
			}
		}
	}
	if err := a.view(people); err != nil {
		return nil
	}
	names := make([]string, len(i.Recipients))
	for k, r := range i.Recipients {
		if !r.Hidden {
			names[k] = known[r.XWing]
		}
	}
	return names
}
