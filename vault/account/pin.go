package account

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/keys"
	"cipherdeck/crypto/words"
)

// ErrOlder is wrapped when an account is shown with fewer links than were
// accepted here before: who shows it holds some back.
var ErrOlder = errors.New("the account is shown without links that were accepted before")

// Words is what two people read to each other to know that nobody stands
// between them: both see the same, whoever is first. They are over the user ids,
// which pin the first keys of an account, and, of one whose keys were changed,
// over the keys in force. See words.Pair.
func Words(me, other *chain.Account) string { return words.Pair(inForce(me), inForce(other)) }

func inForce(a *chain.Account) []byte {
	if a.Rotations == 0 {
		return a.UID[:]
	}
	spki, x, err := keys.Public{RSA: a.RSA, XWing: a.XWing}.Marshal()
	if err != nil { // they were checked when the account was opened
		panic("account: " + err.Error())
	}
	h := sha256.Sum256(doc.LP(a.UID[:], spki, x))
	return h[:]
}

// Follows is nil when an account that is shown now may stand for the one that was
// accepted: the same keys, and no link missing. ErrOlder when links are missing,
// chain.ErrKeysChanged when the keys are others or it went another way.
func Follows(accepted, shown *chain.Account) error {
	switch {
	case chain.Continues(accepted, shown) && sameKeys(accepted, shown):
		return nil
	case chain.Continues(accepted, shown):
		return fmt.Errorf("%w: %s changed keys with account link %d", chain.ErrKeysChanged, accepted.Name, shown.Seq)
	case chain.Continues(shown, accepted):
		return fmt.Errorf("%w: %s has %d, accepted were %d", ErrOlder, accepted.Name, shown.Seq, accepted.Seq)
	}
	return fmt.Errorf("%w: %s has two accounts that do not go on from each other after one that was accepted", chain.ErrKeysChanged, accepted.Name)
}
