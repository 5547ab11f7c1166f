package vault

import "cipherdeck/vault/secret"

// Secrets is the vault's secrets, to look at and to change with a save, for what
// delivers them: secret.GitCredential. The rules of View and Update hold.
func (v *Vault) Secrets() secret.Store {
	return secret.Store{
		View: func(f func(secret.Set) error) (err error) {
			v.View(func(s State) { err = f(s.Secrets) })
			return err
		},
		Update: func(f func(secret.Set) error) error {
			return v.Update(func(s *State) error { return f(s.Secrets) })
		},
	}
}
