package chain

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// checkRoot is the last step of a new state that nobody else has yet.
func (s *State) checkRoot(l *Link) (err error) {
	if l.V == linkV2 {
		if s.members, err = s.membersRoot(); err != nil {
			return err
		}
	}
	root, err := s.root(l.V)
	if err != nil {
		return err
	}
	if root != l.Root {
		return fmt.Errorf("%w: state root is %s, computed %s", ErrLink, l.Root.Short(), root.Short())
	}
	return nil
}

// Root is the digest of everything a link can change: members, their accounts
// and roles; grants, invitations, delegations, epoch, index. Two who show each
// other the same root agree about the project.
func (s *State) Root() (id.ID, error) { return s.root(linkV2) }

func (s *State) root(v uint8) (id.ID, error) {
	grants := slices.SortedFunc(maps.Keys(s.Grants), id.Compare)
	if v == linkV1 {
		return s.rootV1(grants)
	}
	members, err := s.membersRoot()
	if err != nil {
		return id.ID{}, err
	}
	return digest(struct {
		_           struct{} `cbor:",toarray"`
		Members     id.ID
		Grants      []id.ID
		Invites     []InviteID
		Delegations []id.ID
		Epoch       Epoch
		Index       id.ID
		Due         bool
	}{
		Members: members, Grants: grants, Epoch: s.Epoch(), Index: s.Index, Due: s.Due,
		Invites:     slices.SortedFunc(maps.Keys(s.Invites), func(a, b InviteID) int { return bytes.Compare(a[:], b[:]) }),
		Delegations: slices.SortedFunc(maps.Keys(s.Delegations), id.Compare),
	})
}

// membersRoot is the digest of the members; states after links that leave them
// alone have it at hand.
func (s *State) membersRoot() (id.ID, error) {
	if !s.members.IsZero() {
		return s.members, nil
	}
	type member struct {
		_       struct{} `cbor:",toarray"`
		UID     UID
		Account id.ID
		Role    Role
	}
	list := make([]member, 0, len(s.Members))
	for _, u := range SortedUIDs(s.Members) {
		m := s.Members[u]
		list = append(list, member{UID: u, Account: m.Account.Head, Role: m.Role})
	}
	return digest(list)
}

// rootV1 is the root in links of version 1.
func (s *State) rootV1(grants []id.ID) (id.ID, error) {
	type member struct {
		_       struct{} `cbor:",toarray"`
		UID     UID
		Account id.ID
		Role    Role
	}
	b := struct {
		_       struct{} `cbor:",toarray"`
		Members []member
		Grants  []id.ID
		Epoch   Epoch
		Index   id.ID
	}{Epoch: s.Epoch(), Index: s.Index, Grants: grants}
	for _, u := range SortedUIDs(s.Members) {
		m := s.Members[u]
		b.Members = append(b.Members, member{UID: u, Account: m.Account.ID, Role: m.Role})
	}
	return digest(b)
}

func digest(v any) (id.ID, error) {
	enc, err := doc.Encode(v)
	return id.Of(enc), err
}
