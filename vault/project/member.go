package project

import (
	"context"
	"fmt"
	"maps"
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
	Versions int   // of them, the older ones too
	Bytes    int64 // of plaintext in all of those
}

func putBody(blob []byte) chain.PutBody { return chain.PutBody{Index: id.Of(blob)} }

// Share makes a the holder of role: the epoch key is wrapped to a's keys and
// the membership signed, in one link. Whether a's keys are really his must be
// settled before: the server is the one who handed them over.
func (p *Project) Share(ctx context.Context, a *chain.Account, role chain.Role) error {
	return p.add(ctx, a, role, chain.InviteID{})
}

func (p *Project) add(ctx context.Context, a *chain.Account, role chain.Role, invite chain.InviteID) error {
	if err := p.trust(a); err != nil {
		return err
	}
	return p.retry(ctx, func() error {
		b := chain.AddBody{Account: a.Raw, Links: a.Links, Role: role, Wrap: []byte{}, Invite: invite}
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

// SetRole changes what a member may do.
func (p *Project) SetRole(ctx context.Context, u chain.UID, role chain.Role) error {
	return p.retry(ctx, func() error { return p.extend(ctx, chain.KindRole, chain.RoleBody{UID: u, Role: role}) })
}

// Leave ends my own membership. The key that I know stays in force until
// somebody who may manage the project rotates it.
func (p *Project) Leave(ctx context.Context) error {
	return p.retry(ctx, func() error { return p.extend(ctx, chain.KindLeave, chain.LeaveBody{}) })
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
		err := p.newKey(ctx, without(p.state.Members, u), func(e chain.Epoch) error {
			return p.extend(ctx, chain.KindRemove, chain.RemoveBody{UID: u, Epoch: e})
		})
		if err == nil {
			rep = p.report(u, m)
		}
		return err
	})
	return rep, err
}

// Rotate starts a new epoch. What is written from now on is sealed under a key
// that nobody had before.
func (p *Project) Rotate(ctx context.Context) error {
	return p.retry(ctx, func() error {
		return p.newKey(ctx, p.state.Members, func(e chain.Epoch) error {
			return p.extend(ctx, chain.KindRotate, chain.RotateBody{Epoch: e})
		})
	})
}

// newKey makes the key of the next epoch for members, stores the wraps and lets
// link put it in force.
func (p *Project) newKey(ctx context.Context, members map[chain.UID]chain.Member, link func(chain.Epoch) error) error {
	if me := p.me.Account.UID; !p.state.AllowsAt(me, chain.OpManage, p.now()) { // before anything is sent
		return fmt.Errorf("%w: role %s", chain.ErrRight, p.state.Members[me].Role)
	}
	old := p.state.Epoch().Number
	prev, err := p.keys.key(old)
	if err != nil {
		return err
	}
	members = maps.Clone(members)
	for u, m := range members {
		if u == p.me.Account.UID {
			m.Account = p.me.Account // its links come with mine
			members[u] = m
		} else if err := p.trust(m.Account); m.Role.Allows(chain.OpRead) && err != nil {
			return err
		}
	}
	e, key, wraps, err := newEpoch(p.state.Nonce, old+1, &prev, members)
	if err != nil {
		return err
	}
	if err := p.putBytes(ctx, wraps); err != nil {
		return err
	}
	if err := link(e); err != nil {
		return err
	}
	p.keys[e.Number] = key
	return nil
}

// trust asks whether a key may be wrapped for a: his keys may not be the ones
// that were accepted.
func (p *Project) trust(a *chain.Account) error {
	if p.Trust == nil {
		return nil
	}
	return p.Trust(a)
}

// Learn publishes account links that others have and the project does not, with
// those of my own account. Without any it does nothing.
func (p *Project) Learn(ctx context.Context, others ...*chain.Account) error {
	return p.retry(ctx, func() error {
		fresh := false
		for _, a := range append([]*chain.Account{p.me.Account}, others...) {
			m, ok := p.state.Members[a.UID]
			fresh = fresh || ok && a.Seq > m.Account.Seq
		}
		if !fresh {
			return nil
		}
		return p.extendWith(ctx, chain.KindAccount, chain.AccountBody{}, others)
	})
}

// Delegate lends some of my rights to member to until a time, and gives the id
// by which the delegation is known. parent is the delegation that they come
// from, zero for those of my role.
func (p *Project) Delegate(ctx context.Context, to chain.UID, ops []chain.Op, until time.Time, parent id.ID) (id.ID, error) {
	slices.Sort(ops)
	b := chain.DelegateBody{To: to, Ops: ops, NotAfter: until.Unix(), Parent: parent}
	i, err := chain.BodyID(b)
	if err != nil {
		return i, err
	}
	return i, p.retry(ctx, func() error { return p.extend(ctx, chain.KindDelegate, b) })
}

// Undelegate ends a delegation and all that were made from it.
func (p *Project) Undelegate(ctx context.Context, i id.ID) error {
	return p.retry(ctx, func() error { return p.extend(ctx, chain.KindUndelegate, chain.UndelegateBody{ID: i}) })
}

// Ungrant ends a grant before its time.
func (p *Project) Ungrant(ctx context.Context, i id.ID) error {
	return p.retry(ctx, func() error { return p.extend(ctx, chain.KindUngrant, chain.UngrantBody{Grant: i}) })
}

func (p *Project) report(u chain.UID, m chain.Member) Report {
	r := Report{UID: u, Name: m.Account.Name, Role: m.Role, NewEpoch: p.state.Epoch().Number}
	if !m.Role.Allows(chain.OpRead) {
		return r
	}
	for _, it := range p.index.Items {
		r.Items++
		for _, h := range it.Held {
			r.Versions += int(h.Versions)
			r.Bytes += h.Bytes
		}
	}
	return r
}

// Granting is what a node is granted: to run jobs of this project until a time.
// With a key, jobs are for that key only; it must come from a verdict about the
// machine (channel.JobKeyOf), with the name of the AK that certified it.
type Granting struct {
	Node   *chain.Account
	Until  time.Time
	Key    []byte
	AKName []byte
	Op     chain.GrantOp // 0: chain.GrantBlind
	Models []id.ID       // in any order; none: any model
}

// Grant writes g down, and returns the id that a job names it by.
func (p *Project) Grant(ctx context.Context, g Granting) (id.ID, error) {
	models := slices.Compact(slices.SortedFunc(slices.Values(g.Models), id.Compare))
	b := chain.GrantBody{Node: g.Node.Raw, NotAfter: g.Until.Unix(), Key: g.Key, AKName: g.AKName, Op: g.Op, Models: models}
	i, err := chain.GrantID(b)
	if err != nil {
		return id.ID{}, err
	}
	return i, p.retry(ctx, func() error { return p.extend(ctx, chain.KindGrant, b) })
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
