package server_test

import (
	"errors"
	"strings"
	"testing"

	"cipherdeck/remote/server"
)

func TestConfig(t *testing.T) {
	c, err := server.ParseConfig("c.json", []byte(`{"listen":"0.0.0.0:1","token_ttl_seconds":60}`))
	if err != nil || c.Listen != "0.0.0.0:1" || c.TokenTTLSeconds != 60 || c.LeaseSeconds != server.DefaultConfig().LeaseSeconds {
		t.Errorf("%+v, %v", c, err)
	}
	for bad, says := range map[string]string{
		``:                                      "one JSON object",
		`[]`:                                    "one JSON object",
		`{}{}`:                                  "follows",
		`{"token_ttl":60}`:                      `"token_ttl"`,
		`{"Listen":"a:1"}`:                      `"Listen"`,
		`{"lease_seconds":1,"lease_seconds":2}`: "twice",
		`{"lease_seconds":"60"}`:                "lease_seconds",
		`{"lease_seconds":0}`:                   "lease_seconds",
		`{"token_ttl_seconds":-1}`:              "token_ttl_seconds",
		`{"max_blob_bytes":16777217}`:           "max_blob_bytes",
		`{"enrolment":"maybe"}`:                 "enrolment",
		`{"listen":"nowhere"}`:                  "listen",
		`{"data_dir":""}`:                       "data_dir",
		`{"max_connections":0}`:                 "max_connections",
		`{"lease_seconds":1`:                    "c.json",
	} {
		_, err := server.ParseConfig("c.json", []byte(bad))
		if !errors.Is(err, server.ErrConfig) || !strings.Contains(err.Error(), says) || !strings.HasPrefix(err.Error(), "c.json: ") {
			t.Errorf("%s: %v, want it to say %q", bad, err, says)
		}
	}
}

// TestDigest shows what is measured and what is not.
func TestDigest(t *testing.T) {
	digest := func(edit func(*server.Config)) [32]byte {
		c := server.DefaultConfig()
		edit(&c)
		d, err := c.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	base := digest(func(*server.Config) {})
	for name, c := range map[string]struct {
		edit    func(*server.Config)
		changes bool
	}{
		"listen":    {func(c *server.Config) { c.Listen = "other:1" }, false},
		"data_dir":  {func(c *server.Config) { c.DataDir = "other" }, false},
		"product":   {func(c *server.Config) { c.Product = "other" }, true},
		"enrolment": {func(c *server.Config) { c.Enrolment = server.EnrolClosed }, true},
		"token":     {func(c *server.Config) { c.TokenTTLSeconds++ }, true},
		"lease":     {func(c *server.Config) { c.LeaseSeconds++ }, true},
		"blob":      {func(c *server.Config) { c.MaxBlobBytes-- }, true},
		"rate":      {func(c *server.Config) { c.RatePerSecond++ }, true},
	} {
		if got := digest(c.edit) != base; got != c.changes {
			t.Errorf("%s: digest changes %v, want %v", name, got, c.changes)
		}
	}
}
