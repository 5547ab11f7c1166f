package chain

import (
	"fmt"
	"time"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// maxWrap bounds the wrapped epoch key in an add link, in bytes.
const maxWrap = 4 << 10

// maxSealedKey bounds the previous epoch key sealed under the new one.
const maxSealedKey = 256

// apply changes n, which is a copy, by the rules of the link's kind. role is
// the author's role before the link.
func (n *State) apply(l *Link, role Role) error {
	switch l.Kind {
	case KindAdd:
		return n.add(l, role)
	case KindRemove:
		return n.remove(l, role)
	case KindRotate:
		return n.rotate(l, role)
	case KindPut:
		return n.put(l, role)
	case KindGrant:
		return n.grant(l, role)
	case KindUngrant:
		return n.ungrant(l, role)
	}
	return fmt.Errorf("kind %q is not known", l.Kind)
}

func (n *State) add(l *Link, role Role) error {
	var b AddBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return err
	}
	a, err := OpenAccount(b.Account)
	if err != nil {
		return err
	}
	if b.Role == Nobody || b.Role > Auditor || a.Kind != Person {
		return fmt.Errorf("only a person can be a member, with a known role")
	}
	if _, ok := n.Members[a.UID]; ok {
		return fmt.Errorf("%s is a member already", a.UID.Short())
	}
	if len(n.Members) >= MaxMembers {
		return fmt.Errorf("%d members is the most a project can have", MaxMembers)
	}
	// An auditor sees who did what and holds no key at all.
	if (b.Role == Auditor) != (len(b.Wrap) == 0) || len(b.Wrap) > maxWrap {
		return fmt.Errorf("field wrap does not fit role %s", b.Role)
	}
	if err := need(role, b.Role.manages()); err != nil {
		return err
	}
	n.Members[a.UID] = Member{Account: a, Role: b.Role, Seq: l.Seq, Wrap: b.Wrap, Epoch: n.Epoch().Number}
	return nil
}

func (n *State) remove(l *Link, role Role) error {
	var b RemoveBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return err
	}
	m, ok := n.Members[b.UID]
	if !ok {
		return fmt.Errorf("%s is not a member", b.UID.Short())
	}
	if b.UID == l.Author {
		return fmt.Errorf("a member cannot remove himself: he would know the new key; ask an owner")
	}
	if err := need(role, m.Role.manages()); err != nil {
		return err
	}
	delete(n.Members, b.UID)
	n.Former[b.UID] = m
	if !n.owned() {
		return ErrOwners
	}
	return n.newEpoch(b.Epoch)
}

func (n *State) rotate(l *Link, role Role) error {
	var b RotateBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return err
	}
	if err := need(role, OpManage); err != nil {
		return err
	}
	return n.newEpoch(b.Epoch)
}

func (n *State) put(l *Link, role Role) error {
	var b PutBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return err
	}
	if b.Index.IsZero() {
		return fmt.Errorf("field index is empty")
	}
	n.Index = b.Index
	return need(role, OpWrite)
}

func (n *State) grant(l *Link, role Role) error {
	var b GrantBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return err
	}
	a, err := OpenAccount(b.Node)
	if err != nil {
		return err
	}
	if a.Kind != Node {
		return fmt.Errorf("a grant is for a node, %s is a %s", a.UID.Short(), a.Kind)
	}
	name := id.Of(l.Body)
	n.Grants[name] = Grant{ID: name, Node: a, NotAfter: time.Unix(b.NotAfter, 0)}
	return need(role, OpGrant)
}

func (n *State) ungrant(l *Link, role Role) error {
	var b UngrantBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return err
	}
	if _, ok := n.Grants[b.Grant]; !ok {
		return ErrGrant
	}
	delete(n.Grants, b.Grant)
	return need(role, OpGrant)
}

func (n *State) newEpoch(e Epoch) error {
	if want := n.Epoch().Number + 1; e.Number != want {
		return fmt.Errorf("new epoch is %d, want %d", e.Number, want)
	}
	if len(e.Prev) == 0 || len(e.Prev) > maxSealedKey || e.Wraps.IsZero() {
		return fmt.Errorf("new epoch lacks the previous key or the wraps")
	}
	n.Epochs = append(n.Epochs, e)
	return nil
}

func (n *State) owned() bool {
	for _, m := range n.Members {
		if m.Role == Owner {
			return true
		}
	}
	return false
}

func need(r Role, op Op) error {
	if !r.Allows(op) {
		return fmt.Errorf("%w: role %s", ErrRight, r)
	}
	return nil
}
