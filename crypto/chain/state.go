package chain

import (
	"bytes"
	"crypto"
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
	By      UID    // who added him
	Invited bool   // by an invitation
}

// Grant is a node that may run jobs.
type Grant struct {
	ID       id.ID // SHA-256 of the grant's body
	Node     *Account
	NotAfter time.Time
	By       UID
	Seq      uint64 // of the link that made it; 0 in states of before this was kept

	// Of a machine that was attested; else nil. See GrantBody.
	Key    []byte
	AKName []byte

	Op     GrantOp // 0: GrantBlind
	Models []id.ID // empty: any
}

// Allows reports whether a job of this grant may name model.
func (g Grant) Allows(model id.ID) bool {
	return len(g.Models) == 0 || slices.Contains(g.Models, model)
}

// Body is the link's body: its encoding has the hash ID.
func (g Grant) Body() GrantBody {
	return GrantBody{Node: g.Node.Raw, NotAfter: g.NotAfter.Unix(), Key: g.Key, AKName: g.AKName, Op: g.Op, Models: g.Models}
}

// Invite is an open invitation.
type Invite struct {
	Role     Role
	NotAfter time.Time
	By       UID
}

// State is a project after one of its links. A State is never changed: Next
// makes a new one.
type State struct {
	Project     id.ID
	Version     uint8 // of the last link
	Nonce       [32]byte
	Seq         uint64
	Head        id.ID
	Members     map[UID]Member
	Former      map[UID]Member // removed members, as they last were
	Grants      map[id.ID]Grant
	Invites     map[InviteID]Invite
	Delegations map[id.ID]Delegation
	Epochs      []Epoch // all of them; the last is in force
	Index       id.ID   // zero while the project is empty
	Due         bool    // somebody who left, or a device that was revoked, knows the epoch's key
	Last        Link    // the link that led here
	Clock       int64   // the latest time that any link had, Unix milliseconds

	members id.ID // digest of Members, zero when it must be computed
}

// Epoch is the epoch in force.
func (s *State) Epoch() Epoch { return s.Epochs[len(s.Epochs)-1] }

// Allows reports whether u's role may do op. What was lent to u is not looked
// at: see AllowsAt.
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

// Granted reports whether node has a grant at time now.
func (s *State) Granted(node UID, now time.Time) bool {
	for i := range s.Grants {
		if _, err := s.GrantFor(i, node, now); err == nil {
			return true
		}
	}
	return false
}

// Begin verifies a genesis link. Errors wrap ErrLink.
func Begin(raw []byte) (*State, error) {
	var b GenesisBody
	var owner *Account
	l, name, err := open(raw, func(l *Link) ([]crypto.PublicKey, error) {
		if err := doc.Decode(l.Body, &b); err != nil {
			return nil, err
		}
		var err error
		if owner, err = OpenAccount(b.Owner); err != nil {
			return nil, err
		}
		if owner.UID != l.Author {
			return nil, fmt.Errorf("the genesis must be written by its owner")
		}
		return signers(l, &owner, linkV1)
	}, now)
	if err != nil {
		return nil, err
	}
	zero := id.ID{}
	switch {
	case l.Kind != KindGenesis || l.Seq != 0 || l.Prev != zero || l.Project != zero:
		return nil, fmt.Errorf("%w: not a genesis", ErrLink)
	case len(l.Accounts) > 1 || len(l.Accounts) == 1 && l.Accounts[0].UID != l.Author:
		return nil, fmt.Errorf("%w: a genesis brings its owner's account links only", ErrLink)
	case owner.Kind != Person:
		return nil, fmt.Errorf("%w: a project is owned by a person", ErrLink)
	case b.Epoch.Number != 1 || l.Epoch != 1 || len(b.Epoch.Prev) != 0:
		return nil, fmt.Errorf("%w: a project starts at epoch 1", ErrLink)
	}
	s := first(b, owner)
	s.Project, s.Head, s.Last, s.Version, s.Clock = name, name, *l, l.V, l.Time
	return s, s.checkRoot(l)
}

// first is the state that a genesis leads to, before it has a name.
func first(b GenesisBody, owner *Account) *State {
	return &State{
		Nonce: b.Nonce, Epochs: []Epoch{b.Epoch},
		Members: map[UID]Member{owner.UID: {Account: owner, Role: Owner, By: owner.UID}}, Former: map[UID]Member{},
		Grants: map[id.ID]Grant{}, Invites: map[InviteID]Invite{}, Delegations: map[id.ID]Delegation{},
	}
}

