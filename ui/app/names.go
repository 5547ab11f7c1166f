package app

import (
	"fmt"
	"strings"

	"cipherdeck/crypto/chain"
	"cipherdeck/vault"
)

// Whose is the person that text names: by user id, or by the name of somebody
// this vault has met. People choose their names themselves, so one that two of
// them have names nobody.
func (a *App) Whose(text string) (chain.UID, error) {
	uid, bad := chain.ParseUID(text)
	if bad == nil {
		return uid, nil
	}
	var found []string
	err := a.view(func(s vault.State) {
		for k, p := range s.People {
			if strings.EqualFold(p.Name, text) {
				found = append(found, k)
			}
		}
	})
	switch {
	case err != nil:
		return chain.UID{}, err
	case len(found) == 1:
		return chain.ParseUID(found[0])
	case len(found) > 1:
		return chain.UID{}, fmt.Errorf("%w: you have met %d people called %q; give the user id", ErrName, len(found), text)
	}
	return chain.UID{}, fmt.Errorf("%w; nobody whom you have met is called %q either", bad, text)
}
