package api_test

import (
	"errors"
	"strings"
	"testing"

	"cipherdeck/remote/api"
)

func TestCode(t *testing.T) {
	pin := strings.Repeat("A", 43)
	for _, good := range []string{"example.org:7443#" + pin, "127.0.0.1:1#" + pin, "[::1]:65535#" + pin} {
		c, err := api.ParseCode(good)
		if err != nil || c.String() != good {
			t.Errorf("%s: %v, %v", good, c, err)
		}
		if spaced, err := api.ParseCode("  " + good + "\n"); err != nil || spaced != c {
			t.Errorf("with spaces around %s: %v, %v", good, spaced, err)
		}
	}
	for bad, says := range map[string]string{
		"":                           "no #",
		"example.org:7443":           "no #",
		"example.org#" + pin:         "host:port",
		":7443#" + pin:               "host:port",
		"https://example.org#" + pin: "host:port",
		"a b:1#" + pin:               "host:port",
		"example.org:0#" + pin:       "port",
		"example.org:65536#" + pin:   "port",
		"example.org:+80#" + pin:     "port",
		"example.org:080#" + pin:     "port",
		"example.org:http#" + pin:    "port",
		"example.org:1#" + pin[1:]:   "43 characters",
		"example.org:1#" + pin + "A": "43 characters",
		"example.org:1#" + strings.Repeat("A", 42) + "B": "43 characters", // unused bits
		"example.org:1#" + strings.Repeat("+", 43):       "43 characters",
		"example.org:1#" + pin + "#":                     "43 characters",
	} {
		_, err := api.ParseCode(bad)
		if !errors.Is(err, api.ErrCode) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want it to say %q", bad, err, says)
		}
	}
}

func FuzzParseCode(f *testing.F) {
	f.Add("example.org:7443#" + strings.Repeat("A", 43))
	f.Add("[::1]:1#" + strings.Repeat("z", 43))
	f.Add("#")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := api.ParseCode(s)
		if err == nil && c.String() != strings.TrimSpace(s) {
			t.Errorf("%q parsed and is written %q", s, c)
		}
		if err != nil && !errors.Is(err, api.ErrCode) {
			t.Errorf("%q: %v does not wrap ErrCode", s, err)
		}
	})
}

// TestErrors pairs every code with its sentinel and a status.
func TestErrors(t *testing.T) {
	for code, want := range map[string]error{
		api.CodeUnauthorized: api.ErrUnauthorized, api.CodeForbidden: api.ErrForbidden, api.CodeConflict: api.ErrConflict,
		api.CodeLease: api.ErrLease, api.CodeNotFound: api.ErrNotFound, api.CodeInvalid: api.ErrInvalid,
		api.CodeTooLarge: api.ErrTooLarge, api.CodeBusy: api.ErrBusy, api.CodeUnknown: api.ErrUnknown,
		api.CodeUnavailable: api.ErrServer, api.CodeDamaged: api.ErrDamaged, api.CodeInternal: api.ErrServer, "from the future": api.ErrServer,
	} {
		e := &api.Error{Code: code, Field: "f", Cause: "c"}
		if !errors.Is(e, want) {
			t.Errorf("%s is not %v", code, want)
		}
		if errors.Is(e, api.ErrUnreachable) {
			t.Errorf("%s is unreachable", code)
		}
		if s := api.Status(code); s < 400 || s > 599 {
			t.Errorf("%s has status %d", code, s)
		}
	}
}
