package api_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"cipherdeck/attest/channel"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/api"
)

// liar is a server that answers logins and then whatever handle says. It
// exists because the real server does not lie.
func liar(t *testing.T, handle http.HandlerFunc) *api.Client {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := channel.NewCertificate(key)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", channel.ServerTLS(cert))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/auth/challenge", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(api.ChallengeReply{Nonce: make([]byte, api.NonceSize)})
	})
	mux.HandleFunc("/v1/auth/login", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(api.LoginReply{Token: "token", ExpiresIn: 900})
	})
	mux.HandleFunc("/", handle)
	srv := &http.Server{Handler: mux}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	_, device, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := api.New(api.Config{Addr: ln.Addr().String(), Pin: channel.SPKI(cert.Leaf), Device: device})
	t.Cleanup(c.Close)
	return c
}

func want(t *testing.T, what string, got, wanted error) {
	t.Helper()
	if !errors.Is(got, wanted) {
		t.Errorf("%s: got %v, want %v", what, got, wanted)
	}
}

// TestLies gives the client other bytes than it asked for.
func TestLies(t *testing.T) {
	body := []byte("what the id names")
	i := id.Of(body)
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter)
		want   error
	}{
		"other bytes": {func(w http.ResponseWriter) { _, _ = w.Write([]byte("what the id nameS")) }, api.ErrDamaged},
		"fewer bytes": {func(w http.ResponseWriter) { _, _ = w.Write(body[:5]) }, api.ErrDamaged},
		"cut off": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "17")
			_, _ = w.Write(body[:5])
			panic(http.ErrAbortHandler)
		}, api.ErrUnreachable},
		"no length": {func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(body)
		}, api.ErrServer},
	} {
		t.Run(name, func(t *testing.T) {
			p := liar(t, func(w http.ResponseWriter, _ *http.Request) { c.answer(w) }).Project(id.Of(nil))
			r, err := p.GetBlob(t.Context(), i, 0, -1)
			if err == nil {
				var got []byte
				got, err = io.ReadAll(r)
				if len(got) >= len(body) {
					t.Errorf("all %d bytes came before the error", len(got))
				}
				_ = r.Close()
			}
			want(t, "read", err, c.want)
		})
	}
}

func TestUnknownOutcome(t *testing.T) {
	var asked atomic.Int32
	p := liar(t, func(http.ResponseWriter, *http.Request) {
		asked.Add(1)
		panic(http.ErrAbortHandler)
	}).Project(id.Of(nil))
	_, err := p.CAS(t.Context(), api.HeadKey, []byte("link"), 1)
	want(t, "CAS whose answer is lost", err, api.ErrUnknown)
	if asked.Load() != 1 {
		t.Errorf("a CAS was sent %d times", asked.Load())
	}
	asked.Store(0)
	_, err = p.Jobs(t.Context())
	want(t, "reading", err, api.ErrUnreachable)
	if asked.Load() < 2 {
		t.Errorf("reading was tried %d times", asked.Load())
	}
}

func TestPutBlobAgain(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 300<<10)
	var asked atomic.Int32
	p := liar(t, func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("try %d: %d bytes, %v", asked.Load(), len(got), err)
		}
		if asked.Add(1) == 1 {
			panic(http.ErrAbortHandler)
		}
	}).Project(id.Of(nil))
	if err := p.PutBlob(t.Context(), id.Of(body), int64(len(body)), bytes.NewReader(body)); err != nil {
		t.Error(err)
	}
	if asked.Load() != 2 {
		t.Errorf("%d tries, want 2", asked.Load())
	}
	asked.Store(0)
	once := io.MultiReader(bytes.NewReader(body)) // cannot seek
	err := p.PutBlob(t.Context(), id.Of(body), int64(len(body)), once)
	if err == nil || asked.Load() != 1 {
		t.Errorf("a body that cannot be read again: %v after %d tries", err, asked.Load())
	}
}

func TestUnreachable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	_ = ln.Close()
	_, device, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := api.New(api.Config{Addr: addr, Device: device}).Project(id.Of(nil))
	_, err = p.CAS(t.Context(), api.HeadKey, []byte("link"), 1)
	want(t, "CAS", err, api.ErrUnreachable) // nothing was sent: the outcome is known
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = p.Head(ctx, api.HeadKey)
	want(t, "cancelled", err, context.Canceled)
}

// TestFlood is a server that answers the first request of a login with a
// header that does not end.
func TestFlood(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := channel.NewCertificate(key)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", channel.ServerTLS(cert))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	const most = 64 << 20
	taken := make(chan int, 1)
	go func() {
		k, err := ln.Accept()
		if err != nil {
			taken <- -1
			return
		}
		defer k.Close()
		_ = ln.Close()
		if _, err := http.ReadRequest(bufio.NewReader(k)); err != nil {
			taken <- -1
			return
		}
		n, _ := io.WriteString(k, "HTTP/1.1 200 OK\r\n")
		lines := bytes.Repeat([]byte("X-A: "+strings.Repeat("b", 100)+"\r\n"), 600)
		for err == nil && n < most {
			var m int
			m, err = k.Write(lines)
			n += m
		}
		taken <- n
	}()
	_, device, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := api.New(api.Config{Addr: ln.Addr().String(), Pin: channel.SPKI(cert.Leaf), Device: device})
	t.Cleanup(c.Close)
	if _, err := c.Projects(t.Context()); err == nil {
		t.Error("logged in")
	}
	if n := <-taken; n < 0 || n >= most { // the buffers of two sockets are a few MiB
		t.Errorf("the client took %d bytes of a header", n)
	}
}

// TestJobsPages reads a list of two pages, and one that never ends.
func TestJobsPages(t *testing.T) {
	first, second := id.Of([]byte("first")), id.Of([]byte("second"))
	p := liar(t, func(w http.ResponseWriter, r *http.Request) {
		reply := api.JobsReply{Jobs: []api.JobStatus{{ID: first}}, More: true}
		if r.URL.Query().Get("past") == first.String() {
			reply = api.JobsReply{Jobs: []api.JobStatus{{ID: second}}}
		}
		_ = json.NewEncoder(w).Encode(reply)
	}).Project(id.Of(nil))
	if all, err := p.Jobs(t.Context()); err != nil || len(all) != 2 || all[0].ID != first || all[1].ID != second {
		t.Errorf("two pages: %+v, %v", all, err)
	}
	p = liar(t, func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(api.JobsReply{Jobs: []api.JobStatus{{ID: first}}, More: true})
	}).Project(id.Of(nil))
	_, err := p.Jobs(t.Context())
	want(t, "pages without end", err, api.ErrServer)
}
