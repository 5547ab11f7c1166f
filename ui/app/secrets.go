package app

import (
	"io"
	"time"

	"cipherdeck/vault"
	"cipherdeck/vault/secret"
)

// SecretInfo is a secret without its values.
type SecretInfo struct {
	Name   string   `json:"name"`
	Kind   string   `json:"kind"`
	Fields []string `json:"fields"`
	Rotate string   `json:"rotate,omitempty"` // day from which it is to be renewed
	Due    bool     `json:"due"`
}

// Secrets lists the secrets of the vault, without their values.
func (a *App) Secrets() ([]SecretInfo, error) {
	var out []SecretInfo
	err := a.view(func(s vault.State) {
		due := map[string]bool{}
		for _, n := range s.Secrets.Due(a.Now()) {
			due[n] = true
		}
		for _, n := range s.Secrets.Names() {
			x := s.Secrets[n]
			i := SecretInfo{Name: n, Kind: string(x.Kind), Due: due[n]}
			required, optional, _ := x.Kind.Shape()
			for _, f := range append(required, optional...) {
				if _, ok := x.Fields[f]; ok {
					i.Fields = append(i.Fields, f)
				}
			}
			if x.Rotate > 0 {
				i.Rotate = time.Unix(x.Rotate, 0).UTC().Format(time.DateOnly)
			}
			out = append(out, i)
		}
	})
	return out, err
}

// PutSecret stores a secret under a name.
func (a *App) PutSecret(name string, s secret.Secret) error {
	defer s.Wipe()
	return a.update(func(st *vault.State) error { return st.Secrets.Put(name, s, a.Now()) })
}

// RemoveSecret forgets a secret.
func (a *App) RemoveSecret(name string) error {
	return a.update(func(st *vault.State) error { return st.Secrets.Delete(name) })
}

// withSecrets gives f the secrets for as long as it runs.
func (a *App) withSecrets(f func(secret.Set) error) error {
	var inner error
	if err := a.view(func(s vault.State) { inner = f(s.Secrets) }); err != nil {
		return err
	}
	return inner
}

// SecretField is one value, or the code of this moment of a second factor.
func (a *App) SecretField(name, field string) (value []byte, err error) {
	return value, a.withSecrets(func(s secret.Set) (err error) {
		value, err = s.Field(name, field, a.Now())
		return err
	})
}

// SecretEnv is the environment of a child process that gets secrets: parent and
// what bind names, as "NAME=cipherdeck://secret/field".
func (a *App) SecretEnv(parent, bind []string) (env []string, err error) {
	return env, a.withSecrets(func(s secret.Set) (err error) {
		env, err = s.Environ(parent, bind, a.Now())
		return err
	})
}

// ExpandTemplate fills references to secrets in a text.
func (a *App) ExpandTemplate(text []byte) (out []byte, err error) {
	return out, a.withSecrets(func(s secret.Set) (err error) {
		out, err = s.Expand(text, a.Now())
		return err
	})
}

// AWSCredentials answers for credential_process of the AWS tools.
func (a *App) AWSCredentials(name string) (out []byte, err error) {
	return out, a.withSecrets(func(s secret.Set) (err error) {
		out, err = s.CredentialProcess(name, a.Now())
		return err
	})
}

// GitCredential answers one call of git to its credential helper.
func (a *App) GitCredential(action string, in io.Reader, out io.Writer) error {
	return secret.GitCredential(action, in, out, secret.Store{
		View: func(f func(secret.Set) error) error { return a.withSecrets(f) },
		Update: func(f func(secret.Set) error) error {
			return a.update(func(s *vault.State) error { return f(s.Secrets) })
		},
	}, a.Now())
}
