package chain

import (
	"bytes"
	"crypto/ecdh"
	"fmt"
	"time"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// maxWrap bounds the wrapped epoch key in an add link, in bytes.
const maxWrap = 4 << 10

// maxSealedKey bounds the previous epoch key sealed under the new one.
const maxSealedKey = 256

// apply changes n, which is a copy of s, by the rules of the link's kind. Rights
// are those that the author has in s.
func (n *State) apply(l *Link, s *State) error {
	may := func(op Op) error { return s.may(l, op) }
	switch l.Kind {
	case KindAdd:
		return n.add(l, may)
	case KindRole:
		return n.role(l, may)
	case KindRemove:
		return n.remove(l, may)
	case KindLeave:
		return n.leave(l)
	case KindRotate:
		return n.rotate(l, may)
	case KindPut:
		return n.put(l, may)
	case KindGrant:
		return n.grant(l, may)
	case KindUngrant:
		return n.ungrant(l, may)
	case KindInvite:
		return n.invite(l, may)
	case KindUninvite:
		return n.uninvite(l, may)
	case KindDelegate:
		return n.delegate(l, s)
	case KindUndelegate:
		return n.undelegate(l, may)
	case KindAccount:
		return n.account(l)
	}
	return fmt.Errorf("kind %q is not known", l.Kind)
}

// right asks whether the author of the link under way may do op.
type right func(op Op) error

func (n *State) add(l *Link, may right) error {
	var b AddBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return err
	}
	a, err := OpenAccountChain(b.Account, b.Links)
	if err != nil {
		return err
	}
	if !b.Role.known() || a.Kind != Person {
		return fmt.Errorf("only a person can be a member, with a known role")
	}
	if _, ok := n.Members[a.UID]; ok {
		return fmt.Errorf("%s is a member already", a.UID.Short())
	}
	if len(n.Members) >= MaxMembers {
		return fmt.Errorf("%d members is the most a project can have", MaxMembers)
	}
	if f, ok := n.Former[a.UID]; ok && !Continues(f.Account, a) {
		return fmt.Errorf("%w: %s was a member with %d account links, the link brings others", ErrKeysChanged, a.UID.Short(), f.Account.Seq)
	}
	// An auditor sees who did what and holds no key at all.
	if (b.Role == Auditor) != (len(b.Wrap) == 0) || len(b.Wrap) > maxWrap {
		return fmt.Errorf("field wrap does not fit role %s", b.Role)
	}
	if err := may(b.Role.manages()); err != nil {
		return err
	}
	invited := b.Invite != InviteID{}
	if invited {
		if err := n.use(b.Invite, b.Role, l.time()); err != nil {
			return err
		}
	}
	delete(n.Former, a.UID)
	n.Members[a.UID] = Member{Account: a, Role: b.Role, Seq: l.Seq, Wrap: b.Wrap, Epoch: n.Epoch().Number, By: l.Author, Invited: invited}
	n.members = id.ID{}
	return nil
}

// Continues reports whether b is a, or a with more links: whether who accepted a
// may take b for the same account, later. Its keys may be others: see Rotations.
func Continues(a, b *Account) bool {
	return a.UID == b.UID && b.Seq >= a.Seq && (a.Seq == 0 || bytes.Equal(a.Links[a.Seq-1], b.Links[a.Seq-1]))
}

func (n *State) role(l *Link, may right) error {
	var b RoleBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return err
	}
	m, ok := n.Members[b.UID]
	switch {
	case !ok:
		return fmt.Errorf("%s is not a member", b.UID.Short())
	case !b.Role.known() || b.Role == m.Role:
		return fmt.Errorf("%s has that role already, or there is no such role", b.UID.Short())
	case b.Role == Auditor || m.Role == Auditor:
		return fmt.Errorf("an auditor holds no key: remove the member and add him again")
	}
	if err := may(m.Role.manages()); err != nil {
		return err
	}
	if err := may(b.Role.manages()); err != nil {
		return err
	}
	m.Role = b.Role
	n.Members[b.UID], n.members = m, id.ID{}
	if !n.owned() {
		return ErrOwners
	}
	return nil
}

func (n *State) remove(l *Link, may right) error {
	var b RemoveBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return err
	}
	m, ok := n.Members[b.UID]
	if !ok {
		return fmt.Errorf("%s is not a member", b.UID.Short())
	}
	if b.UID == l.Author {
		return fmt.Errorf("a member cannot remove himself: he would know the new key; he can leave")
	}
	if err := may(m.Role.manages()); err != nil {
		return err
	}
	if err := n.drop(b.UID); err != nil {
		return err
	}
	return n.newEpoch(b.Epoch)
}

