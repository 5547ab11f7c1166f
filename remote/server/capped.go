package server

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// strangerIdle is how long a connection on which nobody has logged in may keep
// the server waiting, whatever for.
const strangerIdle = patience

// capped is a listener with at most a number of open connections. One more
// waits in the kernel until another one ends. One of an address that has its
// share already is closed at once, so that one machine cannot take all.
type capped struct {
	net.Listener
	room   chan struct{}
	closed chan struct{}
	once   sync.Once

	share int
	mu    sync.Mutex
	from  map[netip.Addr]int
}

func newCapped(l net.Listener, n int) *capped {
	return &capped{Listener: l, room: make(chan struct{}, n), closed: make(chan struct{}), share: shareOf(n), from: map[netip.Addr]int{}}
}

// shareOf is how many of n connections one address may have: a quarter, so that
// people behind one gateway still fit.
func shareOf(n int) int { return max(n/4, min(n, 2)) }

// Accept is the next connection of an address that has not its share yet.
func (c *capped) Accept() (net.Conn, error) {
	select {
	case c.room <- struct{}{}:
	case <-c.closed:
		return nil, net.ErrClosed
	}
	for {
		k, err := c.Listener.Accept()
		if err != nil {
			<-c.room
			return nil, err
		}
		who := sourceOf(k.RemoteAddr())
		if !c.enter(who) {
			_ = k.Close()
			continue
		}
		return &counted{Conn: k, leave: sync.OnceFunc(func() {
			c.exit(who)
			<-c.room
		})}, nil
	}
}

func (c *capped) enter(who netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.from[who] >= c.share {
		return false
	}
	c.from[who]++
	return true
}

func (c *capped) exit(who netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.from[who]--; c.from[who] == 0 {
		delete(c.from, who)
	}
}

// Close stops accepting.
func (c *capped) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Listener.Close()
}

// sourceOf is whom a connection counts for: an IPv4 address, or the 64 bits of
// an IPv6 one that a single customer has at least.
func sourceOf(a net.Addr) netip.Addr {
	p, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	ip := p.Addr().Unmap().WithZone("")
	if ip.Is6() {
		ip = netip.PrefixFrom(ip, 64).Masked().Addr()
	}
	return ip
}

// counted is one connection of capped.
type counted struct {
	net.Conn
	leave func()
	known atomic.Bool // somebody has logged in on it
}

// Close gives the room back.
func (c *counted) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// SetReadDeadline bounds a stranger's deadline, whoever sets it: the limit of
// http.Server for idle connections knows no login.
func (c *counted) SetReadDeadline(t time.Time) error {
	if limit := time.Now().Add(strangerIdle); !c.known.Load() && (t.IsZero() || t.After(limit)) {
		t = limit
	}
	return c.Conn.SetReadDeadline(t)
}

// connKey finds the counted connection of a request in its context.
type connKey struct{}

// withConn notes the connection below TLS in the context of its requests.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if tc, ok := c.(*tls.Conn); ok {
		return context.WithValue(ctx, connKey{}, tc.NetConn())
	}
	return ctx
}
