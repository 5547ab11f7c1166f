package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/seal"
	"cipherdeck/crypto/words"
	"cipherdeck/vault"
	"cipherdeck/vault/account"
)

// DeviceInfo is a machine of my account.
type DeviceInfo struct {
	Name    string `json:"name"`
	ID      string `json:"id"`
	This    bool   `json:"this"`    // the one that this is
	Added   uint64 `json:"added"`   // account link; 0: the genesis
	Revoked uint64 `json:"revoked"` // account link; 0: it is valid
	PQ      bool   `json:"ml_dsa"`
}

// Devices lists the machines of my account, in the order in which they came.
func (a *App) Devices() ([]DeviceInfo, error) {
	_, me, err := a.opened()
	if err != nil {
		return nil, err
	}
	this, err := me.Key().ID()
	if err != nil {
		return nil, err
	}
	var out []DeviceInfo
	for _, d := range me.Account.Devices {
		out = append(out, DeviceInfo{Name: d.Name, ID: d.ID.String(), This: d.ID == this, Added: d.Added, Revoked: d.Revoked, PQ: d.PQ != nil})
	}
	return out, nil
}

// Approve is how a machine is approved.
type Approve struct {
	File    string // with its request
	Words   string // that it shows; "" only looks
	Out     string // file for the answer
	Force   bool   // replace it
	Without []string
	Secrets bool // hand over the secrets of the vault, too
}

// parts of a vault that an answer may leave out.
const (
	partPeople   = "people"
	partServers  = "servers"
	partProjects = "projects"
)

// Approved is what became of it.
type Approved struct {
	Request
	Done    bool     `json:"done"` // false: nothing was done, the words are to be compared
	Link    uint64   `json:"link,omitempty"`
	Out     string   `json:"answer,omitempty"`
	Given   []string `json:"given,omitempty"`
	Servers []Handed `json:"servers,omitempty"`
}

// ApproveDevice adds the machine whose request is in a file to my account, hands
// the link to the pinned servers and writes what makes that machine a full one,
// sealed to it alone. It may be repeated: what is done is not done twice.
func (a *App) ApproveDevice(ctx context.Context, n Approve) (Approved, error) {
	raw, err := readSmall(n.File, chain.MaxRequest)
	if err != nil {
		return Approved{}, err
	}
	d, u, err := chain.OpenRequest(raw)
	if err != nil {
		return Approved{}, err
	}
	out := Approved{Request: requestOf(raw, d, u)}
	_, me, err := a.opened()
	if err != nil {
		return out, err
	}
	switch {
	case u != me.Account.UID:
		return out, fmt.Errorf("%w: the machine %q asks for account %s; yours is %s", ErrInput, d.Name, u, me.Account.UID)
	case n.Words == "":
		return out, nil
	case !words.Equal(n.Words, out.Words):
		return out, fmt.Errorf("%w: the request in %s is another one than the machine shows; nothing was approved", ErrWords, n.File)
	}
	if err := n.check(); err != nil {
		return out, err
	}
	if err := a.strengthen(); err != nil {
		return out, err
	}
	if err := a.contactAll(ctx); err != nil {
		return out, err
	}
	if err := a.changeAccount(func(acc vault.Account) (vault.Account, error) { return a.withDevice(acc, raw, d.ID) }); err != nil {
		return out, err
	}
	out.Servers = a.hand(ctx)
	out.Done, out.Out = true, n.Out
	out.Given, err = a.writeAnswer(d.ID, n)
	if _, me, err := a.opened(); err == nil {
		out.Link = me.Account.Seq
	}
	return out, err
}

func (n Approve) check() error {
	if n.Out == "" {
		return fmt.Errorf("%w: say where to write the answer: -o FILE", ErrInput)
	}
	for _, w := range n.Without {
		if !slices.Contains([]string{partPeople, partServers, partProjects}, w) {
			return fmt.Errorf("%w: --without %q: want people, servers or projects", ErrInput, w)
		}
	}
	if _, err := os.Lstat(n.Out); err == nil && !n.Force {
		return fmt.Errorf("%w: %s", seal.ErrExists, n.Out)
	}
	return nil
}

// withDevice is acc with the device of a request, if it is not in it.
func (a *App) withDevice(acc vault.Account, request []byte, k doc.KeyID) (vault.Account, error) {
	me, err := account.Load(acc)
	if err != nil {
		return acc, err
	}
	if _, ok := me.Account.Valid(k); ok {
		return acc, nil
	}
	next, err := me.Account.AddDevice(me.Author(), request, a.Now().UnixMilli())
	if err != nil {
		return acc, err
	}
	acc.Links = next.Links
	return acc, nil
}

