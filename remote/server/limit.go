package server

import (
	"container/list"
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
