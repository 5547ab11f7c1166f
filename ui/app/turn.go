package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/keys"
	"cipherdeck/crypto/progress"
	"cipherdeck/remote/api"
	"cipherdeck/vault"
	"cipherdeck/vault/account"
	"cipherdeck/vault/project"
)

// ErrUnfinished is wrapped when a change of keys has not reached everybody yet.
var ErrUnfinished = errors.New("the new keys have not reached every server and project")

// Turn is how far a change of my account's keys has come. Where all is done it is
// the proof of it: which link of each project brought the keys, and that its
// epoch is younger.
type Turn struct {
	UID      string        `json:"uid"`
	Times    int           `json:"rotations"`
	Begun    bool          `json:"begun"` // now; false: it went on with one from before, or only looked
	Link     uint64        `json:"account_link"`
	LinkID   id.ID         `json:"account_link_id"`
	Servers  []Handed      `json:"servers"`
	Projects []ProjectTurn `json:"projects"`
	Devices  []string      `json:"devices"` // others of mine, which need the keys by device keys
	Done     bool          `json:"done"`
}

// ProjectTurn is how far it has come in one project.
type ProjectTurn struct {
	Name  string   `json:"name"`
	ID    id.ID    `json:"id"`
	Seq   uint64   `json:"link,omitempty"` // that brought the keys
	Link  id.ID    `json:"link_id,omitzero"`
	Epoch uint32   `json:"epoch,omitempty"`
	Since uint64   `json:"epoch_since,omitempty"` // link that started it
	Done  bool     `json:"done"`
	Cause string   `json:"cause,omitempty"`
	Who   []string `json:"who_can,omitempty"` // make the new epoch that I may not make
}

// RotateAccount gives my account new RSA and X-Wing keys, and brings them to every
// server and project. A change that was begun and is not finished is gone on with
// instead. The link and the keys that belong to it are saved together before
// anybody else learns of them, so that there is no moment at which a kill would
// lose either. bits is the size of the RSA key; 0: as it is, 3072 at least.
//
// The error wraps ErrUnfinished when something is left, account.ErrTyped for keys
// that follow from a secret.
func (a *App) RotateAccount(ctx context.Context, bits int, sink progress.Sink) (Turn, error) {
	if err := a.strengthen(); err != nil {
		return Turn{}, err
	}
	if err := a.contactAll(ctx); err != nil {
		return Turn{}, err
	}
	t, err := a.AccountTurn(ctx)
	if err != nil && !errors.Is(err, ErrUnfinished) {
		return t, err
	}
	begun := err == nil // nothing is left of an earlier one
	if begun {
		if err := a.turnKeys(ctx, bits, sink); err != nil {
			return Turn{}, err
		}
	}
	a.hand(ctx)
	if err := a.bringKeys(ctx, sink); err != nil {
		return t, err
	}
	t, err = a.AccountTurn(ctx)
	t.Begun = begun
	return t, err
}

// turnKeys makes the keys and saves them with their link.
func (a *App) turnKeys(ctx context.Context, bits int, sink progress.Sink) error {
	_, me, err := a.opened()
	if err != nil {
		return err
	}
	if bits == 0 {
		bits = max(defaultRSA, me.Pair.RSA.N.BitLen())
		bits = min(8192, (bits+1023)/1024*1024)
		if bits > 4096 {
			bits = 8192
		}
	}
	if c, err := a.ownCheck(); err != nil || c != nil { // before seconds of work
		return errors.Join(err, account.ErrTyped)
	}
	if err := (NewIdentity{Bits: bits}).check(); err != nil {
		return err
	}
	seed, err := keys.NewSeed(rand.Reader)
	if err != nil {
		return err
	}
	old := me.Account.Head
	made, err := patiently(ctx, sink, bits, func(ctx context.Context) (vault.Account, error) {
		r, err := keys.RSA(ctx, seed, bits)
		if err != nil {
			return vault.Account{}, err
		}
		var acc vault.Account
		if err := a.view(func(s vault.State) { acc = s.Account }); err != nil {
			return acc, err
		}
		return account.Turn(acc, rand.Reader, r, a.Now())
	})
	if err != nil {
		return err
	}
	return a.changeAccount(func(acc vault.Account) (vault.Account, error) {
		now, err := chain.OpenAccountChain(acc.Genesis, acc.Links)
		if err == nil && now.Head != old {
			err = fmt.Errorf("%w: another program changed the account meanwhile", ErrTaken)
		}
		return made, err
	})
}

// bringKeys publishes my account's links in every project that I am in and makes a
// new epoch where one is due by them and I may. What fails is seen by AccountTurn.
func (a *App) bringKeys(ctx context.Context, sink progress.Sink) error {
	all, err := a.Projects()
	if err != nil {
		return err
	}
	sink.Phase("projects", int64(len(all)), progress.Items)
	for _, info := range all {
		err := a.bringTo(ctx, info)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			a.notice(fmt.Sprintf("project %s: %v", info.Name, err))
		}
		sink.Add(1)
	}
	return nil
}

