package vault

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cipherdeck/vault/secret"
)

// What git stores is in the file, and a program that opens it later gets it.
func TestGitCredentialInTheVault(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	k := &ring{}
	v := create(t, path, State{}, KeyringSlot(k))
	ask := "protocol=https\nhost=h.example\nusername=ana\n"
	run := func(v *Vault, action, in string) string {
		t.Helper()
		var out bytes.Buffer
		if err := secret.GitCredential(action, strings.NewReader(in), &out, v.Secrets(), time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	before := v.generation
	run(v, "store", ask+"password=tok\n")
	run(v, "store", ask+"password=tok\n")
	if v.generation != before+1 {
		t.Errorf("%d saves for one change", v.generation-before)
	}
	later := open(t, path, FromKeyring(k))
	if got := run(later, "get", ask); got != "username=ana\npassword=tok\n" {
		t.Fatalf("%q", got)
	}
	v.Close()
	if got := run(v, "get", ask); got != "" {
		t.Errorf("a closed vault answers %q", got)
	}
	var out bytes.Buffer
	if err := secret.GitCredential("store", strings.NewReader(ask+"password=x\n"), &out, v.Secrets(), time.Unix(1, 0)); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}
