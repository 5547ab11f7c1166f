package api_test

import (
	"bytes"
	"net/http"
	"testing"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/keys"
	"cipherdeck/crypto/secret"
	"cipherdeck/remote/api"
)

// TestHostileChecks is a server that answers with other check values than it was
// given. All it can reach is that nothing is made: an answer that is not
// signed is refused, and one of another secret does not match.
func TestHostileChecks(t *testing.T) {
	r, err := keys.RSA(t.Context(), keys.Seed{1}, 2048)
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, seed keys.Seed) secret.Check {
		c, err := secret.SignCheck(name, seed, r)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	good := check("ana", keys.Seed{1}).Raw
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	list := func(v uint8, raw ...[]byte) []byte {
		b, err := doc.Encode(api.CheckList{V: v, Checks: raw})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	many := make([][]byte, api.MaxChecks+1)
	for i := range many {
		many[i] = good
	}
	for name, c := range map[string]struct {
		answer []byte
		want   error
	}{
		"good":            {list(1, good), nil},
		"none":            {list(1), nil},
		"wrong signature": {list(1, good, flipped), secret.ErrCheck},
		"other name":      {list(1, check("eve", keys.Seed{1}).Raw), secret.ErrCheck},
		"too many":        {list(1, many...), secret.ErrCheck},
		"newer":           {list(2, good), secret.ErrCheck},
		"not a list":      {[]byte("hello"), secret.ErrCheck},
		"empty":           {nil, secret.ErrCheck},
	} {
		t.Run(name, func(t *testing.T) {
			k := liar(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v1/checks/"+api.CheckName("ana") {
					t.Errorf("asked for %s", r.URL.Path)
				}
				_, _ = w.Write(c.answer)
			})
			_, err := k.Checks(t.Context(), "Ana")
			want(t, "checks", err, c.want)
		})
	}
	theirs, err := secret.OpenCheck(check("ana", keys.Seed{2}).Raw)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "another account's", theirs.Match("ana", keys.Seed{1}), secret.ErrOther)
}
