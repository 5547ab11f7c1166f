package server_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"cipherdeck/attest/channel"
	"cipherdeck/remote/api"
	rt "cipherdeck/remote/remotetest"
	"cipherdeck/remote/server"
)

// raw is one connection used by hand, for what the client would never do.
type raw struct {
	srv   *server.Server
	conn  *tls.Conn
	in    *bufio.Reader
	token string
	who   *rt.Who
}

func open(t *testing.T, s *server.Server) *raw {
	t.Helper()
	c := &raw{srv: s}
	c.redial(t)
	t.Cleanup(func() { _ = c.conn.Close() })
	return c
}

func (c *raw) redial(t *testing.T) {
	t.Helper()
	conn, err := tls.Dial("tcp", c.srv.Addr(), channel.ClientTLS(c.srv.Pin()))
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	c.conn, c.in = conn, bufio.NewReader(conn)
}

// connect opens a connection and logs w in on it.
func connect(t *testing.T, s *server.Server, w rt.Who) *raw {
	t.Helper()
	c := open(t, s)
	c.who = &w
	if rsp := c.login(t, c, c.nonce(t)); rsp.StatusCode != http.StatusOK {
		t.Fatalf("login: %s", rsp.Status)
	}
	return c
}

func (c *raw) nonce(t *testing.T) []byte {
	t.Helper()
	var ch api.ChallengeReply
	decode(t, c.do(t, "POST", "/v1/auth/challenge", []byte("{}")), &ch)
	return ch.Nonce
}

// login logs in here with what was signed for connection signer.
func (c *raw) login(t *testing.T, signer *raw, nonce []byte) *http.Response {
	t.Helper()
	cs := signer.conn.ConnectionState()
	signed, err := api.SignLogin(&cs, c.srv.Pin(), nonce, time.Now().Unix(), signer.who.Key)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(api.LoginRequest{UID: signer.who.UID, Login: signed})
	if err != nil {
		t.Fatal(err)
	}
	rsp := c.do(t, "POST", "/v1/auth/login", body)
	if rsp.StatusCode == http.StatusOK {
		var r api.LoginReply
		decode(t, rsp, &r)
		c.token = r.Token
	}
	return rsp
}