func (a *App) bringTo(ctx context.Context, info ProjectInfo) error {
	p, err := a.Project(ctx, info.ID.String())
	if err != nil {
		return err
	}
	if err := p.Learn(ctx); err != nil {
		return err
	}
	if err := a.noteHead(p); err != nil {
		return err
	}
	t, err := a.projectTurn(ctx, p, info)
	if err != nil || t.Done || len(t.Who) > 0 {
		return err
	}
	if err := p.Rotate(ctx); err != nil {
		return err
	}
	return a.noteHead(p)
}

// AccountTurn looks how far the last change of my account's keys has come. The
// error wraps ErrUnfinished when something is left.
func (a *App) AccountTurn(ctx context.Context) (Turn, error) {
	_, me, err := a.opened()
	if err != nil {
		return Turn{}, err
	}
	t := Turn{UID: me.Account.UID.String(), Times: me.Account.Rotations, Servers: []Handed{}, Projects: []ProjectTurn{}, Devices: []string{}, Done: true}
	if t.Times == 0 {
		return t, nil
	}
	link, err := lastTurn(me.Account)
	if err != nil {
		return t, err
	}
	t.Link, t.LinkID = link.Seq, link.Link
	this, err := me.Key().ID()
	if err != nil {
		return t, err
	}
	for _, d := range me.Account.Devices {
		if d.Revoked == 0 && d.ID != this {
			t.Devices = append(t.Devices, d.Name)
		}
	}
	if t.Servers, err = a.serversHave(ctx, t.LinkID); err != nil {
		return t, err
	}
	all, err := a.Projects()
	if err != nil {
		return t, err
	}
	for _, info := range all {
		p, err := a.Project(ctx, info.ID.String())
		pt := ProjectTurn{Name: info.Name, ID: info.ID}
		if err == nil {
			pt, err = a.projectTurn(ctx, p, info)
		}
		if err != nil {
			pt.Cause = err.Error()
		}
		t.Projects = append(t.Projects, pt)
	}
	return t, t.left(ctx)
}

// left says what is not done.
func (t *Turn) left(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	servers, projects := 0, 0
	for _, s := range t.Servers {
		if !s.Has {
			servers++
		}
	}
	for _, p := range t.Projects {
		if !p.Done {
			projects++
		}
	}
	if t.Done = servers+projects == 0; t.Done {
		return nil
	}
	return fmt.Errorf("%w: %d of %d servers and %d of %d projects are left", ErrUnfinished, servers, len(t.Servers), projects, len(t.Projects))
}

func lastTurn(acc *chain.Account) (chain.Event, error) {
	events, err := acc.Events(0)
	if err != nil {
		return chain.Event{}, err
	}
	for _, e := range slices.Backward(events) {
		if e.Kind == chain.AccountRotate {
			return e, nil
		}
	}
	return chain.Event{}, fmt.Errorf("%w: no rotation", chain.ErrAccount)
}

// serversHave asks every pinned server for account link i of mine.
func (a *App) serversHave(ctx context.Context, i id.ID) ([]Handed, error) {
	all, err := a.Servers()
	if err != nil {
		return nil, err
	}
	_, me, err := a.opened()
	if err != nil {
		return nil, err
	}
	out := []Handed{}
	for _, s := range all {
		h := Handed{Server: s.Name}
		c, err := a.store(s.Name)
		if err == nil {
			_, err = c.LinksAfter(ctx, me.Account.UID, i)
		}
		switch {
		case err == nil:
			h.Has = true
		case errors.Is(err, api.ErrNotFound):
			h.Cause = "the server does not have the link"
		default:
			h.Cause = err.Error()
		}
		out = append(out, h)
	}
	return out, nil
}

// projectTurn looks how far it has come in p.
func (a *App) projectTurn(ctx context.Context, p *project.Project, info ProjectInfo) (ProjectTurn, error) {
	t := ProjectTurn{Name: info.Name, ID: info.ID}
	_, me, err := a.opened()
	if err != nil {
		return t, err
	}
	link, err := lastTurn(me.Account)
	if err != nil {
		return t, err
	}
	b, err := p.BroughtBy(ctx, me.Account.UID, link.Link)
	if errors.Is(err, project.ErrNotFound) {
		t.Cause = "the project does not know the keys yet"
		return t, nil
	}
	if err != nil {
		return t, err
	}
	t.Seq, t.Link, t.Epoch, t.Since = b.Seq, b.Link, b.Epoch, b.Since
	reads := p.State().Members[me.Account.UID].Role.Allows(chain.OpRead)
	if t.Done = b.Fresh() || !reads; t.Done {
		return t, nil
	}
	t.Cause = "the project's key is from before"
	if !p.State().AllowsAt(me.Account.UID, chain.OpManage, a.Now()) {
		for _, u := range chain.SortedUIDs(p.State().Members) {
			if u != me.Account.UID && p.State().Allows(u, chain.OpManage) {
				t.Who = append(t.Who, p.State().Members[u].Account.Name)
			}
		}
	}
	return t, nil
}
