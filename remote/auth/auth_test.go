package auth_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"cipherdeck/attest/channel"
	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/remote/api"
	"cipherdeck/remote/auth"
	"cipherdeck/remote/store/mem"
)

// clock is a clock that tests move.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func TestChallenges(t *testing.T) {
	clk := &clock{time.Unix(1_000_000, 0)}
	c := auth.NewChallenges(3, clk.now)
	n := c.Issue()
	if !c.Take(n) || c.Take(n) {
		t.Error("a nonce must be good exactly once")
	}
	if c.Take(auth.Nonce{1}) {
		t.Error("a nonce that was never issued was taken")
	}
	n = c.Issue()
	clk.t = clk.t.Add(auth.ChallengeLife)
	if c.Take(n) {
		t.Error("an old nonce was taken")
	}
	first := c.Issue()
	kept := []auth.Nonce{c.Issue(), c.Issue(), c.Issue()}
	if c.Take(first) {
		t.Error("the store holds more than its bound")
	}
	for _, n := range kept {
		if !c.Take(n) {
			t.Error("a recent nonce was dropped")
		}
	}
}

// pair is both ends of one real TLS connection.
func pair(t *testing.T, cert tls.Certificate, pin [32]byte) (server, client tls.ConnectionState) {
	t.Helper()
	a, b := net.Pipe()
	s, c := tls.Server(a, channel.ServerTLS(cert)), tls.Client(b, channel.ClientTLS(pin))
	done := make(chan error, 1)
	go func() { done <- s.Handshake() }()
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return s.ConnectionState(), c.ConnectionState()
}

func certificate(t *testing.T) (tls.Certificate, [32]byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := channel.NewCertificate(k)
	if err != nil {
		t.Fatal(err)
	}
	return cert, channel.SPKI(cert.Leaf)
}

func node(t *testing.T) (*chain.Account, ed25519.PrivateKey) {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, err := chain.NewAccount(chain.Node, "node", 1, nil, k, bytes.Repeat([]byte{1}, 1216))
	if err != nil {
		t.Fatal(err)
	}
	return a, k
}

// TestLogin changes one thing at a time of a login that is good.
func TestLogin(t *testing.T) {
	clk := &clock{time.Unix(1_000_000, 0)}
	cert, pin := certificate(t)
	srv, cli := pair(t, cert, pin)
	_, other := pair(t, cert, pin)
	acc, key := node(t)
	_, stranger := node(t)
	v := auth.Verifier{SPKI: pin, Challenges: auth.NewChallenges(16, clk.now), Now: clk.now}
	for name, c := range map[string]struct {
		edit func(*api.Login)
		conn *tls.ConnectionState
		key  ed25519.PrivateKey
		ok   bool
	}{
		"good":               {ok: true},
		"clock a bit off":    {edit: func(l *api.Login) { l.Time += int64(auth.MaxSkew / time.Second) }, ok: true},
		"clock too far off":  {edit: func(l *api.Login) { l.Time += int64(auth.MaxSkew/time.Second) + 1 }},
		"clock too far back": {edit: func(l *api.Login) { l.Time -= int64(auth.MaxSkew/time.Second) + 1 }},
		"another server":     {edit: func(l *api.Login) { l.SPKI[0] ^= 1 }},
		"no server":          {edit: func(l *api.Login) { l.SPKI = nil }},
		"another connection": {conn: &other},
		"no connection":      {edit: func(l *api.Login) { l.EKM = nil }},
		"another audience":   {edit: func(l *api.Login) { l.Audience = "other/v1" }},
		"another version":    {edit: func(l *api.Login) { l.V = 2 }},
		"another nonce":      {edit: func(l *api.Login) { l.Nonce[0] ^= 1 }},
		"short nonce":        {edit: func(l *api.Login) { l.Nonce = l.Nonce[:31] }},
		"another key":        {key: stranger},
	} {
		t.Run(name, func(t *testing.T) {
			nonce := v.Challenges.Issue()
			conn, k := &cli, key
			if c.conn != nil {
				conn = c.conn
			}
			if c.key != nil {
				k = c.key
			}
			ekm, err := api.LoginExporter(conn, nonce[:])
			if err != nil {
				t.Fatal(err)
			}
			l := api.Login{V: 1, Nonce: bytes.Clone(nonce[:]), SPKI: bytes.Clone(pin[:]), EKM: ekm, Audience: api.Audience, Time: clk.t.Unix()}
			if c.edit != nil {
				c.edit(&l)
			}
			raw, err := doc.Sign(api.LoginType, l, k)
			if err != nil {
				t.Fatal(err)
			}
			_, err = v.Check(&srv, raw, acc)
			if c.ok != (err == nil) || !c.ok && !errors.Is(err, auth.ErrLogin) {
				t.Errorf("got %v", err)
			}
			if _, err := v.Check(&srv, raw, acc); !errors.Is(err, auth.ErrLogin) {
				t.Errorf("the same login again: %v", err)
			}
		})
	}
	signed, err := doc.Sign("other/type", api.Login{V: 1}, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Check(&srv, signed, acc); !errors.Is(err, auth.ErrLogin) || !errors.Is(err, doc.ErrType) {
		t.Errorf("document of another type: %v", err)
	}
	if _, err := v.Check(nil, signed, acc); !errors.Is(err, auth.ErrLogin) {
		t.Errorf("no TLS: %v", err)
	}
}

func TestTokens(t *testing.T) {
	ctx := t.Context()
	clk := &clock{time.Unix(1_000_000, 0)}
	cert, pin := certificate(t)
	srv, _ := pair(t, cert, pin)
	otherConn, _ := pair(t, cert, pin)
	acc, _ := node(t)
	docs := mem.NewDocs()
	tokens := auth.Tokens{Docs: docs, Life: time.Minute, Now: clk.now}
	token, err := tokens.Issue(ctx, acc.UID, &srv, auth.Entry{Nonce: auth.Nonce{1}})
	if err != nil {
		t.Fatal(err)
	}
	for d, err := range docs.List(ctx, "") {
		if err != nil || bytes.Contains(d.Body, []byte(token)) || bytes.Contains([]byte(d.Key), []byte(token)) {
			t.Errorf("the store holds the token itself: %s, %v", d.Key, err)
		}
	}
	check := func(what, token string, cs *tls.ConnectionState, good bool) {
		t.Helper()
		l, err := tokens.Check(ctx, token, cs)
		u := l.UID
		if good && (err != nil || u != acc.UID) || !good && !errors.Is(err, auth.ErrToken) {
			t.Errorf("%s: %v, %v", what, u, err)
		}
	}
	check("own", token, &srv, true)
	check("on another connection", token, &otherConn, false)
	check("without TLS", token, nil, false)
	check("garbage", "garbage", &srv, false)
	check("never issued", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &srv, false)
	clk.t = clk.t.Add(time.Minute)
	check("expired", token, &srv, false)
	fresh, err := tokens.Issue(ctx, acc.UID, &srv, auth.Entry{Nonce: auth.Nonce{2}})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := tokens.Sweep(ctx); n != 1 || err != nil {
		t.Errorf("swept %d, %v; want 1", n, err)
	}
	check("after the sweep", fresh, &srv, true)
	for range 2 {
		if err := tokens.Revoke(ctx, fresh); err != nil {
			t.Error(err)
		}
	}
	check("revoked", fresh, &srv, false)
}
