package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/remote/api"
	"cipherdeck/vault"
	"cipherdeck/vault/account"
)

// Handed is whether a server has all links of my account.
type Handed struct {
	Server string `json:"server"`
	Has    bool   `json:"has_links"`
	Cause  string `json:"cause,omitempty"` // why not, or why it is not known
}

// Happened is one thing that another machine of mine, or somebody with its
// keys, did to my account.
type Happened struct {
	Server string    `json:"server"`
	Link   uint64    `json:"link"`
	Kind   string    `json:"kind"`
	Time   time.Time `json:"time"`
	By     string    `json:"by"`
	Device string    `json:"device,omitempty"`
}

func happened(server string, events []chain.Event) []Happened {
	var out []Happened
	for _, e := range events {
		h := Happened{Server: server, Link: e.Seq, Kind: e.Kind, Time: e.Time.UTC(), By: label(e.By)}
		if e.Kind != chain.AccountRotate {
			h.Device = label(e.Device)
		}
		out = append(out, h)
	}
	return out
}

func label(d chain.Device) string { return d.Name + " (" + d.ID.String()[:8] + ")" }

// String says it to a person.
func (h Happened) String() string {
	what := map[string]string{chain.AccountDevice: "added the device " + h.Device, chain.AccountRevoke: "revoked the device " + h.Device,
		chain.AccountRotate: "changed the account's keys", chain.AccountPQ: "gave itself an ML-DSA key"}[h.Kind]
	return fmt.Sprintf("your device %s %s: account link %d of %s, seen on server %s", h.By, what, h.Link, h.Time.Format(time.RFC3339), h.Server)
}

// contact asks a server, once while the program runs, whether my account has
// links that this machine does not know: another machine of mine acted, or
// somebody who has its keys. Such links are verified, shown, and taken over.
// A server that does not answer now says so at what comes next.
//
// Errors wrap account.ErrRevoked, account.ErrElsewhere, account.ErrDiverged or
// chain.ErrAccount.
func (a *App) contact(ctx context.Context, server string) error {
	a.mu.Lock()
	known := a.met[server]
	a.mu.Unlock()
	if known {
		return nil
	}
	news, err := a.SyncAccount(ctx, server)
	for _, h := range news {
		a.notice(h.String())
	}
	if err != nil && !mustKnow(err) {
		return nil
	}
	a.mu.Lock()
	a.met[server] = err == nil
	a.mu.Unlock()
	return err
}

// mustKnow reports whether err says something of my account, and not merely of
// the way to a server.
func mustKnow(err error) bool {
	for _, e := range []error{account.ErrRevoked, account.ErrElsewhere, account.ErrDiverged, chain.ErrAccount} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// contactAll is contact with every pinned server, before a link of my account is
// made: two machines must not make one each after the same.
func (a *App) contactAll(ctx context.Context) error {
	all, err := a.Servers()
	if err != nil {
		return err
	}
	for _, s := range all {
		if err := a.contact(ctx, s.Name); err != nil {
			return fmt.Errorf("server %s: %w", s.Name, err)
		}
	}
	return nil
}

// SyncAccount takes over the links of my account that a server has and this
// machine does not, hands it those that it lacks, and says what the new ones did.
// A server where my account is not known is left alone.
func (a *App) SyncAccount(ctx context.Context, server string) ([]Happened, error) {
	c, err := a.store(server)
	if err != nil {
		return nil, err
	}
	_, me, err := a.opened()
	if err != nil {
		return nil, err
	}
	links, err := c.LinksAfter(ctx, me.Account.UID, me.Account.Head)
	if errors.Is(err, api.ErrNotFound) && me.Account.Seq > 0 {
		return a.lacking(ctx, c, server, me.Account)
	}
	if err != nil && !errors.Is(err, api.ErrNotFound) || len(links) == 0 {
		if errors.Is(err, api.ErrNotFound) {
			err = nil
		}
		return nil, err
	}
	var events []chain.Event
	err = a.changeAccount(func(acc vault.Account) (next vault.Account, err error) {
		next, events, err = account.Adopt(acc, links)
		return next, err
	})
	return happened(server, events), err
}

// lacking is SyncAccount with a server that does not have my newest link.
func (a *App) lacking(ctx context.Context, c *api.Client, server string, mine *chain.Account) ([]Happened, error) {
	has, err := c.LinksAfter(ctx, mine.UID, mine.ID)
	if errors.Is(err, api.ErrNotFound) {
		return nil, nil // the account is not known there
	}
	if err != nil {
		return nil, err
	}
	if len(has) <= len(mine.Links) && slices.EqualFunc(has, mine.Links[:len(has)], bytes.Equal) {
		for _, l := range mine.Links[len(has):] {
			if err := c.PutAccountLink(ctx, mine.UID, l); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
	theirs, err := chain.OpenAccountChain(mine.Raw, has)
	if err != nil {
		return nil, fmt.Errorf("server %s: %w", server, err)
	}
	same := 0
	for same < min(len(has), len(mine.Links)) && bytes.Equal(has[same], mine.Links[same]) {
		same++
	}
	events, err := theirs.Events(uint64(same))
	if err == nil {
		err = fmt.Errorf("%w: link %d of your account is another one on server %s", account.ErrDiverged, same+1, server)
	}
	return happened(server, events), err
}

// hand gives every pinned server that knows my account, or can be told of it, the
// links that it lacks.
func (a *App) hand(ctx context.Context) []Handed {
	all, err := a.Servers()
	if err != nil {
		return []Handed{{Cause: err.Error()}}
	}
	out := []Handed{}
	for _, s := range all {
		h := Handed{Server: s.Name}
		c, err := a.store(s.Name)
		if err == nil {
			err = c.Enrol(ctx)
		}
		if h.Has = err == nil; err != nil {
			h.Cause = err.Error()
		}
		out = append(out, h)
	}
	return out
}

// Synced is what SyncAll found.
type Synced struct {
	News    []Happened `json:"news"`
	Servers []Handed   `json:"servers"`
}

// SyncAll is SyncAccount with every pinned server, or with one. What a server's
// account says of mine ends it; a server that cannot be reached is reported.
func (a *App) SyncAll(ctx context.Context, only string) (Synced, error) {
	out := Synced{News: []Happened{}, Servers: []Handed{}}
	if err := a.strengthen(); err != nil {
		return out, err
	}
	all, err := a.Servers()
	if err != nil {
		return out, err
	}
	if only != "" {
		if all = slices.DeleteFunc(all, func(s ServerInfo) bool { return s.Name != only }); len(all) == 0 {
			return out, fmt.Errorf("%w: server %q", ErrName, only)
		}
	}
	for _, s := range all {
		news, err := a.SyncAccount(ctx, s.Name)
		out.News = append(out.News, news...)
		h := Handed{Server: s.Name, Has: err == nil}
		if err != nil {
			h.Cause = err.Error()
		}
		out.Servers = append(out.Servers, h)
		if err != nil && (mustKnow(err) || ctx.Err() != nil) {
			return out, err
		}
	}
	return out, nil
}