// signers are the keys that must sign l, whose author's account is *a. The
// account links that l brings for him are followed first. before is the least
// version that l may have.
func signers(l *Link, a **Account, before uint8) ([]crypto.PublicKey, error) {
	switch {
	case l.V < before || l.V > linkV2 || l.V == 0:
		return nil, fmt.Errorf("field v is %d, want %d to %d", l.V, before, linkV2)
	case l.V == linkV1 && (l.Device != doc.KeyID{} || !l.Account.IsZero() || len(l.Accounts) != 0):
		return nil, fmt.Errorf("fields 11 to 13 in a link of version 1")
	case l.V == linkV1:
		return []crypto.PublicKey{(*a).Device}, knownToV1(l)
	}
	for _, n := range l.Accounts {
		if n.UID == l.Author {
			next, err := (*a).Follow(n.Links)
			if err != nil {
				return nil, err
			}
			*a = next
		}
	}
	if l.Account != (*a).Head {
		return nil, fmt.Errorf("the author's account is at %s, the link says %s", (*a).Head.Short(), l.Account.Short())
	}
	d, ok := (*a).Valid(l.Device)
	if !ok {
		return nil, fmt.Errorf("%w: device %s is not a valid one of %s", ErrRight, l.Device, l.Author.Short())
	}
	keys := d.keys(strong(l.Kind))
	if keys == nil {
		return nil, fmt.Errorf("a link %s needs an ML-DSA-65 signature, and device %s has no such key", l.Kind, l.Device)
	}
	return keys, nil
}

// knownToV1 refuses in a link of version 1 what came with version 2. Above all
// account links, by which a device may be revoked: a link of version 1 is
// signed by the account's first device, whatever became of it.
func knownToV1(l *Link) error {
	switch l.Kind {
	case KindGenesis, KindRemove, KindRotate, KindPut, KindGrant, KindUngrant:
		return nil
	case KindAdd:
		var b AddBody
		if err := doc.Decode(l.Body, &b); err != nil {
			return err
		}
		if len(b.Links) == 0 && b.Invite == (InviteID{}) {
			return nil
		}
	}
	return fmt.Errorf("a link %s of version 1 brings what only version 2 has", l.Kind)
}

// Next verifies raw as the link that follows s and returns the state after it.
// Errors wrap ErrLink; also ErrOrder when raw does not follow the head, and
// ErrRight when its author may not do that.
func (s *State) Next(raw []byte) (*State, error) { return s.NextWith(raw, now) }

// NextWith is Next that hands the check of each signature of the link to check,
// which may do it later: see doc.Pool. The state must not be used before all
// checks are done, other than for the links after it.
func (s *State) NextWith(raw []byte, check func(func() error) error) (*State, error) {
	n := s.clone()
	l, name, err := open(raw, n.author, check)
	if err != nil {
		return nil, err
	}
	n.Seq, n.Head, n.Last, n.Version, n.Clock = l.Seq, name, *l, l.V, max(s.Clock, l.Time)
	if err := n.apply(l, s); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrLink, l.Kind, err)
	}
	if l.Epoch != n.Epoch().Number {
		return nil, fmt.Errorf("%w: field epoch is %d, want %d", ErrLink, l.Epoch, n.Epoch().Number)
	}
	return n, n.checkRoot(l)
}

// author checks the place of l, follows the account links that it brings, and
// gives the keys that must have signed it. n is the copy that becomes the state
// after l.
func (n *State) author(l *Link) ([]crypto.PublicKey, error) {
	if l.Project != n.Project || l.Seq != n.Seq+1 || l.Prev != n.Head {
		return nil, fmt.Errorf("%w: seq %d after %s, head is seq %d %s", ErrOrder, l.Seq, l.Prev.Short(), n.Seq, n.Head.Short())
	}
	m, ok := n.Members[l.Author]
	if !ok {
		return nil, fmt.Errorf("%w: %s is not a member", ErrRight, l.Author.Short())
	}
	keys, err := signers(l, &m.Account, n.Version)
	if err != nil {
		return nil, err
	}
	return keys, n.learn(l)
}

// learn follows the account links that l brings.
func (n *State) learn(l *Link) error {
	for i, news := range l.Accounts {
		m, ok := n.Members[news.UID]
		if !ok || len(news.Links) == 0 {
			return fmt.Errorf("account links of %s, who is not a member, or none", news.UID.Short())
		}
		if i > 0 && bytes.Compare(l.Accounts[i-1].UID[:], news.UID[:]) >= 0 {
			return fmt.Errorf("field accounts is not in ascending order")
		}
		old := m.Account
		next, err := old.Follow(news.Links)
		if err != nil {
			return err
		}
		m.Account = next
		n.Members[news.UID], n.members = m, id.ID{}
		n.Due = n.Due || m.Role.Allows(OpRead) && exposes(old, next)
	}
	return nil
}

// exposes reports whether somebody may hold the keys of old who should not read
// on: a device was revoked, or the keys were changed.
func exposes(old, next *Account) bool {
	if next.Rotations != old.Rotations {
		return true
	}
	return slices.ContainsFunc(next.Devices, func(d Device) bool { return d.Revoked > old.Seq })
}

func (s *State) clone() *State {
	n := *s
	n.Members, n.Former = maps.Clone(s.Members), maps.Clone(s.Former)
	n.Grants, n.Invites, n.Delegations = maps.Clone(s.Grants), maps.Clone(s.Invites), maps.Clone(s.Delegations)
	n.Epochs = slices.Clip(s.Epochs) // appending copies
	return &n
}

// SortedUIDs are the keys of m, ascending.
func SortedUIDs[V any](m map[UID]V) []UID {
	return slices.SortedFunc(maps.Keys(m), func(a, b UID) int { return bytes.Compare(a[:], b[:]) })
}
