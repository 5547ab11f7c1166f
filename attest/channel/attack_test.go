package channel

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/manifest"
	"cipherdeck/attest/tpm2"
	"cipherdeck/crypto/doc"
)

// relay forwards challenges to the real server over its own connection.
func relay(t *testing.T, s *server) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		challenge, _ := io.ReadAll(q.Body)
		c := Wrap(dial(t, s.addr, s.spki), "real")
		evidence, err := c.exchange(challenge)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", MediaType)
		w.Header().Set("Content-Length", fmt.Sprint(len(evidence)))
		_, _ = w.Write(evidence)
	})
}

func brokenAt(t *testing.T, v *attest.Verdict, err error, link string) {
	t.Helper()
	if !errors.Is(err, attest.ErrRefused) {
		t.Fatalf("not refused: %v", err)
	}
	if v == nil || v.OK() || v.Broken() == nil || v.Broken().ID != link {
		t.Fatalf("broke elsewhere than %s: %v", link, err)
	}
	if !strings.Contains(err.Error(), link) {
		t.Errorf("error does not name %s: %v", link, err)
	}
}

// A relay with its own key is stopped by the pin, and if its key was pinned by
// mistake, by the binding. A relay with the server's stolen key passes the pin
// and is stopped by the exporter.
func TestRelays(t *testing.T) {
	s := newServer(t).start(t)
	own, err := NewCertificate(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cert tls.Certificate
		pin  [32]byte
	}{
		"own key, pinned": {own, SPKI(own.Leaf)},
		"leaked key":      {s.cert, s.spki},
	} {
		t.Run(name, func(t *testing.T) {
			addr := s.listen(t, c.cert, relay(t, s))
			conn := Wrap(dial(t, addr, c.pin), "deck")
			v, err := conn.Attest(t.Context(), s.policy)
			brokenAt(t, v, err, attest.LinkNonce)
			if _, err := conn.Write([]byte("secret")); !errors.Is(err, attest.ErrNotAttested) || conn.Payload() != 0 {
				t.Fatalf("write after refusal: %v, %d bytes", err, conn.Payload())
			}
		})
	}
	t.Run("own key, not pinned", func(t *testing.T) {
		addr := s.listen(t, own, relay(t, s))
		_, err := Wrap(dial(t, addr, s.spki), "deck").Attest(t.Context(), s.policy)
		var pin *PinError
		if !errors.Is(err, ErrPin) || !errors.As(err, &pin) || pin.Pinned != s.spki || pin.Got != SPKI(own.Leaf) {
			t.Fatalf("pin: %v", err)
		}
		for _, k := range [][32]byte{pin.Pinned, pin.Got} {
			if !strings.Contains(err.Error(), hex.EncodeToString(k[:])) {
				t.Errorf("error does not name key %x: %v", k, err)
			}
		}
	})
}

func TestEvidenceBelongsToOneConnectionAndChallenge(t *testing.T) {
	s := newServer(t).start(t)
	a, b := s.record(t), s.record(t)
	if _, err := s.judge(t, a); err != nil {
		t.Fatal(err)
	}
	v, err := s.judge(t, record{b.cs, a.challenge, a.evidence, a.enrolled})
	brokenAt(t, v, err, attest.LinkNonce)
	v, err = s.judge(t, record{a.cs, b.challenge, a.evidence, a.enrolled})
	brokenAt(t, v, err, attest.LinkNonce)
}

// Parts of the evidence replaced by others that are good in themselves.
func TestSwappedParts(t *testing.T) {
	s := newServer(t).start(t)
	r := s.record(t)
	s.golden.Note = "another note"
	other, err := manifest.Sign(s.golden, s.signer)
	if err != nil {
		t.Fatal(err)
	}
	log := newServer(t).machine.Log
	for name, change := range map[string]func(*attest.Evidence){
		"job key":  func(e *attest.Evidence) { e.JobKey = []byte("mine") },
		"manifest": func(e *attest.Evidence) { e.Manifest = other },
		"log":      func(e *attest.Evidence) { e.AppLog = log },
	} {
		var e attest.Evidence
		if err := doc.Decode(r.evidence, &e); err != nil {
			t.Fatal(err)
		}
		change(&e)
		raw, err := doc.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		v, err := s.judge(t, record{r.cs, r.challenge, raw, r.enrolled})
		if v == nil {
			t.Fatalf("%s: %v", name, err)
		}
		brokenAt(t, v, err, attest.LinkNonce)
	}
}

