package auth_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/auth"
	"cipherdeck/remote/store"
	"cipherdeck/remote/store/mem"
)

func TestAPIKeys(t *testing.T) {
	ctx := t.Context()
	clk := &clock{time.Unix(1_000_000, 0)}
	docs := mem.NewDocs()
	keys := auth.Keys{Docs: docs, Now: clk.now}
	pid := id.Of([]byte("a project"))
	spec := auth.Key{Owner: chain.UID{1}, Name: "nightly", Scopes: []auth.Scope{{Op: auth.ScopeJobRead, Project: pid.String()}},
		Networks: []string{"192.0.2.0/24"}, NotAfter: clk.t.Add(time.Hour)}
	k, bearer, err := keys.New(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	_, secret, _ := strings.Cut(strings.TrimPrefix(bearer, auth.KeyPrefix), "_")
	for d, err := range docs.List(ctx, "") {
		if err != nil || bytes.Contains(d.Body, []byte(secret)) {
			t.Errorf("the store holds the secret: %s, %v", d.Key, err)
		}
	}
	const home = "192.0.2.7:5"
	check := func(what, b, from string, good bool) {
		t.Helper()
		got, err := keys.Check(ctx, b, from)
		if good && (err != nil || got.Owner != spec.Owner) || !good && !errors.Is(err, auth.ErrToken) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	check("own", bearer, home, true)
	check("as IPv4 in IPv6", bearer, "[::ffff:192.0.2.7]:5", true)
	check("from elsewhere", bearer, "192.0.3.7:5", false)
	check("no address", bearer, "", false)
	check("last character", bearer[:len(bearer)-1]+"0", home, false)
	check("cut", auth.KeyPrefix+k.ID, home, false)
	check("no secret", auth.KeyPrefix+k.ID+"_", home, false)
	check("a path", auth.KeyPrefix+"../x_y", home, false)
	check("unknown", auth.KeyPrefix+"aaaaaaaaaaaaaaaa_"+secret, home, false)

	if !k.Allows(auth.ScopeJobRead, pid) || k.Allows(auth.ScopeHead, pid) || k.Allows(auth.ScopeJobRead, id.ID{1}) {
		t.Error("the scope is not what was asked for")
	}
	if all, err := keys.Of(ctx, spec.Owner); err != nil || len(all) != 1 || !all[0].LastUsed.Equal(clk.t) {
		t.Errorf("list: %+v, %v", all, err)
	}
	if all, err := keys.Of(ctx, chain.UID{2}); err != nil || len(all) != 0 {
		t.Errorf("another account sees %+v, %v", all, err)
	}

	_, _, err = keys.Rotate(ctx, chain.UID{2}, doc.KeyID{}, k.ID, 0)
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("rotated by another account: %v", err)
	}
	_, second, err := keys.Rotate(ctx, spec.Owner, doc.KeyID{}, k.ID, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	check("new secret", second, home, true)
	check("old secret in the overlap", bearer, home, true)
	clk.t = clk.t.Add(time.Minute)
	check("old secret after it", bearer, home, false)
	check("new secret later", second, home, true)
	clk.t = clk.t.Add(time.Hour)
	check("expired", second, home, false)
	clk.t = time.Unix(1_000_000, 0)

	if err := keys.Revoke(ctx, chain.UID{2}, k.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("revoked by another account: %v", err)
	}
	if err := keys.Revoke(ctx, spec.Owner, k.ID); err != nil {
		t.Error(err)
	}
	check("revoked", second, home, false)
	if err := keys.Revoke(ctx, spec.Owner, "../accounts/x"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a path for an id: %v", err)
	}
}

func TestAPIKeyBounds(t *testing.T) {
	clk := &clock{time.Unix(1_000_000, 0)}
	keys := auth.Keys{Docs: mem.NewDocs(), Now: clk.now}
	good := auth.Key{Owner: chain.UID{1}, Name: "n", Scopes: []auth.Scope{{Op: auth.ScopeHead, Project: auth.AnyProject}}, NotAfter: clk.t.Add(time.Hour)}
	for name, edit := range map[string]func(*auth.Key){
		"no name":          func(k *auth.Key) { k.Name = "" },
		"no scope":         func(k *auth.Key) { k.Scopes = nil },
		"unknown scope":    func(k *auth.Key) { k.Scopes = []auth.Scope{{Op: "all", Project: "*"}} },
		"no project":       func(k *auth.Key) { k.Scopes = []auth.Scope{{Op: auth.ScopeHead, Project: "x"}} },
		"listing one":      func(k *auth.Key) { k.Scopes = []auth.Scope{{Op: auth.ScopeProjects, Project: id.ID{1}.String()}} },
		"no end":           func(k *auth.Key) { k.NotAfter = time.Time{} },
		"ended":            func(k *auth.Key) { k.NotAfter = clk.t },
		"91 days":          func(k *auth.Key) { k.NotAfter = clk.t.Add(91 * 24 * time.Hour) },
		"no network":       func(k *auth.Key) { k.Networks = []string{"here"} },
		"address":          func(k *auth.Key) { k.Networks = []string{"192.0.2.1"} },
		"too many scopes":  func(k *auth.Key) { k.Scopes = make([]auth.Scope, auth.MaxScopes+1) },
		"name not of text": func(k *auth.Key) { k.Name = "\xff" },
	} {
		k := good
		edit(&k)
		if _, _, err := keys.New(t.Context(), k); !errors.Is(err, auth.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for range auth.MaxKeys {
		if _, _, err := keys.New(t.Context(), good); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := keys.New(t.Context(), good); !errors.Is(err, auth.ErrTooManyKeys) {
		t.Errorf("one too many: %v", err)
	}
}
