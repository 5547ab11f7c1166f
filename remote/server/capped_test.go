package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"cipherdeck/crypto/chain"
)

// wire remembers the deadline that was set last.
type wire struct {
	net.Conn
	read time.Time
}

func (w *wire) SetReadDeadline(t time.Time) error { w.read = t; return nil }

// deadlined is an answer whose connection is a wire.
type deadlined struct {
	*httptest.ResponseRecorder
	*counted
}

func (deadlined) SetWriteDeadline(time.Time) error { return nil }

// TestBodyDeadlines asks how long a body may take, by route and before and
// after it is known whose it is. The deadlines are compared with each other.
func TestBodyDeadlines(t *testing.T) {
	cfg := DefaultConfig()
	s := &Server{cfg: cfg}
	member := &chain.Account{}
	for _, rt := range routes(cfg) {
		for _, who := range []*chain.Account{nil, member} {
			if (rt.right == anybody) != (who == nil) {
				continue
			}
			w := &wire{}
			k := &counted{Conn: w}
			k.known.Store(true) // see TestStrangersIdle for one that is not
			r := httptest.NewRequest(rt.method, "/", io.LimitReader(nil, 0))
			r.ContentLength = 1
			r = r.WithContext(context.WithValue(r.Context(), connKey{}, k))
			c := &call{w: deadlined{httptest.NewRecorder(), k}, r: r}
			var slow time.Duration
			if rt.slow {
				slow = maxWait
			}
			start := time.Now()
			s.bound(c, rt)
			if first := w.read.Sub(start); w.read.IsZero() || first > 2*patience+slow {
				t.Errorf("%s %s: %s for a body before it is known whose it is", rt.method, rt.pattern, first)
			}
			c.who = who
			s.admitted(c, rt)
			most := 2*patience + slow
			if rt.max == cfg.MaxBlobBytes || rt.max == maxAnswer {
				most += time.Duration(rt.max/slowest) * time.Second
			}
			if got := w.read.Sub(start); got > most {
				t.Errorf("%s %s: %s for a body of %d bytes", rt.method, rt.pattern, got, rt.max)
			}
		}
	}
}

func TestStrangersIdle(t *testing.T) {
	w := &wire{}
	k := &counted{Conn: w}
	start := time.Now()
	_ = k.SetReadDeadline(start.Add(time.Hour))
	if w.read.Sub(start) > 2*strangerIdle {
		t.Error("a stranger may be idle for an hour")
	}
	_ = k.SetReadDeadline(time.Time{})
	if w.read.IsZero() {
		t.Error("a stranger may be idle for ever")
	}
	_ = k.SetReadDeadline(start)
	if !w.read.Equal(start) {
		t.Error("a deadline that is sooner was moved")
	}
	k.known.Store(true)
	_ = k.SetReadDeadline(start.Add(time.Hour))
	if !w.read.Equal(start.Add(time.Hour)) {
		t.Error("the deadline of a member was moved")
	}
	ctx := withConn(t.Context(), tls.Server(k, nil))
	if ctx.Value(connKey{}) != any(k) {
		t.Error("a request does not find its connection")
	}
}

func TestSourceOf(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1:1", "192.0.2.1:2", true},
		{"192.0.2.1:1", "192.0.2.2:1", false},
		{"192.0.2.1:1", "[::ffff:192.0.2.1]:1", true},
		{"[2001:db8::1]:1", "[2001:db8::ffff]:1", true},
		{"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
		{"[fe80::1%eth0]:1", "[fe80::1%eth1]:1", true},
	} {
		if got := sourceOf(address(c.a)) == sourceOf(address(c.b)); got != c.same {
			t.Errorf("%s and %s: the same is %v", c.a, c.b, got)
		}
	}
}

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// TestShare opens more connections from one address than it may have. Those
// over its share are closed; another address still gets in.
func TestShare(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := newCapped(ln, 12)
	srv := &http.Server{Handler: http.NotFoundHandler()}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(c) }()
	greedy := make([]net.Conn, 0, 12)
	for range cap(greedy) {
		k, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		greedy = append(greedy, k)
	}
	for _, k := range greedy[c.share:] {
		_ = k.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := k.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a connection over the share is not closed: %v", err)
		}
	}
	other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	k, err := other.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Skipf("LOUD: no second loopback address here, another address is not tried: %v", err)
	}
	if _, err := io.WriteString(k, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if all, err := io.ReadAll(k); err != nil || len(all) == 0 {
		t.Errorf("another address: %d bytes, %v", len(all), err)
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
	if len(c.from) != 0 || len(c.room) != 0 {
		t.Errorf("all are closed, %d addresses and %d rooms are held", len(c.from), len(c.room))
	}
}
