package app

import (
	"fmt"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/keys"
	"cipherdeck/vault"
	"cipherdeck/vault/account"
	"cipherdeck/vault/project"
)

// Trust is what stands behind the belief that keys are a person's, the strongest
// first.
type Trust string

// The levels of trust.
const (
	TrustMe         Trust = "you"
	TrustWords      Trust = "words"      // compared by voice
	TrustVouched    Trust = "vouched"    // made a member by somebody whose words were compared
	TrustInvitation Trust = "invitation" // answered an invitation
	TrustHint       Trust = "hint"       // pinned, and a file names keys for the person
	TrustPinned     Trust = "pinned"     // the keys are those that were seen first
	TrustNew        Trust = "new"        // never seen here before
)

// Says is the level in a few words for a person.
func (t Trust) Says() string {
	return map[Trust]string{TrustMe: "you", TrustWords: "✓ verified by words", TrustVouched: "? vouched for by a member whom you verified", TrustInvitation: "? came by an invitation",
		TrustHint: "? not verified; a file names keys for the person", TrustPinned: "? not verified: the keys that were seen first", TrustNew: "? never seen here before"}[t]
}

// byWords is Verified of a vault.Person whose words were compared.
const byWords = "words"

func levelOf(p vault.Person, known bool) Trust {
	switch {
	case !known:
		return TrustNew
	case p.Verified == byWords:
		return TrustWords
	case p.Verified == levelInvite:
		return TrustInvitation
	case len(p.Hints) > 0:
		return TrustHint
	}
	return TrustPinned
}

// MemberTrust is what stands behind the keys of each member of p. A member whose
// keys were not compared is vouched for when somebody who made him a member was:
// that person said whose they are, in a signed link.
func (a *App) MemberTrust(p *project.Project) (map[chain.UID]Trust, error) {
	_, me, err := a.opened()
	if err != nil {
		return nil, err
	}
	out := map[chain.UID]Trust{}
	err = a.view(func(s vault.State) {
		level := func(u chain.UID) Trust {
			if u == me.Account.UID {
				return TrustMe
			}
			q, ok := s.People[u.String()]
			return levelOf(q, ok)
		}
		for u, m := range p.State().Members {
			t := level(u)
			by := level(m.By)
			switch {
			case t == TrustMe || t == TrustWords:
			case m.By != u && by == TrustWords:
				t = TrustVouched
			case m.Invited:
				t = TrustInvitation
			}
			out[u] = t
		}
	})
	return out, err
}

// Print is what names the keys of an account.
type Print struct {
	UID   string `json:"uid"`
	RSA   string `json:"rsa_key_id"`
	XWing string `json:"xwing_key_id"`
	Words string `json:"words"`
}

// Changed is the keys of a person that were accepted, and those that are shown
// now.
type Changed struct {
	Was Print `json:"was"`
	Now Print `json:"now"`
}

func printOf(me, other *chain.Account) (Print, error) {
	pub := keys.Public{RSA: other.RSA, XWing: other.XWing}
	p := Print{UID: other.UID.String(), XWing: pub.XWingKeyID().String(), Words: account.Words(me, other)}
	if other.RSA == nil {
		return p, nil
	}
	r, err := pub.RSAKeyID()
	p.RSA = r.String()
	return p, err
}

// mayWrap is asked before a project's key is wrapped for a member: the keys that
// the project knows must be the ones that were accepted here, if any were.
func (a *App) mayWrap(shown *chain.Account) error {
	var p vault.Person
	var ok bool
	if err := a.view(func(s vault.State) { p, ok = s.People[shown.UID.String()] }); err != nil || !ok {
		return err
	}
	accepted, err := chain.OpenAccountChain(p.Genesis, p.Links)
	if err != nil {
		return err
	}
	_, me, err := a.opened()
	if err != nil {
		return err
	}
	// A project may be behind what was accepted: then its key is wrapped to keys
	// that the person still has.
	err = account.Follows(accepted, shown)
	if err == nil || chain.Continues(shown, accepted) {
		return nil
	}
	was, errWas := printOf(me.Account, accepted)
	now, errNow := printOf(me.Account, shown)
	if errWas != nil || errNow != nil {
		return err
	}
	return fmt.Errorf("%w; accepted were rsa %s x-wing %s, the project has rsa %s x-wing %s: compare the new words with %s, then: people add %s --words \"…\"",
		err, was.RSA, was.XWing, now.RSA, now.XWing, accepted.Name, shown.UID)
}
