package faulttest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Link carries TCP from its own address to another one, until it is cut.
type Link struct {
	ln net.Listener
	to string

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

// NewLink is a link to an address; it ends with the test.
func NewLink(t *testing.T, to string) *Link {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Link{ln: ln, to: to, conns: map[net.Conn]bool{}}
	var done sync.WaitGroup
	done.Go(l.serve)
	t.Cleanup(func() {
		_ = ln.Close()
		l.Cut()
		done.Wait()
	})
	return l
}

// Addr is where the link begins.
func (l *Link) Addr() string { return l.ln.Addr().String() }

// Cut ends all connections and lets no new one through.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for c := range l.conns {
		_ = c.Close()
	}
	clear(l.conns)
}

// Heal lets new connections through.
func (l *Link) Heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
}

func (l *Link) serve() {
	for {
		a, err := l.ln.Accept()
		if err != nil {
			return
		}
		b, err := net.Dial("tcp", l.to)
		if err != nil || !l.keep(a, b) {
			_ = a.Close()
			if err == nil {
				_ = b.Close()
			}
			continue
		}
		go pump(a, b)
		go pump(b, a)
	}
}

// keep notes both ends, unless the link is cut.
func (l *Link) keep(a, b net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return false
	}
	l.conns[a], l.conns[b] = true, true
	return true
}

func pump(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.Close()
	_ = from.Close()
}
