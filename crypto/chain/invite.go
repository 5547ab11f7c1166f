package chain

import (
	"fmt"
	"time"

	"cipherdeck/crypto/doc"
)

// MaxInvites bounds the open invitations of a project.
const MaxInvites = 256

// InviteLife is the longest that an invitation may stay open.
const InviteLife = 30 * 24 * time.Hour

// skew is how far the clocks of two members may be apart.
const skew = 5 * time.Minute

// time is when the link says that it was made. A member can write anything
// there; the server refuses a link whose time is far from its own, and may lets
// no rights that end be used with a time before that of any earlier link.
func (l *Link) time() time.Time { return time.UnixMilli(l.Time) }

func (n *State) invite(l *Link, may right) error {
	var b InviteBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return err
	}
	until := time.Unix(b.NotAfter, 0)
	switch _, ok := n.Invites[b.ID]; {
	case ok || b.ID == InviteID{}:
		return fmt.Errorf("%w: its id was used before", ErrInvite)
	case !b.Role.known() || b.Role == Owner:
		return fmt.Errorf("an invitation is for admin, writer, reader or auditor")
	case len(n.Invites) >= MaxInvites:
		return fmt.Errorf("%d open invitations are the most a project can have", MaxInvites)
	case until.After(l.time().Add(InviteLife + skew)):
		return fmt.Errorf("%w: it stays open for longer than %s", ErrInvite, InviteLife)
	}
	n.Invites[b.ID] = Invite{Role: b.Role, NotAfter: until, By: l.Author}
	return may(b.Role.manages())
}

func (n *State) uninvite(l *Link, may right) error {
	var b UninviteBody
	if err := doc.Decode(l.Body, &b); err != nil {
		return err
	}
	v, ok := n.Invites[b.ID]
	if !ok {
		return ErrInvite
	}
	delete(n.Invites, b.ID)
	if v.By == l.Author {
		return nil
	}
	return may(v.Role.manages())
}

// use closes an invitation with the membership that it led to.
func (n *State) use(i InviteID, r Role, now time.Time) error {
	v, ok := n.Invites[i]
	switch {
	case !ok:
		return fmt.Errorf("%w: %s", ErrInvite, i)
	case now.After(v.NotAfter):
		return fmt.Errorf("%w: it ended %s", ErrInvite, v.NotAfter.UTC().Format(time.RFC3339))
	case v.Role != r:
		return fmt.Errorf("%w: it is for role %s, not %s", ErrInvite, v.Role, r)
	}
	delete(n.Invites, i)
	return nil
}
