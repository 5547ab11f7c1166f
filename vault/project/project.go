// Package project is a set of items that some people share and the server
// cannot read.
//
// Two things make a project. The chain of signed links (package chain) says
// who is a member, with which role, and which epoch of the project key is in
// force. The index, encrypted under that key, lists the items: datasets,
// models, tasks, artifacts and runs. Every item has a random key of its own,
// sealed under an epoch key; its bytes are stored as pieces of ciphertext
// named by their hash.
//
//	identity ─unwraps→ epoch key ─opens→ index ─gives→ item key ─opens→ pieces
//
// The server is asked for bytes and believed nothing: Open verifies the whole
// chain from the pinned genesis, demands that the head last seen here is an
// ancestor of the head it is shown, and checks every blob against its name.
//
// Removing somebody makes a new epoch in the same link. What he could read
// before he can still read, if he kept it; Report says so with figures.
package project

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/vault/account"
	"cipherdeck/vault/project/index"
)

// HeadKey is the document that holds the newest signed link of a project.
const HeadKey = "head"

// maxLinks bounds the walk from a head back to the genesis.
const maxLinks = 1 << 20

// Server is a project's place on a server, as the project needs it.
//
// Head and CAS are the compare-and-swap document of the chain: its body is the
// newest signed link. PutBlob is idempotent; GetBlob gives n bytes from off,
// or all of them when n is negative, and wraps ErrDamaged for a blob that the
// server does not have.
type Server interface {
	Head(ctx context.Context, key string) (body []byte, rev uint64, err error)
	CAS(ctx context.Context, key string, body []byte, prev uint64) (rev uint64, err error) // ErrConflict, ErrUnknown
	Have(ctx context.Context, ids []id.ID) ([]bool, error)
	PutBlob(ctx context.Context, i id.ID, n int64, r io.Reader) error
	GetBlob(ctx context.Context, i id.ID, off, n int64) (io.ReadCloser, error)
}

// The errors of this package.
var (
	ErrConflict  = errors.New("the project changed meanwhile")
	ErrUnknown   = errors.New("the server's answer was lost: whether it took the change is not known")
	ErrRollback  = errors.New("the server shows an older project than was seen here before")
	ErrFork      = errors.New("the server shows a project that does not continue the one seen here before")
	ErrNotMember = errors.New("you are not a member of this project")
	ErrNoKey     = errors.New("no key for this epoch: it was made after you were removed, or never given to you")
	ErrDamaged   = errors.New("stored project data is damaged or was exchanged")
	ErrNotFound  = index.ErrNotFound
	ErrExists    = index.ErrExists
	ErrKind      = index.ErrKind
	ErrField     = index.ErrField
	ErrEpoch     = errors.New("the project's key was changed meanwhile")
)

// Seen is the last head that was verified here. It lives in the vault.
type Seen struct {
	Seq   uint64
	Head  id.ID
	State id.ID // digest of a checkpoint that a cache may have; zero for none
}

// Project is an opened project. It is not safe for concurrent use.
type Project struct {
	// Trust is asked before a key is wrapped for somebody; nil: everybody. An
	// error, such as chain.ErrKeysChanged, stops what is under way.
	Trust func(*chain.Account) error

	srv   Server
	me    *account.Me
	now   func() time.Time
	state *chain.State
	rev   uint64
	keys  ring
	index *index.Tree
	// Where changes go while there is no server; nil otherwise.
	intents Intents

	heads   []id.ID // ids of all links, by sequence number
	indexes []id.ID // the index after each link
	since   int64   // Unix ms of the link that began the epoch in force
	kept    id.ID   // digest of the newest checkpoint
	heard   Witnessed
	damage  error // why the newest index does not open; nil when it does
}

// Create starts a project called name. create stores the genesis link and
// returns the project's place on the server.
func Create(ctx context.Context, create func(context.Context, []byte) (Server, error), me *account.Me, name string, now func() time.Time) (*Project, error) {
	if err := chain.CheckName(name); err != nil {
		return nil, err
	}
	body, key, wraps, err := genesis(me)
	if err != nil {
		return nil, err
	}
	raw, st, err := chain.Start(body, me.Account, me.Key(), now())
	if err != nil {
		return nil, err
	}
	srv, err := create(ctx, raw)
	if err != nil {
		return nil, err
	}
	p := &Project{srv: srv, me: me, now: now, state: st, keys: ring{1: key}, index: index.New(name), heads: []id.ID{st.Head}, indexes: []id.ID{st.Index}, since: st.Last.Time}
	if err := p.putBytes(ctx, wraps); err != nil {
		return nil, err
	}
	if err := p.putBytes(ctx, raw); err != nil {
		return nil, err
	}
	if _, p.rev, err = srv.Head(ctx, HeadKey); err != nil {
		return nil, err
	}
	return p, p.edit(ctx, func(*index.Tx) error { return nil })
}

