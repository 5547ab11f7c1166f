package project

import (
	"context"
	"fmt"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// Brought is how a project came to know an account link: a link of the project
// brought it, and a key that was made since is wrapped to what it says.
type Brought struct {
	Seq   uint64 // of the project's link; 0 is the genesis
	Link  id.ID  // its id
	Epoch uint32 // in force now
	Since uint64 // the project's link that put that epoch in force
}

// Fresh reports whether the epoch in force is younger than the account link.
func (b Brought) Fresh() bool { return b.Since > b.Seq || b.Since == 0 && b.Seq == 0 }

// BroughtBy finds the link of the project that brought account link name of
// member u. It reads back from the head; the links were verified when the project
// was opened, and their hashes are checked again. ErrNotFound when there is none.
func (p *Project) BroughtBy(ctx context.Context, u chain.UID, name id.ID) (Brought, error) {
	b := Brought{Epoch: p.state.Epoch().Number}
	found := false
	for at := p.state.Head; ; {
		raw, err := ReadBlob(ctx, p.srv, at, chain.MaxLink)
		if err != nil {
			return b, err
		}
		l, epoch, brings, err := peek(raw, u, name)
		if err != nil {
			return b, err
		}
		if epoch == b.Epoch && b.Since == 0 {
			b.Since = l.Seq
		}
		if brings && !found {
			b.Seq, b.Link, found = l.Seq, at, true
		}
		if found && (b.Since != 0 || b.Epoch == 1) {
			return b, nil
		}
		if l.Prev.IsZero() {
			break
		}
		at = l.Prev
	}
	if !found {
		return b, fmt.Errorf("%w: account link %s of %s", ErrNotFound, name.Short(), u.Short())
	}
	return b, nil
}

// peek reads a verified link: the epoch that it starts, 0 for none, and whether
// it brings account link name of u.
func peek(raw []byte, u chain.UID, name id.ID) (l chain.Link, epoch uint32, brings bool, err error) {
	var s doc.Signed
	if err = doc.DecodeTrusted(raw, &s); err != nil {
		return
	}
	if err = doc.DecodeTrusted(s.Body, &l); err != nil {
		return
	}
	has := func(links [][]byte) bool {
		for _, r := range links {
			if id.Of(r) == name {
				return true
			}
		}
		return false
	}
	for _, n := range l.Accounts {
		brings = brings || n.UID == u && has(n.Links)
	}
	switch l.Kind {
	case chain.KindAdd:
		var b chain.AddBody
		err = doc.DecodeTrusted(l.Body, &b)
		brings = brings || has(b.Links)
	case chain.KindRotate:
		var b chain.RotateBody
		err = doc.DecodeTrusted(l.Body, &b)
		epoch = b.Epoch.Number
	case chain.KindRemove:
		var b chain.RemoveBody
		err = doc.DecodeTrusted(l.Body, &b)
		epoch = b.Epoch.Number
	}
	return
}
