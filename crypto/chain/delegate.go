package chain

import (
	"fmt"
	"slices"
	"time"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// MaxDelegations bounds the delegations of a project.
const MaxDelegations = 256

// maxDepth is how often what was lent can be lent on.
const maxDepth = 8

// ErrDelegation is wrapped when a delegation gives more, or for longer, than the
// one who makes it has.
var ErrDelegation = fmt.Errorf("%w: not to be delegated", ErrRight)

// Delegation is rights lent to a member until a time. They are worth no more
// than the lender's own at the moment of use: who loses a right takes it from
// all he lent it to.
type Delegation struct {
	By, To   UID
	Ops      []Op
	NotAfter time.Time
	Parent   id.ID // zero: the lender's role is what it comes from
}

// BodyID is the id by which a delegation or a grant is known: SHA-256 of its
// encoded body.
func BodyID(body any) (id.ID, error) { return digest(body) }

// AllowsAt reports whether u may do op at time t, by role or by what was lent to
// him.
func (s *State) AllowsAt(u UID, op Op, t time.Time) bool {
	if s.Allows(u, op) {
		return true
	}
	for i := range s.Delegations {
		if d := s.Delegations[i]; d.To == u && s.lends(d, op, t, maxDepth) {
			return true
		}
	}
	return false
}

// lends reports whether d is worth op at time t, back to somebody's role.
func (s *State) lends(d Delegation, op Op, t time.Time, depth int) bool {
	if depth == 0 || !t.Before(d.NotAfter) || !slices.Contains(d.Ops, op) || s.Members[d.To].Role == Nobody {
		return false
	}
	if d.Parent.IsZero() {
		return s.Allows(d.By, op)
	}
	p, ok := s.Delegations[d.Parent]
	return ok && p.To == d.By && s.lends(p, op, t, depth-1)
}

// may is nil when the author of l has the right to op. A right that was lent is
// good only for a link that is not dated back.
func (s *State) may(l *Link, op Op) error {
	if s.Allows(l.Author, op) {
		return nil
	}
	if s.AllowsAt(l.Author, op, l.time()) && s.forward(l) {
		return nil
	}
	return fmt.Errorf("%w: role %s", ErrRight, s.Members[l.Author].Role)
}

// forward reports whether l is not dated before the latest of the links up to
// s. It is the latest and not the one before: that one's author need not have
// used a right that ends, so nobody looked at its time.
func (s *State) forward(l *Link) bool {
	return l.time().After(time.UnixMilli(s.Clock).Add(-skew))
}

func (n *State) delegate(l *Link, s *State) error {
	var b DelegateBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return err
	}
	d := Delegation{By: l.Author, To: b.To, Ops: b.Ops, NotAfter: time.Unix(b.NotAfter, 0), Parent: b.Parent}
	if err := n.delegable(d, l.time()); err != nil {
		return err
	}
	name := id.Of(l.Body)
	if _, ok := n.Delegations[name]; ok {
		return fmt.Errorf("%w: there is one just like it", ErrDelegation)
	}
	n.Delegations[name] = d
	if !d.Parent.IsZero() && !s.forward(l) {
		return fmt.Errorf("%w: the link is dated before an earlier one", ErrDelegation)
	}
	for _, op := range b.Ops {
		if d.Parent.IsZero() && !s.Allows(l.Author, op) || !d.Parent.IsZero() && !n.lends(d, op, l.time(), maxDepth) {
			return fmt.Errorf("%w: the author does not have %s", ErrDelegation, op)
		}
	}
	return nil
}

// delegable holds a delegation to the rules that do not depend on a right.
func (n *State) delegable(d Delegation, now time.Time) error {
	to := n.Members[d.To]
	switch {
	case to.Role == Nobody || d.To == d.By:
		return fmt.Errorf("%w: %s is not another member", ErrDelegation, d.To.Short())
	case to.Role == Auditor:
		return fmt.Errorf("%w: an auditor holds no key", ErrDelegation)
	case len(d.Ops) == 0 || !slices.IsSorted(d.Ops) || len(slices.Compact(slices.Clone(d.Ops))) != len(d.Ops) || d.Ops[0] < OpWrite || d.Ops[len(d.Ops)-1] > OpManage:
		return fmt.Errorf("%w: only write, job, grant and manage, each once and in this order", ErrDelegation)
	case !now.Before(d.NotAfter):
		return fmt.Errorf("%w: it is over already", ErrDelegation)
	case len(n.Delegations) >= MaxDelegations:
		return fmt.Errorf("%d delegations are the most a project can have", MaxDelegations)
	}
	if d.Parent.IsZero() {
		return nil
	}
	p, ok := n.Delegations[d.Parent]
	if !ok || p.To != d.By || d.NotAfter.After(p.NotAfter) {
		return fmt.Errorf("%w: %s does not lend this to %s for so long", ErrDelegation, d.Parent.Short(), d.By.Short())
	}
	return nil
}

func (n *State) undelegate(l *Link, may right) error {
	var b UndelegateBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return err
	}
	d, ok := n.Delegations[b.ID]
	if !ok {
		return fmt.Errorf("%w: there is no delegation %s", ErrDelegation, b.ID.Short())
	}
	if d.By != l.Author && d.To != l.Author {
		if err := may(OpManage); err != nil {
			return err
		}
	}
	delete(n.Delegations, b.ID)
	n.cutDelegations(func(Delegation) bool { return false })
	return nil
}

// cutDelegations deletes those that cut names, and all that were made from them.
func (n *State) cutDelegations(cut func(Delegation) bool) {
	for again := true; again; {
		again = false
		for i, d := range n.Delegations {
			_, parent := n.Delegations[d.Parent]
			if cut(d) || !d.Parent.IsZero() && !parent {
				delete(n.Delegations, i)
				again = true
			}
		}
	}
}