func (n *State) leave(l *Link) error {
	var b LeaveBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return err
	}
	n.Due = n.Due || n.Members[l.Author].Role.Allows(OpRead)
	return n.drop(l.Author)
}

// drop ends a membership, with all that the member lent and opened.
func (n *State) drop(u UID) error {
	n.Former[u] = n.Members[u]
	delete(n.Members, u)
	n.members = id.ID{}
	for i, v := range n.Invites {
		if v.By == u {
			delete(n.Invites, i)
		}
	}
	n.cutDelegations(func(d Delegation) bool { return d.By == u || d.To == u })
	if !n.owned() {
		return ErrOwners
	}
	return nil
}

func (n *State) rotate(l *Link, may right) error {
	var b RotateBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return err
	}
	if err := may(OpManage); err != nil {
		return err
	}
	return n.newEpoch(b.Epoch)
}

func (n *State) put(l *Link, may right) error {
	var b PutBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return err
	}
	if b.Index.IsZero() {
		return fmt.Errorf("field index is empty")
	}
	n.Index = b.Index
	return may(OpWrite)
}

func (n *State) grant(l *Link, may right) error {
	var b GrantBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return err
	}
	g, err := b.grant(id.Of(l.Body))
	if err != nil {
		return err
	}
	g.By, g.Seq = l.Author, l.Seq
	n.Grants[g.ID] = g
	return may(OpGrant)
}

// OpenGrant reads the body of the grant link that jobs name i. It says what was
// granted, not that somebody who may grant did.
func OpenGrant(raw []byte, i id.ID) (Grant, error) {
	var b GrantBody
	if id.Of(raw) != i {
		return Grant{}, fmt.Errorf("%w: this is %s, not %s", ErrGrant, id.Of(raw).Short(), i.Short())
	}
	if err := doc.Decode(raw, &b); err != nil {
		return Grant{}, fmt.Errorf("%w: %w", ErrGrant, err)
	}
	g, err := b.grant(i)
	if err != nil {
		return Grant{}, fmt.Errorf("%w: %w", ErrGrant, err)
	}
	return g, nil
}

func (b GrantBody) grant(name id.ID) (Grant, error) {
	a, err := OpenAccount(b.Node)
	if err != nil {
		return Grant{}, err
	}
	if a.Kind != Node {
		return Grant{}, fmt.Errorf("a grant is for a node, %s is a %s", a.UID.Short(), a.Kind)
	}
	return Grant{ID: name, Node: a, NotAfter: time.Unix(b.NotAfter, 0), Key: b.Key, AKName: b.AKName, Op: b.Op, Models: b.Models}, b.check()
}

// maxAKName is a TPM name with the longest hash.
const maxAKName = 2 + 64

// check holds what a grant says of a machine and of jobs against the format.
func (b GrantBody) check() error {
	switch {
	case (len(b.Key) == 0) != (len(b.AKName) == 0):
		return fmt.Errorf("fields key and ak_name go together: they have %d and %d bytes", len(b.Key), len(b.AKName))
	case len(b.AKName) > maxAKName:
		return fmt.Errorf("field ak_name has %d bytes, limit %d", len(b.AKName), maxAKName)
	case b.Op > GrantBlind:
		return fmt.Errorf("field op is %d, which this program does not know", b.Op)
	case len(b.Models) > MaxGrantModels:
		return fmt.Errorf("field models has %d entries, limit %d", len(b.Models), MaxGrantModels)
	}
	if len(b.Key) > 0 {
		if _, err := ecdh.P256().NewPublicKey(b.Key); err != nil {
			return fmt.Errorf("field key is no uncompressed point on P-256")
		}
	}
	for i := 1; i < len(b.Models); i++ {
		if id.Compare(b.Models[i-1], b.Models[i]) >= 0 {
			return fmt.Errorf("field models does not ascend")
		}
	}
	return nil
}

func (n *State) ungrant(l *Link, may right) error {
	var b UngrantBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return err
	}
	if _, ok := n.Grants[b.Grant]; !ok {
		return ErrGrant
	}
	delete(n.Grants, b.Grant)
	return may(OpGrant)
}

// account is a link that brings account links: learn has followed them.
func (n *State) account(l *Link) error {
	var b AccountBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return err
	}
	if len(l.Accounts) == 0 {
		return fmt.Errorf("no account links come with it")
	}
	return nil
}

func (n *State) newEpoch(e Epoch) error {
	if want := n.Epoch().Number + 1; e.Number != want {
		return fmt.Errorf("new epoch is %d, want %d", e.Number, want)
	}
	if len(e.Prev) == 0 || len(e.Prev) > maxSealedKey || e.Wraps.IsZero() {
		return fmt.Errorf("new epoch lacks the previous key or the wraps")
	}
	n.Epochs, n.Due = append(n.Epochs, e), false
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