// do is one exchange. The body of the answer is read whole. A server that
// closes the connection after an answer gets a new one, with a new login.
func (c *raw) do(t *testing.T, method, path string, body []byte) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "https://cipherdeck"+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if err := req.Write(c.conn); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	rsp, err := http.ReadResponse(c.in, req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	all, err := io.ReadAll(rsp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	rsp.Body = io.NopCloser(bytes.NewReader(all))
	if rsp.Close {
		_ = c.conn.Close()
		c.redial(t)
		if c.who != nil {
			c.token = ""
			c.login(t, c, c.nonce(t))
		}
	}
	return rsp
}

func decode(t *testing.T, rsp *http.Response, v any) {
	t.Helper()
	if err := json.NewDecoder(rsp.Body).Decode(v); err != nil {
		t.Fatal(err)
	}
}

// TestRelayedLogin signs a login for one connection and uses it on another, as
// somebody in the middle would.
func TestRelayedLogin(t *testing.T) {
	s := start(t)
	victim, relay := open(t, s.srv), open(t, s.srv)
	victim.who = &s.owner
	if rsp := relay.login(t, victim, relay.nonce(t)); rsp.StatusCode != http.StatusUnauthorized {
		t.Errorf("relayed login: %s", rsp.Status)
	}
	nonce := victim.nonce(t)
	if rsp := victim.login(t, victim, nonce); rsp.StatusCode != http.StatusOK {
		t.Errorf("login: %s", rsp.Status)
	}
	victim.token = ""
	if rsp := victim.login(t, victim, nonce); rsp.StatusCode != http.StatusUnauthorized {
		t.Errorf("nonce used twice: %s", rsp.Status)
	}
	stranger := rt.Person(t, "stranger")
	victim.who = &stranger
	if rsp := victim.login(t, victim, victim.nonce(t)); rsp.StatusCode != http.StatusUnauthorized {
		t.Errorf("unknown account: %s", rsp.Status)
	}
	impostor := rt.Who{Account: s.owner.Account, Key: stranger.Key}
	victim.who = &impostor
	if rsp := victim.login(t, victim, victim.nonce(t)); rsp.StatusCode != http.StatusUnauthorized {
		t.Errorf("another key: %s", rsp.Status)
	}
}

// TestSlowHeader opens connections that send nothing useful; they are cut.
func TestSlowHeader(t *testing.T) {
	s := start(t, func(c *server.Config) { c.HeaderLimitSeconds = 1 })
	silent, err := net.Dial("tcp", s.srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	slow := open(t, s.srv)
	if _, err := io.WriteString(slow.conn, "GET /v1/meta HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	_ = silent.SetReadDeadline(time.Now().Add(time.Minute))
	if n, err := io.Copy(io.Discard, silent); err != nil && n != 0 {
		t.Errorf("silent connection: %d bytes, %v", n, err)
	}
	answer, err := io.ReadAll(slow.conn)
	var timeout net.Error
	if e, ok := err.(net.Error); ok {
		timeout = e
	}
	if timeout != nil && timeout.Timeout() {
		t.Error("the slow header was never cut")
	}
	if bytes.Contains(answer, []byte("200 OK")) {
		t.Error("the slow header was answered")
	}
}

func TestOversized(t *testing.T) {
	s := start(t, func(c *server.Config) { c.MaxBlobBytes = 64 << 10 })
	big := make([]byte, 64<<10+1)
	err := s.p.PutBlob(t.Context(), s.p.ID(), int64(len(big)), bytes.NewReader(big))
	wantErr(t, "blob", err, api.ErrTooLarge)
	c := connect(t, s.srv, s.owner)
	for path, size := range map[string]int{
		"POST /v1/auth/login":                              16<<10 + 1,
		"PUT /v1/accounts/" + s.owner.UID.String():         8<<10 + 1,
		"PUT /v1/projects/" + s.p.ID().String() + "/head":  128<<10 + 1,
		"POST /v1/projects":                                128<<10 + 1,
		"POST /v1/projects/" + s.p.ID().String() + "/jobs": 4<<10 + 1,
	} {
		method, target, _ := bytes.Cut([]byte(path), []byte(" "))
		body := append([]byte(`{"uid":"`), bytes.Repeat([]byte("a"), size)...)
		if rsp := c.do(t, string(method), string(target), body); rsp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s with %d bytes: %s", path, size, rsp.Status)
		}
	}
}

func TestRate(t *testing.T) {
	s := start(t)
	s.cfg.RatePerSecond, s.cfg.RateBurst = 1, 20
	s.restart(t)
	c := open(t, s.srv)
	busy := 0
	for range 40 {
		rsp := c.do(t, "GET", "/v1/meta", nil)
		if rsp.StatusCode == http.StatusTooManyRequests {
			busy++
			if rsp.Header.Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
		}
	}
	if busy < 10 {
		t.Errorf("%d of 40 requests refused at a burst of 20", busy)
	}
	if _, err := s.client.Meta(t.Context()); err != nil { // the client waits and asks again
		t.Error(err)
	}
}

// TestRateOfStrangers asks without a token, with a wrong one, and for what does
// not exist: all of it costs the address.
func TestRateOfStrangers(t *testing.T) {
	s := start(t)
	s.cfg.RatePerSecond, s.cfg.RateBurst = 1, 10
	for _, c := range []struct{ path, token string }{{"/v1/projects", ""}, {"/v1/projects", "guess"}, {"/nowhere", ""}} {
		s.restart(t)
		k := open(t, s.srv)
		k.token = c.token
		busy := 0
		for range 30 {
			if k.do(t, "GET", c.path, nil).StatusCode == http.StatusTooManyRequests {
				busy++
			}
		}
		if busy < 10 {
			t.Errorf("%s with token %q: %d of 30 requests refused at a burst of 10", c.path, c.token, busy)
		}
	}
}

// TestErrors holds the shape of an error.
func TestErrors(t *testing.T) {
	s := start(t)
	c := open(t, s.srv)
	for path, code := range map[string]string{"/v1/projects": api.CodeUnauthorized, "/nowhere": api.CodeNotFound} {
		rsp := c.do(t, "GET", path, nil)
		var e api.Envelope
		decode(t, rsp, &e)
		if e.Error.Code != code || e.Error.Cause == "" || rsp.Header.Get("Content-Type") != api.TypeJSON || api.Status(code) != rsp.StatusCode {
			t.Errorf("%s: %s %+v", path, rsp.Status, e)
		}
	}
}
