package app

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/words"
	"cipherdeck/vault"
	"cipherdeck/vault/account"
)

// Person is somebody's account as this vault knows it.
type Person struct {
	Name     string   `json:"name"`
	UID      string   `json:"uid"`
	Words    string   `json:"words"` // to compare aloud
	Verified bool     `json:"verified"`
	Trust    Trust    `json:"trust"`
	Hints    []string `json:"hints,omitempty"`   // keys that files name for the person
	News     []string `json:"news,omitempty"`    // what the account did since it was last seen
	Changed  *Changed `json:"changed,omitempty"` // other keys than were accepted

	Journal *Recorded `json:"journal,omitempty"` // where the keys are in the server's journal, when they came from there now
}

// Meet fetches the account uid from a server and remembers it. Verified is set
// only when said, the words that the other person reads from her own screen,
// match the words computed here: the server could have handed over any keys.
//
// Other keys than were accepted before are a hard stop, chain.ErrKeysChanged:
// nothing is stored, and the result has both. Only the words of the new ones
// accept them.
func (a *App) Meet(ctx context.Context, server string, uid chain.UID, said string) (Person, error) {
	other, where, err := a.account(ctx, server, uid)
	if err != nil {
		return Person{}, err
	}
	p, err := a.remember(other, said)
	p.Journal = &where
	return p, err
}

// account fetches the account of a person or node from a server. The client
// refuses one that does not match its uid, and one that is not in the server's
// journal for all to see.
func (a *App) account(ctx context.Context, server string, uid chain.UID) (*chain.Account, Recorded, error) {
	if err := a.contact(ctx, server); err != nil {
		return nil, Recorded{}, err
	}
	c, err := a.store(server)
	if err != nil {
		return nil, Recorded{}, err
	}
	for try := 1; ; try++ {
		acc, err := c.Account(ctx, uid)
		if err != nil {
			return nil, Recorded{}, err
		}
		where, err := a.accountRecorded(ctx, server, acc)
		if errors.Is(err, ErrHeldBack) && try == 1 {
			continue // a link may have come between the two questions
		}
		return acc, where, err
	}
}

func (a *App) remember(other *chain.Account, said string) (Person, error) {
	_, me, err := a.opened()
	if err != nil {
		return Person{}, err
	}
	p := Person{Name: other.Name, UID: other.UID.String(), Words: account.Words(me.Account, other)}
	if said != "" && !words.Equal(said, p.Words) {
		return p, fmt.Errorf("%w: those of %s are other ones; do not share until you know why", ErrWords, other.Name)
	}
	err = a.update(func(s *vault.State) error {
		stop := p.compare(s, me.Account, other)
		if stop != nil && (said == "" || errors.Is(stop, account.ErrOlder)) {
			return stop
		}
		old, known := s.People[p.UID]
		if said != "" {
			old.Verified = byWords
		}
		if !known {
			old.Added = a.Now().Unix()
		}
		old.Name, old.Genesis, old.Links = other.Name, other.Raw, other.Links
		s.People[p.UID] = old
		p.Trust, p.Hints = levelOf(old, true), old.Hints
		p.Verified = p.Trust == TrustWords
		return nil
	})
	return p, err
}

// compare holds the account that is shown against what was accepted before, and
// notes in p what is new. The error is a reason to stop.
func (p *Person) compare(s *vault.State, me, other *chain.Account) error {
	old, known := s.People[p.UID]
	if !known {
		return p.compareName(s, me, other)
	}
	accepted, err := chain.OpenAccountChain(old.Genesis, old.Links)
	if err != nil {
		return err
	}
	if err := account.Follows(accepted, other); err != nil {
		return errors.Join(err, p.changed(me, accepted, other))
	}
	events, err := other.Events(accepted.Seq)
	for _, e := range events {
		switch e.Kind {
		case chain.AccountDevice:
			p.News = append(p.News, "has a new device "+label(e.Device))
		case chain.AccountRevoke:
			p.News = append(p.News, "revoked the device "+label(e.Device))
		}
	}
	return err
}

// compareName stops at a name that somebody else has here already.
func (p *Person) compareName(s *vault.State, me, other *chain.Account) error {
	for _, q := range s.People {
		if !strings.EqualFold(q.Name, other.Name) {
			continue
		}
		accepted, err := chain.OpenAccountChain(q.Genesis, q.Links)
		if err != nil {
			return err
		}
		return errors.Join(fmt.Errorf("%w: you know a %s, with user id %s", chain.ErrKeysChanged, q.Name, accepted.UID), p.changed(me, accepted, other))
	}
	return nil
}

func (p *Person) changed(me, accepted, shown *chain.Account) error {
	was, err := printOf(me, accepted)
	if err != nil {
		return err
	}
	now, err := printOf(me, shown)
	p.Changed = &Changed{Was: was, Now: now}
	return err
}

// People lists everybody this vault knows, by name.
func (a *App) People() ([]Person, error) {
	_, me, err := a.opened()
	if err != nil {
		return nil, err
	}
	var out []Person
	var bad error
	err = a.view(func(s vault.State) {
		for _, p := range s.People {
			acc, err := chain.OpenAccountChain(p.Genesis, p.Links)
			if err != nil {
				bad = err
				continue
			}
			t := levelOf(p, true)
			out = append(out, Person{Name: p.Name, UID: acc.UID.String(), Words: account.Words(me.Account, acc), Verified: t == TrustWords, Trust: t, Hints: append([]string(nil), p.Hints...)})
		}
	})
	if err == nil {
		err = bad
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].Name < out[j].Name || out[i].Name == out[j].Name && out[i].UID < out[j].UID
	})
	return out, err
}

// verified finds the account of a person whose keys were verified. With
// unverified set, any pinned account will do.
func (a *App) verified(uid chain.UID, unverified bool) (*chain.Account, error) {
	var p vault.Person
	var ok bool
	if err := a.view(func(s vault.State) { p, ok = s.People[uid.String()] }); err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%w: person %s; meet first: people add %s", ErrName, uid.Short(), uid)
	}
	if levelOf(p, true) != TrustWords && !unverified {
		return nil, fmt.Errorf("%w: %s: compare the eight words with him, then: people add %s --words \"…\"", ErrVerify, p.Name, uid)
	}
	return chain.OpenAccountChain(p.Genesis, p.Links)
}
