package chain

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"maps"
	"slices"
	"time"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// Member is somebody with a role.
type Member struct {
	Account *Account
	Role    Role
	Seq     uint64 // of the link that added him
	Wrap    []byte // epoch key from that link; nil for the owner of the genesis
	Epoch   uint32 // epoch of that wrap
}

// Grant is a node that may run jobs.
type Grant struct {
	ID       id.ID // SHA-256 of the grant's body
	Node     *Account
	NotAfter time.Time
}

// State is a project after one of its links. A State is never changed: Next
// makes a new one.
type State struct {
	Project id.ID
	Nonce   [32]byte
	Seq     uint64
	Head    id.ID
	Members map[UID]Member
	Former  map[UID]Member // removed members, as they last were
	Grants  map[id.ID]Grant
	Epochs  []Epoch // all of them; the last is in force
	Index   id.ID   // zero while the project is empty
	Last    Link    // the link that led here
}

// Epoch is the epoch in force.
func (s *State) Epoch() Epoch { return s.Epochs[len(s.Epochs)-1] }

// Allows reports whether u may do op now.
func (s *State) Allows(u UID, op Op) bool { return s.Members[u].Role.Allows(op) }

// GrantFor finds grant i for node at time now. Errors wrap ErrGrant.
func (s *State) GrantFor(i id.ID, node UID, now time.Time) (Grant, error) {
	g, ok := s.Grants[i]
	switch {
	case !ok:
		return Grant{}, fmt.Errorf("%w: %s grants nothing now", ErrGrant, i.Short())
	case g.Node.UID != node:
		return Grant{}, fmt.Errorf("%w: it is for node %s, not %s", ErrGrant, g.Node.UID.Short(), node.Short())
	case !now.Before(g.NotAfter):
		return Grant{}, fmt.Errorf("%w: it ended %s", ErrGrant, g.NotAfter.UTC().Format(time.RFC3339))
	}
	return g, nil
}

// Begin verifies a genesis link. Errors wrap ErrLink.
func Begin(raw []byte) (*State, error) {
	var b GenesisBody
	var owner *Account
	l, name, err := open(raw, func(l *Link) (ed25519.PublicKey, error) {
		if err := doc.Decode(l.Body, &b); err != nil {
			return nil, err
		}
		var err error
		owner, err = OpenAccount(b.Owner)
		if err != nil {
			return nil, err
		}
		return owner.Device, nil
	})
	if err != nil {
		return nil, err
	}
	zero := id.ID{}
	switch {
	case l.V != 1 || l.Kind != KindGenesis || l.Seq != 0 || l.Prev != zero || l.Project != zero:
		return nil, fmt.Errorf("%w: not a genesis", ErrLink)
	case owner.Kind != Person || owner.UID != l.Author:
		return nil, fmt.Errorf("%w: the genesis must be written by its owner", ErrLink)
	case b.Epoch.Number != 1 || l.Epoch != 1 || len(b.Epoch.Prev) != 0:
		return nil, fmt.Errorf("%w: a project starts at epoch 1", ErrLink)
	}
	s := &State{Project: name, Nonce: b.Nonce, Head: name, Epochs: []Epoch{b.Epoch}, Grants: map[id.ID]Grant{}, Last: *l,
		Former:  map[UID]Member{},
		Members: map[UID]Member{owner.UID: {Account: owner, Role: Owner}}}
	return s, s.checkRoot(l)
}

// Next verifies raw as the link that follows s and returns the state after it.
// Errors wrap ErrLink; also ErrOrder when raw does not follow the head, and
// ErrRight when its author may not do that.
func (s *State) Next(raw []byte) (*State, error) {
	l, name, err := open(raw, s.author)
	if err != nil {
		return nil, err
	}
	if l.V != 1 {
		return nil, fmt.Errorf("%w: field v is %d, want 1", ErrLink, l.V)
	}
	n := s.clone()
	n.Seq, n.Head, n.Last = l.Seq, name, *l
	if err := n.apply(l, s.Members[l.Author].Role); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrLink, l.Kind, err)
	}
	if l.Epoch != n.Epoch().Number {
		return nil, fmt.Errorf("%w: field epoch is %d, want %d", ErrLink, l.Epoch, n.Epoch().Number)
	}
	return n, n.checkRoot(l)
}

func (s *State) author(l *Link) (ed25519.PublicKey, error) {
	if l.Project != s.Project || l.Seq != s.Seq+1 || l.Prev != s.Head {
		return nil, fmt.Errorf("%w: seq %d after %s, head is seq %d %s", ErrOrder, l.Seq, l.Prev.Short(), s.Seq, s.Head.Short())
	}
	m, ok := s.Members[l.Author]
	if !ok {
		return nil, fmt.Errorf("%w: %s is not a member", ErrRight, l.Author.Short())
	}
	return m.Account.Device, nil
}

func (s *State) clone() *State {
	n := *s
	n.Members, n.Former = maps.Clone(s.Members), maps.Clone(s.Former)
	n.Grants, n.Epochs = maps.Clone(s.Grants), slices.Clone(s.Epochs)
	return &n
}

func (s *State) checkRoot(l *Link) error {
	root, err := s.Root()
	if err != nil {
		return err
	}
	if root != l.Root {
		return fmt.Errorf("%w: state root is %s, computed %s", ErrLink, l.Root.Short(), root.Short())
	}
	return nil
}

// Root is the digest of everything a link can change: members and roles,
// grants, epoch, index.
func (s *State) Root() (id.ID, error) {
	type member struct {
		_       struct{} `cbor:",toarray"`
		UID     UID
		Account id.ID
		Role    Role
	}
	type body struct {
		_       struct{} `cbor:",toarray"`
		Members []member
		Grants  []id.ID
		Epoch   Epoch
		Index   id.ID
	}
	b := body{Epoch: s.Epoch(), Index: s.Index, Grants: slices.SortedFunc(maps.Keys(s.Grants), id.Compare)}
	for _, u := range SortedUIDs(s.Members) {
		m := s.Members[u]
		b.Members = append(b.Members, member{UID: u, Account: m.Account.ID, Role: m.Role})
	}
	enc, err := doc.Encode(b)
	return id.Of(enc), err
}

// SortedUIDs are the keys of m, ascending.
func SortedUIDs[V any](m map[UID]V) []UID {
	return slices.SortedFunc(maps.Keys(m), func(a, b UID) int { return bytes.Compare(a[:], b[:]) })
}
