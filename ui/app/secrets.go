package app

import (
	"bytes"
	"io"
	"strings"
	"time"

	"cipherdeck/vault"
	"cipherdeck/vault/journal"
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

// SecretField is one value, or the code of this moment of a second factor, for
// what is done with it by the command by. That is written into the journal
// before the value is given: what cannot be noted is not shown.
func (a *App) SecretField(name, field string, what journal.What, by string) (value []byte, err error) {
	err = a.withSecrets(func(s secret.Set) (err error) {
		value, err = s.Field(name, field, a.Now())
		value = bytes.Clone(value)
		return err
	})
	if err != nil {
		return nil, err
	}
	return value, a.note(what, by, secret.Ref{Name: name, Field: field})
}

// SecretEnv is the environment of a child process that gets secrets: parent and
// what bind names, as "NAME=cipherdeck://secret/field".
func (a *App) SecretEnv(parent, bind []string) (env []string, err error) {
	err = a.withSecrets(func(s secret.Set) (err error) {
		env, err = s.Environ(parent, bind, a.Now())
		return err
	})
	if err != nil {
		return nil, err
	}
	return env, a.note(journal.Delivered, "secret exec", secret.Refs([]byte(strings.Join(bind, "\n")))...)
}

// ExpandTemplate fills references to secrets in a text.
func (a *App) ExpandTemplate(text []byte) (out []byte, err error) {
	err = a.withSecrets(func(s secret.Set) (err error) {
		out, err = s.Expand(text, a.Now())
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, a.note(journal.Delivered, "secret fill", secret.Refs(text)...)
}

// AWSCredentials answers for credential_process of the AWS tools.
func (a *App) AWSCredentials(name string) (out []byte, err error) {
	err = a.withSecrets(func(s secret.Set) (err error) {
		out, err = s.CredentialProcess(name, a.Now())
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, a.note(journal.Delivered, "secret aws", secret.Ref{Name: name})
}

// GitCredential answers one call of git to its credential helper.
func (a *App) GitCredential(action string, in io.Reader) ([]byte, error) {
	var out bytes.Buffer
	var used []secret.Ref
	err := secret.GitCredential(action, in, &out, secret.Store{
		View: func(f func(secret.Set) error) error { return a.withSecrets(f) },
		Update: func(f func(secret.Set) error) error {
			return a.update(func(s *vault.State) error { return f(s.Secrets) })
		},
		Used: func(name string) { used = append(used, secret.Ref{Name: name}) },
	}, a.Now())
	if err != nil {
		return nil, err
	}
	return out.Bytes(), a.note(journal.Delivered, "secret git", used...)
}

// note writes into the vault's journal what left it. Nothing is saved when the
// journal covers it already.
func (a *App) note(what journal.What, by string, refs ...secret.Ref) error {
	var fresh []journal.Entry
	err := a.view(func(s vault.State) {
		for _, r := range refs {
			e := journal.Entry{At: a.Now().Unix(), What: what, Secret: r.Name, Field: r.Field, By: by}
			if !s.Journal.Covers(e) {
				fresh = append(fresh, e)
			}
		}
	})
	if err != nil || len(fresh) == 0 {
		return err
	}
	return a.update(func(s *vault.State) error {
		for _, e := range fresh {
			s.Journal.Add(e)
		}
		return nil
	})
}

// Disclosures is the journal of what left the vault, oldest first, and how many
// older entries are gone. With name set it is that secret's alone.
func (a *App) Disclosures(name string) (out []journal.Entry, lost uint64, err error) {
	err = a.view(func(s vault.State) {
		lost = s.Journal.Lost
		for _, e := range s.Journal.Entries {
			if name == "" || e.Secret == name {
				out = append(out, e)
			}
		}
	})
	return out, lost, err
}
