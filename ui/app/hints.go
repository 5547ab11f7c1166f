package app

import (
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/sshsig"
	"cipherdeck/vault"
	"cipherdeck/vault/account"
)

// sshNamespace is what a signature over a user id is for: ssh-keygen -Y sign -n.
const sshNamespace = "cipherdeck"

// Hint keeps beside a person the keys that a file of SSH or age keys names, for a
// human to recognise. They verify nothing.
func (a *App) Hint(uid chain.UID, file string) (Person, error) {
	raw, err := readSmall(file, account.MaxHintFile)
	if err != nil {
		return Person{}, err
	}
	hints, err := account.Hints(raw)
	if err != nil {
		return Person{}, fmt.Errorf("%s: %w", file, err)
	}
	return a.addHints(uid, hints...)
}

// SSHHint verifies a signature that `ssh-keygen -Y sign -n cipherdeck` made over
// the user id, as text, with or without a line end, and is the hint that says so.
// Nothing is stored. Errors wrap sshsig.ErrSignature or account.ErrHint.
func (a *App) SSHHint(uid chain.UID, signature, key string) (string, error) {
	sig, err := readSmall(signature, account.MaxHintFile)
	if err != nil {
		return "", err
	}
	line, err := readSmall(key, account.MaxHintFile)
	if err != nil {
		return "", err
	}
	k, comment, _, rest, err := ssh.ParseAuthorizedKey(line)
	if err != nil || strings.TrimSpace(string(rest)) != "" {
		return "", fmt.Errorf("%w: %s: want one SSH public key", account.ErrHint, key)
	}
	if err := sshsig.Verify(sig, []byte(uid.String()+"\n"), sshNamespace, k); err == nil {
		return account.SignedHint(k, comment), nil
	}
	if err := sshsig.Verify(sig, []byte(uid.String()), sshNamespace, k); err != nil {
		return "", fmt.Errorf("%s: %w", signature, err)
	}
	return account.SignedHint(k, comment), nil
}

// addHints puts hints beside a person that is known.
func (a *App) addHints(uid chain.UID, hints ...string) (Person, error) {
	err := a.update(func(s *vault.State) (err error) {
		p, ok := s.People[uid.String()]
		if !ok {
			return fmt.Errorf("%w: person %s; meet first: people add %s", ErrName, uid.Short(), uid)
		}
		p.Hints, err = account.AddHints(p.Hints, hints...)
		s.People[uid.String()] = p
		return err
	})
	if err != nil {
		return Person{}, err
	}
	all, err := a.People()
	for _, p := range all {
		if p.UID == uid.String() {
			return p, err
		}
	}
	return Person{}, err
}

// MeetSigned is Meet with an SSH signature over the user id, which is verified
// before anything is stored, and kept as a hint.
func (a *App) MeetSigned(uid chain.UID, hint string, met Person) (Person, error) {
	p, err := a.addHints(uid, hint)
	p.News = met.News
	return p, err
}