// writeAnswer seals to device k what n says, and names the parts.
func (a *App) writeAnswer(k doc.KeyID, n Approve) ([]string, error) {
	_, me, err := a.opened()
	if err != nil {
		return nil, err
	}
	given := []string{"account"}
	var raw []byte
	var bad error
	err = a.view(func(s vault.State) {
		st := vault.State{Account: s.Account}
		give := func(part string) bool {
			if slices.Contains(n.Without, part) {
				return false
			}
			given = append(given, part)
			return true
		}
		if give(partPeople) {
			st.People = s.People
		}
		if give(partServers) {
			st.Servers = s.Servers
			if give(partProjects) {
				st.Projects = s.Projects
			}
		}
		if n.Secrets {
			given, st.Secrets = append(given, "secrets"), s.Secrets
		}
		raw, bad = me.Answer(k, st)
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return nil, err
	}
	return given, seal.WriteFile(n.Out, n.Force, func(w io.Writer) error { _, err := w.Write(raw); return err })
}

// HandKeys writes the account's keys for another machine of mine, which lacks the
// ones that were made since.
func (a *App) HandKeys(name, out string, force bool) (DeviceInfo, error) {
	d, err := a.findDevice(name)
	if err != nil {
		return DeviceInfo{}, err
	}
	n := Approve{Out: out, Force: force, Without: []string{partPeople, partServers, partProjects}}
	if err := n.check(); err != nil {
		return DeviceInfo{}, err
	}
	if _, err := a.writeAnswer(d.ID, n); err != nil {
		return DeviceInfo{}, err
	}
	return DeviceInfo{Name: d.Name, ID: d.ID.String(), Added: d.Added, PQ: d.PQ != nil}, nil
}

// findDevice finds another valid machine of mine by its name or id.
func (a *App) findDevice(name string) (chain.Device, error) {
	_, me, err := a.opened()
	if err != nil {
		return chain.Device{}, err
	}
	this, err := me.Key().ID()
	if err != nil {
		return chain.Device{}, err
	}
	var found []chain.Device
	for _, d := range me.Account.Devices {
		if d.Revoked == 0 && (d.Name == name || d.ID.String() == name || len(name) >= 8 && strings.HasPrefix(d.ID.String(), name)) {
			found = append(found, d)
		}
	}
	switch {
	case len(found) == 0:
		return chain.Device{}, fmt.Errorf("%w: no valid device %q; see: device list", ErrName, name)
	case len(found) > 1:
		return chain.Device{}, fmt.Errorf("%w: %d devices are called %q; use the id", ErrName, len(found), name)
	case found[0].ID == this:
		return chain.Device{}, fmt.Errorf("%w: %q is this machine: do it on another one of yours", ErrInput, name)
	}
	return found[0], nil
}

// DeviceGone is what a revocation did, and what it cannot do.
type DeviceGone struct {
	Device  DeviceInfo `json:"device"`
	Link    uint64     `json:"link"`
	Servers []Handed   `json:"servers"`
	Left    []string   `json:"left,omitempty"` // projects that do not know it yet, and why
	Due     []string   `json:"due,omitempty"`  // projects whose key that machine still has
}

// RevokeDevice ends another machine of mine: it signs nothing for the account any
// more. The keys that things are sealed to it still holds.
func (a *App) RevokeDevice(ctx context.Context, name string) (DeviceGone, error) {
	if err := a.contactAll(ctx); err != nil {
		return DeviceGone{}, err
	}
	d, err := a.findDevice(name)
	if err != nil {
		return DeviceGone{}, err
	}
	err = a.changeAccount(func(acc vault.Account) (vault.Account, error) {
		me, err := account.Load(acc)
		if err != nil {
			return acc, err
		}
		next, err := me.Account.RevokeDevice(me.Author(), d.ID, a.Now().UnixMilli())
		if err == nil {
			acc.Links = next.Links
		}
		return acc, err
	})
	if err != nil {
		return DeviceGone{}, err
	}
	_, me, err := a.opened()
	if err != nil {
		return DeviceGone{}, err
	}
	out := DeviceGone{Device: DeviceInfo{Name: d.Name, ID: d.ID.String(), Added: d.Added, Revoked: me.Account.Seq, PQ: d.PQ != nil}, Link: me.Account.Seq, Servers: a.hand(ctx)}
	out.Due, out.Left, err = a.tellProjects(ctx)
	return out, err
}

// tellProjects publishes the links of my account in every project that I am in:
// due are those where a new key is due after it, left those that could not be told.
func (a *App) tellProjects(ctx context.Context) (due, left []string, err error) {
	all, err := a.Projects()
	if err != nil {
		return nil, nil, err
	}
	for _, info := range all {
		p, err := a.Project(ctx, info.ID.String())
		if err == nil {
			err = p.Learn(ctx)
		}
		if err == nil {
			err = a.noteHead(p)
		}
		switch {
		case ctx.Err() != nil:
			return due, left, ctx.Err()
		case err != nil:
			left = append(left, info.Name+": "+err.Error())
		case p.State().Due:
			due = append(due, info.Name)
		}
	}
	return due, left, nil
}
