package chain

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// ErrSnapshot is wrapped when bytes are not the snapshot that was asked for.
var ErrSnapshot = fmt.Errorf("%w: snapshot is damaged or another one", ErrLink)

// snapshot is a verified state as it is kept by who verified it. It is not
// signed and proves nothing to anybody else: Restore asks for its digest, which
// belongs where nobody else can write.
type snapshot struct {
	V           uint8            `cbor:"1,keyasint"`
	Project     id.ID            `cbor:"2,keyasint"`
	Version     uint8            `cbor:"3,keyasint"`
	Nonce       [32]byte         `cbor:"4,keyasint"`
	Seq         uint64           `cbor:"5,keyasint"`
	Head        id.ID            `cbor:"6,keyasint"`
	Members     []memberShot     `cbor:"7,keyasint"`
	Former      []memberShot     `cbor:"8,keyasint"`
	Grants      []grantShot      `cbor:"9,keyasint"`
	Invites     []inviteShot     `cbor:"10,keyasint"`
	Delegations []delegationShot `cbor:"11,keyasint"`
	Epochs      []Epoch          `cbor:"12,keyasint"`
	Index       id.ID            `cbor:"13,keyasint"`
	Due         bool             `cbor:"14,keyasint"`
	Last        Link             `cbor:"15,keyasint"`
	Clock       int64            `cbor:"16,keyasint"`
}

// snapshotV is the version of a snapshot. One of another version is not read:
// the chain is verified from its genesis then.
const snapshotV = 2

type memberShot struct {
	Genesis []byte   `cbor:"1,keyasint"`
	Links   [][]byte `cbor:"2,keyasint"`
	Role    Role     `cbor:"3,keyasint"`
	Seq     uint64   `cbor:"4,keyasint"`
	Wrap    []byte   `cbor:"5,keyasint"`
	Epoch   uint32   `cbor:"6,keyasint"`
	By      UID      `cbor:"7,keyasint"`
	Invited bool     `cbor:"8,keyasint"`
}

type grantShot struct {
	ID       id.ID  `cbor:"1,keyasint"`
	Node     []byte `cbor:"2,keyasint"`
	NotAfter int64  `cbor:"3,keyasint"`
	By       UID    `cbor:"4,keyasint"`

	Key    []byte  `cbor:"5,keyasint,omitempty"`
	AKName []byte  `cbor:"6,keyasint,omitempty"`
	Op     GrantOp `cbor:"7,keyasint,omitempty"`
	Models []id.ID `cbor:"8,keyasint,omitempty"`
	Seq    uint64  `cbor:"9,keyasint,omitempty"`
}

type inviteShot struct {
	ID       InviteID `cbor:"1,keyasint"`
	Role     Role     `cbor:"2,keyasint"`
	NotAfter int64    `cbor:"3,keyasint"`
	By       UID      `cbor:"4,keyasint"`
}

type delegationShot struct {
	ID       id.ID `cbor:"1,keyasint"`
	By       UID   `cbor:"2,keyasint"`
	To       UID   `cbor:"3,keyasint"`
	Ops      []Op  `cbor:"4,keyasint"`
	NotAfter int64 `cbor:"5,keyasint"`
	Parent   id.ID `cbor:"6,keyasint"`
}

// Snapshot writes s down, with the digest that Restore asks for.
func (s *State) Snapshot() ([]byte, id.ID, error) {
	x := snapshot{V: snapshotV, Project: s.Project, Version: s.Version, Nonce: s.Nonce, Seq: s.Seq, Head: s.Head,
		Members: shoot(s.Members), Former: shoot(s.Former), Epochs: s.Epochs, Index: s.Index, Due: s.Due, Last: s.Last, Clock: s.Clock}
	for _, k := range slices.SortedFunc(maps.Keys(s.Grants), id.Compare) {
		g := s.Grants[k]
		x.Grants = append(x.Grants, grantShot{k, g.Node.Raw, g.NotAfter.Unix(), g.By, g.Key, g.AKName, g.Op, g.Models, g.Seq})
	}
	for k, v := range s.Invites {
		x.Invites = append(x.Invites, inviteShot{k, v.Role, v.NotAfter.Unix(), v.By})
	}
	slices.SortFunc(x.Invites, func(a, b inviteShot) int { return slices.Compare(a.ID[:], b.ID[:]) })
	for _, k := range slices.SortedFunc(maps.Keys(s.Delegations), id.Compare) {
		d := s.Delegations[k]
		x.Delegations = append(x.Delegations, delegationShot{k, d.By, d.To, d.Ops, d.NotAfter.Unix(), d.Parent})
	}
	enc, err := doc.Encode(x)
	return enc, id.Of(enc), err
}