// Open fetches project pid, verifies its chain from the genesis and opens its
// index with me's keys. seen is the zero Seen when the project is new here.
func Open(ctx context.Context, srv Server, me *account.Me, pid id.ID, seen Seen, now func() time.Time) (*Project, error) {
	p := &Project{srv: srv, me: me, now: now}
	return p, p.load(ctx, pid, seen)
}

// ID is the id of the genesis link.
func (p *Project) ID() id.ID { return p.state.Project }

// Name is the project's name, which only members can read.
func (p *Project) Name() string { return p.index.Name() }

// Seen is the head that this Project has verified.
func (p *Project) Seen() Seen { return Seen{Seq: p.state.Seq, Head: p.state.Head, State: p.kept} }

// Contains reports whether the verified chain has the link seen: whether this
// is a continuation of what was seen.
func (p *Project) Contains(seen Seen) bool {
	return seen.Seq < uint64(len(p.heads)) && p.heads[seen.Seq] == seen.Head
}

// Damage says why the newest index does not open, nil when it does. Membership
// can still be changed then, so that whoever wrote it can be removed.
func (p *Project) Damage() error { return p.damage }

// State is the verified state of the chain.
func (p *Project) State() *chain.State { return p.state }

// Server is the project's place on the server.
func (p *Project) Server() Server { return p.srv }

// Refresh reads what others did since.
func (p *Project) Refresh(ctx context.Context) error {
	return p.load(ctx, p.state.Project, p.Seen())
}

func (p *Project) load(ctx context.Context, pid id.ID, seen Seen) error {
	h, err := history(ctx, p.srv, pid, seen)
	if err != nil {
		return err
	}
	st := h.state
	m, ok := st.Members[p.me.Account.UID]
	if !ok {
		return ErrNotMember
	}
	p.state, p.rev, p.heads, p.indexes, p.since, p.kept, p.damage = st, h.rev, h.heads, h.indexes, h.since, h.kept, nil
	if m.Role == chain.Auditor {
		p.keys, p.index = nil, index.New("")
		return nil
	}
	if p.keys, err = unwrapAll(ctx, p.srv, p.me, st); err != nil {
		return err
	}
	t, err := p.loadIndex(ctx, st.Index)
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrNoKey) {
		p.damage, p.index = fmt.Errorf("%w; link %d is by %s", err, st.Seq, st.Last.Author.Short()), index.New("")
		return nil
	}
	if err == nil {
		p.index = t
	}
	return err
}

// extend signs a link, stores it and makes it the head.
func (p *Project) extend(ctx context.Context, kind string, body any) error {
	return p.extendWith(ctx, kind, body, nil)
}

// extendWith is extend with account links of others.
func (p *Project) extendWith(ctx context.Context, kind string, body any, others []*chain.Account) error {
	raw, next, err := p.state.ExtendWith(kind, body, p.me.Account, p.me.Key(), others, p.now())
	if err != nil {
		return err
	}
	// The server keeps the link as a blob by itself; who may write does it too, so
	// that the link is in the cache here.
	if p.state.AllowsAt(p.me.Account.UID, chain.OpWrite, p.now()) {
		if err := p.putBytes(ctx, raw); err != nil {
			return err
		}
	}
	rev, err := p.srv.CAS(ctx, HeadKey, raw, p.rev)
	if errors.Is(err, ErrUnknown) {
		return p.settle(ctx, Seen{Seq: next.Seq, Head: next.Head}, err)
	}
	if err != nil {
		return err
	}
	if len(next.Epochs) != len(p.state.Epochs) {
		p.since = next.Last.Time
	}
	p.state, p.rev = next, rev
	p.heads, p.indexes = append(p.heads, next.Head), append(p.indexes, next.Index)
	return nil
}

// settle finds out whether the link mine became part of the chain. When it did
// not, the step can be done again; when nobody can be asked, cause stands.
func (p *Project) settle(ctx context.Context, mine Seen, cause error) error {
	if err := p.Refresh(ctx); err != nil {
		return errors.Join(cause, err)
	}
	if p.Contains(mine) {
		return nil
	}
	return ErrConflict
}

// retry runs step, and again on the refreshed project when somebody else was
// faster. step must do all its work anew each time.
func (p *Project) retry(ctx context.Context, step func() error) error {
	const attempts = 10
	var err error
	for range attempts {
		if err = step(); !errors.Is(err, ErrConflict) {
			return err
		}
		if err := p.Refresh(ctx); err != nil {
			return err
		}
	}
	return err
}
