package app

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/words"
	"cipherdeck/vault"
	"cipherdeck/vault/account"
)

// Person is somebody's account as this vault knows it.
type Person struct {
	Name     string `json:"name"`
	UID      string `json:"uid"`
	Words    string `json:"words"` // to compare aloud
	Verified bool   `json:"verified"`

	Journal *Recorded `json:"journal,omitempty"` // where the keys are in the server's journal, when they came from there now
}

// Meet fetches the account uid from a server and remembers it. Verified is set
// only when said, the words that the other person reads from her own screen,
// match the words computed here: the server could have handed over any keys.
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
		old, known := s.People[p.UID]
		how := old.Verified
		if said != "" {
			how = "words"
		}
		p.Verified = how != ""
		if !known {
			old.Added = a.Now().Unix()
		}
		s.People[p.UID] = vault.Person{Name: other.Name, Genesis: other.Raw, Links: other.Links, Hints: old.Hints, Verified: how, Added: old.Added}
		return nil
	})
	return p, err
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
			out = append(out, Person{Name: p.Name, UID: acc.UID.String(), Words: account.Words(me.Account, acc), Verified: p.Verified != ""})
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
	if p.Verified == "" && !unverified {
		return nil, fmt.Errorf("%w: %s: compare the eight words with him, then: people add %s --words \"…\"", ErrVerify, p.Name, uid)
	}
	return chain.OpenAccountChain(p.Genesis, p.Links)
}