func shoot(members map[UID]Member) []memberShot {
	var out []memberShot
	for _, u := range SortedUIDs(members) {
		m := members[u]
		out = append(out, memberShot{m.Account.Raw, m.Account.Links, m.Role, m.Seq, m.Wrap, m.Epoch, m.By, m.Invited})
	}
	return out
}

// Restore reads a snapshot whose digest is want. No signature is verified: they
// were before it was written, and the digest says that these are the bytes.
// Errors wrap ErrSnapshot.
func Restore(raw []byte, want id.ID) (*State, error) {
	if id.Of(raw) != want {
		return nil, ErrSnapshot
	}
	var x snapshot
	if err := doc.DecodeTrusted(raw, &x); err != nil || x.V != snapshotV || len(x.Epochs) == 0 {
		return nil, fmt.Errorf("%w: version %d: %v", ErrSnapshot, x.V, err)
	}
	s := &State{Project: x.Project, Version: x.Version, Nonce: x.Nonce, Seq: x.Seq, Head: x.Head,
		Members: map[UID]Member{}, Former: map[UID]Member{}, Grants: map[id.ID]Grant{}, Invites: map[InviteID]Invite{},
		Delegations: map[id.ID]Delegation{}, Epochs: x.Epochs, Index: x.Index, Due: x.Due, Last: x.Last, Clock: x.Clock}
	if err := x.restore(s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	return s, nil
}

func (x snapshot) restore(s *State) error {
	for list, to := range map[*[]memberShot]map[UID]Member{&x.Members: s.Members, &x.Former: s.Former} {
		for _, m := range *list {
			a, err := trusted(m.Genesis, m.Links)
			if err != nil {
				return err
			}
			if len(m.Wrap) == 0 {
				m.Wrap = nil
			}
			to[a.UID] = Member{Account: a, Role: m.Role, Seq: m.Seq, Wrap: m.Wrap, Epoch: m.Epoch, By: m.By, Invited: m.Invited}
		}
	}
	for _, g := range x.Grants {
		a, err := trusted(g.Node, nil)
		if err != nil {
			return err
		}
		s.Grants[g.ID] = Grant{ID: g.ID, Node: a, NotAfter: time.Unix(g.NotAfter, 0), By: g.By, Key: g.Key, AKName: g.AKName, Op: g.Op, Models: g.Models, Seq: g.Seq}
	}
	for _, v := range x.Invites {
		s.Invites[v.ID] = Invite{Role: v.Role, NotAfter: time.Unix(v.NotAfter, 0), By: v.By}
	}
	for _, d := range x.Delegations {
		s.Delegations[d.ID] = Delegation{By: d.By, To: d.To, Ops: d.Ops, NotAfter: time.Unix(d.NotAfter, 0), Parent: d.Parent}
	}
	return nil
}

// trusted is OpenAccountChain without its signatures.
func trusted(genesis []byte, links [][]byte) (*Account, error) {
	var g doc.Signed
	if err := doc.DecodeTrusted(genesis, &g); err != nil {
		return nil, err
	}
	a, err := parseGenesis(g.Body)
	if err != nil {
		return nil, err
	}
	if err := a.name(genesis, id.Of(genesis)); err != nil {
		return nil, err
	}
	for _, raw := range links {
		var s doc.Signed
		var l accountLink
		if err := doc.DecodeTrusted(raw, &s); err != nil {
			return nil, err
		}
		if err := doc.DecodeTrusted(s.Body, &l); err != nil {
			return nil, err
		}
		n, _, err := a.apply(&l)
		if err != nil {
			return nil, err
		}
		n.follow(a, raw, id.Of(raw))
		a = n
	}
	return a, nil
}
