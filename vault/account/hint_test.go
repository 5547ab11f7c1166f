package account

import (
	"errors"
	"strings"
	"testing"
)

func TestHints(t *testing.T) {
	const (
		key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
		fp  = "ssh-ed25519 SHA256:"
		age = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
	)
	for name, c := range map[string]struct {
		file, suffix string
		n            int
	}{
		"authorized_keys":   {"# mine\n\n" + `from="10.0.0.0/8",command="x y" ` + key + " bob@home\n", " bob@home", 1},
		"allowed_signers":   {`bob@example.org namespaces="git,file" ` + key + "\n", "", 1},
		"allowed, bare":     {"bob@example.org " + key + " old laptop\n", " old laptop", 1},
		"twice":             {key + " a\n" + key + " a\n", " a", 1},
		"age":               {age + "\n", "", 1},
		"both":              {age + "\n" + key + " z\n", " z", 2},
		"a comment too far": {key + " " + strings.Repeat("ü", 500), "ü…", 1},
	} {
		got, err := Hints([]byte(c.file))
		if err != nil || len(got) != c.n || !strings.HasSuffix(got[len(got)-1], c.suffix) || !strings.Contains(strings.Join(got, "\n"), "SHA256:") {
			t.Errorf("%s: %v %q", name, err, got)
		}
		if name == "allowed_signers" && !strings.HasPrefix(got[0], fp) {
			t.Errorf("%q", got)
		}
	}
	secret := "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
	for name, f := range map[string]string{"empty": "", "words": "hello world", "half a key": key[:60], "a private key": secret, "PEM": "-----BEGIN OPENSSH PRIVATE KEY-----",
		"many": func() string {
			s := ""
			for i := range 17 {
				s += key + " " + strings.Repeat("x", i+1) + "\n"
			}
			return s
		}()} {
		if got, err := Hints([]byte(f)); !errors.Is(err, ErrHint) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v %q", name, err, got)
		}
	}
}

func FuzzHints(f *testing.F) {
	f.Add([]byte("bob ssh-ed25519 AAAA x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := Hints(b); err == nil && len(got) > MaxHints {
			t.Fatal(len(got))
		}
	})
}