func TestJudgeRefusesConnections(t *testing.T) {
	s := newServer(t).start(t)
	r := s.record(t)
	for name, c := range map[string]struct {
		change func(*record)
		want   error
	}{
		"resumed":        {func(r *record) { r.cs.DidResume = true }, ErrTLS},
		"TLS 1.2":        {func(r *record) { r.cs.Version = tls.VersionTLS12 }, ErrTLS},
		"no handshake":   {func(r *record) { r.cs.HandshakeComplete = false }, ErrTLS},
		"no certificate": {func(r *record) { r.cs.PeerCertificates = nil }, ErrTLS},
		"not CBOR":       {func(r *record) { r.evidence = []byte{0xff} }, attest.ErrRefused},
		"empty":          {func(r *record) { r.evidence = nil }, attest.ErrRefused},
		"too large":      {func(r *record) { r.evidence = make([]byte, MaxEvidence+1) }, attest.ErrRefused},
		"bad challenge":  {func(r *record) { r.challenge = nil }, ErrChallenge},
	} {
		bad := r
		c.change(&bad)
		if v, err := s.judge(t, bad); !errors.Is(err, c.want) || v != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestChallengesRefused(t *testing.T) {
	s := newServer(t).start(t)
	r := s.record(t)
	encode := func(change func(*attest.Challenge)) []byte {
		c, _, err := Ask(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		change(&c)
		raw, err := doc.Encode(c)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	res := NewResponder(s.machine)
	for name, raw := range map[string][]byte{
		"nothing":     nil,
		"empty nonce": encode(func(c *attest.Challenge) { c.Nonce = [32]byte{} }),
		"version":     encode(func(c *attest.Challenge) { c.V = 1 }),
		"no PCRs":     encode(func(c *attest.Challenge) { c.PCRs = nil }),
		"no PCR 14":   encode(func(c *attest.Challenge) { c.PCRs = []uint8{16, 23} }),
		"unordered":   encode(func(c *attest.Challenge) { c.PCRs = []uint8{14, 14} }),
		"PCR 24":      encode(func(c *attest.Challenge) { c.PCRs = []uint8{14, 24} }),
		"trailing":    append(bytes.Clone(r.challenge), 0),
		"too long":    make([]byte, MaxChallenge+1),
	} {
		if _, err := res.Answer(&r.cs, raw); !errors.Is(err, ErrChallenge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := res.Answer(nil, r.challenge); !errors.Is(err, ErrTLS) {
		t.Errorf("no TLS: %v", err)
	}
	if _, _, err := Ask(bytes.NewReader(make([]byte, 31))); err == nil {
		t.Error("nonce from too little randomness")
	}
}

// wireServer is a bare TLS server: it answers the first request with answer
// and records every byte that came, until the client hangs up.
func (s *server) wireServer(t *testing.T, answer func(conn *tls.Conn, challenge []byte)) (addr string, got <-chan []byte) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", ServerTLS(s.cert))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	out := make(chan []byte, 1)
	go func() {
		raw, err := l.Accept()
		if err != nil {
			out <- nil
			return
		}
		defer raw.Close()
		conn := raw.(*tls.Conn)
		b := make([]byte, 4096)
		n, _ := conn.Read(b)
		head := bytes.Index(b[:n], []byte("\r\n\r\n")) + 4
		answer(conn, b[head:n])
		rest, _ := io.ReadAll(conn)
		out <- append(b[:n:n], rest...)
	}()
	return l.Addr().String(), out
}

// A refusal, of whatever kind, leaves nothing on the wire but the challenge.
func TestRefusalSendsNoPayload(t *testing.T) {
	s := newServer(t)
	honest := NewResponder(s.machine)
	reply := func(head string, change func([]byte) []byte) func(*tls.Conn, []byte) {
		return func(conn *tls.Conn, challenge []byte) {
			cs := conn.ConnectionState()
			e, err := honest.Answer(&cs, challenge)
			if err != nil {
				t.Error(err)
			}
			e = change(e)
			_, _ = fmt.Fprintf(conn, head, len(e))
			_, _ = conn.Write(e)
		}
	}
	const ok = "HTTP/1.1 200 OK\r\nContent-Type: application/cbor\r\nContent-Length: %d\r\n\r\n"
	same := func(b []byte) []byte { return b }
	for name, c := range map[string]struct {
		answer func(*tls.Conn, []byte)
		policy func(*attest.Policy)
		want   error
		says   string
	}{
		"bit flipped":       {reply(ok, func(b []byte) []byte { b[len(b)/2] ^= 1; return b }), nil, attest.ErrRefused, ""},
		"hardware demanded": {reply(ok, same), func(p *attest.Policy) { p.MinRoot = attest.RootHardware }, attest.ErrRefused, "root"},
		"other product":     {reply(ok, same), func(p *attest.Policy) { p.Product = "x" }, attest.ErrRefused, "manifest.validity"},
		"rolled back":       {reply(ok, same), func(p *attest.Policy) { p.MinVersion = 8 }, attest.ErrRefused, "manifest.validity"},
		"status 500":        {reply("HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n", same), nil, ErrResponse, "status 500"},
		"text":              {reply("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", same), nil, ErrResponse, "content type"},
		"chunked": {func(c *tls.Conn, _ []byte) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/cbor\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
		}, nil, ErrResponse, "no Content-Length"},
		"no length": {func(c *tls.Conn, _ []byte) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/cbor\r\n\r\n")
		}, nil, ErrResponse, "no Content-Length"},
		"huge length": {func(c *tls.Conn, _ []byte) { _, _ = fmt.Fprintf(c, ok, MaxEvidence+1) }, nil, ErrResponse, "limit"},
		"truncated": {func(c *tls.Conn, _ []byte) {
			_, _ = fmt.Fprintf(c, ok+"ab", 3)
			_ = c.CloseWrite()
		}, nil, ErrResponse, "EOF"},
		"second response": {func(c *tls.Conn, _ []byte) {
			_, _ = fmt.Fprintf(c, ok+"abHTTP/1.1 200 OK\r\n\r\n", 2)
		}, nil, ErrResponse, "bytes after it"},
		"closing":    {reply("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/cbor\r\nContent-Length: %d\r\n\r\n", same), nil, ErrResponse, "closes"},
		"not HTTP":   {func(c *tls.Conn, _ []byte) { _, _ = io.WriteString(c, "hello\r\n\r\n") }, nil, ErrResponse, "malformed"},
		"no answer":  {func(c *tls.Conn, _ []byte) { _ = c.CloseWrite() }, nil, ErrResponse, "EOF"},
		"empty body": {func(c *tls.Conn, _ []byte) { _, _ = fmt.Fprintf(c, ok, 0) }, nil, attest.ErrRefused, "evidence"},
	} {
		t.Run(name, func(t *testing.T) {
			addr, got := s.wireServer(t, c.answer)
			p := s.policy
			if c.policy != nil {
				c.policy(&p)
			}
			conn := Wrap(dial(t, addr, s.spki), "deck")
			v, err := conn.Attest(t.Context(), p)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || (v != nil && v.OK()) {
				t.Fatalf("%v, want %v: …%s…", err, c.want, c.says)
			}
			if n, err := conn.Write([]byte("TOP SECRET")); n != 0 || !errors.Is(err, attest.ErrNotAttested) {
				t.Fatalf("wrote %d bytes, %v", n, err)
			}
			if conn.Payload() != 0 {
				t.Fatalf("%d payload bytes counted", conn.Payload())
			}
			seen := <-got
			head, rest, _ := bytes.Cut(seen, []byte("\r\n\r\n"))
			if !bytes.HasPrefix(head, []byte("POST "+Path)) || !bytes.Contains(head, fmt.Appendf(nil, "Content-Length: %d", len(rest))) {
				t.Fatalf("the wire carried %d bytes besides the challenge: %q", len(rest), seen)
			}
		})
	}
}

// A server that stalls is left when the caller's context ends.
func TestStall(t *testing.T) {
	s := newServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	addr, got := s.wireServer(t, func(*tls.Conn, []byte) { cancel() })
	conn := Wrap(dial(t, addr, s.spki), "deck")
	if _, err := conn.Attest(ctx, s.policy); !errors.Is(err, context.Canceled) {
		t.Fatalf("stalled: %v", err)
	}
	<-got
	if _, err := conn.Write(nil); !errors.Is(err, attest.ErrNotAttested) {
		t.Fatal(err)
	}
}

// Conn carries nothing and changes nothing before the verdict.
func TestConnBeforeTheVerdict(t *testing.T) {
	s := newServer(t).start(t)
	c := Wrap(dial(t, s.addr, s.spki), "deck")
	for name, f := range map[string]func() error{
		"write":          func() error { _, err := c.Write([]byte("x")); return err },
		"read":           func() error { _, err := c.Read(make([]byte, 1)); return err },
		"deadline":       func() error { return c.SetDeadline(time.Time{}) },
		"read deadline":  func() error { return c.SetReadDeadline(time.Time{}) },
		"write deadline": func() error { return c.SetWriteDeadline(time.Time{}) },
	} {
		if err := f(); !errors.Is(err, attest.ErrNotAttested) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.Attest(t.Context(), s.policy); err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		t.Error(err)
	}
	if _, err := c.Attest(t.Context(), s.policy); !errors.Is(err, attest.ErrNotAttested) {
		t.Errorf("attested twice: %v", err)
	}
	if err := c.Refuse(); err != nil {
		t.Error(err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, attest.ErrNotAttested) {
		t.Errorf("write after Refuse: %v", err)
	}
}

// On the live connection a later challenge is an ordinary request.
func TestReattest(t *testing.T) {
	s := newServer(t).start(t)
	c := Wrap(dial(t, s.addr, s.spki), "deck")
	if _, err := c.Attest(t.Context(), s.policy); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return c, nil },
	}}
	p := s.policy
	p.Enrolled = c.Transcript().Enrolled
	for range 2 {
		_, challenge, err := Ask(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		rsp, err := client.Post("https://deck"+Path, MediaType, bytes.NewReader(challenge))
		if err != nil {
			t.Fatal(err)
		}
		evidence, _ := io.ReadAll(rsp.Body)
		v, err := Judge(t.Context(), c.ConnectionState(), challenge, evidence, p, "deck", judgedAt())
		if err != nil || v.Word() != "demo" {
			t.Fatal(err)
		}
	}
}

func TestHandlerStatus(t *testing.T) {
	s := newServer(t).start(t)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: ClientTLS(s.spki)}}
	for name, c := range map[string]struct {
		method string
		body   []byte
		want   int
	}{
		"get":     {http.MethodGet, nil, http.StatusMethodNotAllowed},
		"garbage": {http.MethodPost, []byte("garbage"), http.StatusBadRequest},
		"long":    {http.MethodPost, make([]byte, MaxChallenge+1), http.StatusBadRequest},
	} {
		q, err := http.NewRequestWithContext(t.Context(), c.method, "https://"+s.addr+Path, bytes.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		rsp, err := client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		_ = rsp.Body.Close()
		if rsp.StatusCode != c.want {
			t.Errorf("%s: status %d, want %d", name, rsp.StatusCode, c.want)
		}
	}
}

func TestTLSConfigs(t *testing.T) {
	s := newServer(t).start(t)
	cs := s.record(t).cs
	if cs.Version != tls.VersionTLS13 || cs.CurveID != tls.X25519MLKEM768 || cs.NegotiatedProtocol != "http/1.1" {
		t.Fatalf("version %x, curve %v, ALPN %q", cs.Version, cs.CurveID, cs.NegotiatedProtocol)
	}
	if s.cert.Leaf.VerifyHostname("deck.test") != nil || s.cert.Leaf.VerifyHostname("127.0.0.1") != nil {
		t.Error("subject alternative names are missing")
	}
	old := ClientTLS(s.spki)
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if c, err := tls.Dial("tcp", s.addr, old); err == nil {
		_ = c.Close()
		t.Error("server speaks TLS 1.2")
	}
	cached := ClientTLS(s.spki)
	cached.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for range 2 {
		c, err := tls.Dial("tcp", s.addr, cached)
		if err != nil {
			t.Fatal(err)
		}
		if c.ConnectionState().DidResume {
			t.Error("session was resumed")
		}
		_, _ = io.WriteString(c, "GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		_, _ = io.Copy(io.Discard, c) // tickets would arrive with the answer
		_ = c.Close()
	}
}

func TestConcurrentAnswers(t *testing.T) {
	s := newServer(t).start(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := Wrap(dial(t, s.addr, s.spki), "deck").Attest(t.Context(), s.policy); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// The binding is a format: these bytes must never change within version 1.
func TestBindVector(t *testing.T) {
	p := Parts{
		Nonce: [32]byte{1}, SPKI: [32]byte{2}, EKM: bytes.Repeat([]byte{3}, 32),
		JobKey: []byte("job"), Manifest: []byte("manifest"), Challenge: []byte("challenge"), Logs: []byte("logs"),
	}
	const want = "aef915db892c96ff441aef4874339ff9c97c7f4b12b38dcad00220806b50a0dd" // from a second implementation
	if got := Bind(p); hex.EncodeToString(got[:]) != want {
		t.Errorf("%x, want %s", got, want)
	}
	good := Bind(p)
	for name, change := range map[string]func(*Parts){
		"nonce":     func(p *Parts) { p.Nonce[31]++ },
		"SPKI":      func(p *Parts) { p.SPKI[31]++ },
		"exporter":  func(p *Parts) { p.EKM = bytes.Repeat([]byte{4}, 32) },
		"job key":   func(p *Parts) { p.JobKey = nil },
		"manifest":  func(p *Parts) { p.Manifest = p.Logs },
		"challenge": func(p *Parts) { p.Challenge = p.Logs },
		"logs":      func(p *Parts) { p.Logs = p.JobKey },
	} {
		q := p
		change(&q)
		if Bind(q) == good {
			t.Errorf("%s is not bound", name)
		}
	}
}

func TestAnswersDeclareTheirType(t *testing.T) {
	s := newServer(t).start(t)
	r := s.record(t)
	e, err := parseEvidence(r.evidence)
	if err != nil || e.Type != tpm2.Type || len(e.PCRs) != len(PCRs()) {
		t.Fatalf("%v %+v", err, e)
	}
	e.Type = "snp"
	raw, _ := doc.Encode(e)
	if _, err := s.judge(t, record{r.cs, r.challenge, raw, r.enrolled}); !errors.Is(err, attest.ErrRefused) {
		t.Errorf("other type: %v", err)
	}
}
