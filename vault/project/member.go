package project

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/vault/account"
)

// Report says what a removed member could read, and what he cannot.
type Report struct {
	UID      chain.UID
	Name     string
	Role     chain.Role
	NewEpoch uint32
	Items    int   // he could read, and may have copied
	Bytes    int64 // of plaintext in them
}

func putBody(blob []byte) chain.PutBody { return chain.PutBody{Index: id.Of(blob)} }

// Share makes a the holder of role: the epoch key is wrapped to a's keys and
// the membership signed, in one link. Whether a's keys are really his must be
// settled before: the server is the one who handed them over.
func (p *Project) Share(ctx context.Context, a *chain.Account, role chain.Role) error {
	return p.retry(ctx, func() error {
		b := chain.AddBody{Account: a.Raw, Links: a.Links, Role: role, Wrap: []byte{}}
		if role.Allows(chain.OpRead) {
			e := p.state.Epoch().Number
			key, err := p.keys.key(e)
			if err != nil {
				return err
			}
			if b.Wrap, err = wrapFor(a, key, p.state.Nonce, e); err != nil {
				return err
			}
		}
		return p.extend(ctx, chain.KindAdd, b)
	})
}

// Remove ends u's membership and starts a new epoch in the same link, so that
// u can open nothing that is written from now on. It says what u could read.
func (p *Project) Remove(ctx context.Context, u chain.UID) (Report, error) {
	var rep Report
	err := p.retry(ctx, func() error {
		m, ok := p.state.Members[u]
		if !ok {
			return fmt.Errorf("%w: %s", ErrNotMember, u.Short())
		}
		rest := p.state.Members
		rest = without(rest, u)
		old := p.state.Epoch().Number
		prev, err := p.keys.key(old)
		if err != nil {
			return err
		}
		e, key, wraps, err := newEpoch(p.state.Nonce, old+1, &prev, rest)
		if err != nil {
			return err
		}
		if err := p.putBytes(ctx, wraps); err != nil {
			return err
		}
		if err := p.extend(ctx, chain.KindRemove, chain.RemoveBody{UID: u, Epoch: e}); err != nil {
			return err
		}
		p.keys[e.Number] = key
		rep = p.report(u, m)
		return nil
	})
	return rep, err
}

func (p *Project) report(u chain.UID, m chain.Member) Report {
	r := Report{UID: u, Name: m.Account.Name, Role: m.Role, NewEpoch: p.state.Epoch().Number}
	if !m.Role.Allows(chain.OpRead) {
		return r
	}
	for _, it := range p.index.Items {
		r.Items++
		r.Bytes += it.Size
	}
	return r
}

// Grant lets node run jobs of this project until a time, and returns the id
// that a job names it by.
func (p *Project) Grant(ctx context.Context, node *chain.Account, until time.Time) (id.ID, error) {
	b := chain.GrantBody{Node: node.Raw, NotAfter: until.Unix()}
	g, err := chain.GrantID(b)
	if err != nil {
		return id.ID{}, err
	}
	return g, p.retry(ctx, func() error { return p.extend(ctx, chain.KindGrant, b) })
}

// Reach is what an identity can open from everything that a server holds,
// whether or not the server would hand it over: the answer to "what can he
// still read?" without believing anybody.
type Reach struct {
	Epochs    []uint32 // whose keys it can open
	Newest    uint32   // epoch in force
	IndexOpen bool     // whether it opens the newest index
}

// ReachOf computes the reach of me in project pid.
func ReachOf(ctx context.Context, srv Server, me *account.Me, pid id.ID) (Reach, error) {
	h, err := history(ctx, srv, pid, Seen{})
	if err != nil {
		return Reach{}, err
	}
	st := h.state
	keys, err := reach(ctx, srv, me, st)
	if err != nil {
		return Reach{}, err
	}
	r := Reach{Newest: st.Epoch().Number}
	for e := range keys {
		r.Epochs = append(r.Epochs, e)
	}
	slices.Sort(r.Epochs)
	blob, err := ReadBlob(ctx, srv, st.Index, maxIndexBlob)
	if err != nil {
		return r, err
	}
	_, err = openIndex(st.Nonce, keys, blob)
	r.IndexOpen = err == nil
	return r, nil
}

func without(members map[chain.UID]chain.Member, u chain.UID) map[chain.UID]chain.Member {
	rest := make(map[chain.UID]chain.Member, len(members))
	for k, m := range members {
		if k != u {
			rest[k] = m
		}
	}
	return rest
}

// WrapsFor reports for whom the key of epoch number is wrapped on the server.
func (p *Project) WrapsFor(ctx context.Context, number uint32) ([]chain.UID, error) {
	i := slices.IndexFunc(p.state.Epochs, func(e chain.Epoch) bool { return e.Number == number })
	if i < 0 {
		return nil, fmt.Errorf("%w: epoch %d", ErrNotFound, number)
	}
	raw, err := ReadBlob(ctx, p.srv, p.state.Epochs[i].Wraps, maxWraps)
	if err != nil {
		return nil, err
	}
	var wraps []chain.Wrap
	if err := doc.Decode(raw, &wraps); err != nil {
		return nil, err
	}
	var who []chain.UID
	for _, w := range wraps {
		who = append(who, w.UID)
	}
	return who, nil
}
