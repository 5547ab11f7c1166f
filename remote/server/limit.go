package server

import (
	"container/list"
	"net"
	"sync"

	"golang.org/x/time/rate"
)

// maxPrincipals bounds how many rates are remembered.
const maxPrincipals = 4096

// limits is a rate for each principal: an account, or an address before login.
// The one unseen for longest is forgotten, and starts with a full burst again.
type limits struct {
	every rate.Limit
	burst int
	mu    sync.Mutex
	known map[string]*list.Element
	order *list.List // of *limit, latest first
}

type limit struct {
	who  string
	rate *rate.Limiter
}

func newLimits(perSecond, burst int) *limits {
	return &limits{every: rate.Limit(perSecond), burst: burst, known: map[string]*list.Element{}, order: list.New()}
}

// allow takes one request of who and reports whether it is within the rate.
func (l *limits) allow(who string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.known[who]
	if !ok {
		if l.order.Len() >= maxPrincipals {
			last := l.order.Back()
			delete(l.known, last.Value.(*limit).who)
			l.order.Remove(last)
		}
		e = l.order.PushFront(&limit{who, rate.NewLimiter(l.every, l.burst)})
		l.known[who] = e
	}
	l.order.MoveToFront(e)
	return e.Value.(*limit).rate.Allow()
}

// capped is a listener with at most a number of open connections. One more
// waits in the kernel until another one ends.
type capped struct {
	net.Listener
	room   chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newCapped(l net.Listener, n int) *capped {
	return &capped{Listener: l, room: make(chan struct{}, n), closed: make(chan struct{})}
}

func (c *capped) Accept() (net.Conn, error) {
	select {
	case c.room <- struct{}{}:
	case <-c.closed:
		return nil, net.ErrClosed
	}
	k, err := c.Listener.Accept()
	if err != nil {
		<-c.room
		return nil, err
	}
	return &counted{Conn: k, leave: sync.OnceFunc(func() { <-c.room })}, nil
}

func (c *capped) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Listener.Close()
}

type counted struct {
	net.Conn
	leave func()
}

func (c *counted) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
