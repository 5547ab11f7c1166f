// Package auth knows who is at the other end of a connection.
//
// A login is a document signed by an account's device key over a nonce of this
// server, the server's TLS key and a TLS exporter value of the connection. So
// it is worth nothing at another server and on another connection. What comes
// back is an opaque token of 256 bits, of which only the SHA-256 is kept; it
// is good on that same connection only, until it expires or is revoked.
//
// There is no password here, and no secret of a user ever arrives.
package auth

import (
	"container/list"
	"crypto/rand"
	"sync"
	"time"
)

// Bounds of the challenge store.
const (
	ChallengeLife = 60 * time.Second
	MaxChallenges = 8192
)

// Nonce is what the server asks to have signed.
type Nonce [32]byte

// Challenges are nonces given out and not used yet. When there are too many
// the oldest goes: a flood can make slow logins fail, never fill the memory.
type Challenges struct {
	max   int
	now   func() time.Time
	mu    sync.Mutex
	known map[Nonce]*list.Element
	order *list.List // of challenge, oldest first
}

type challenge struct {
	nonce Nonce
	until time.Time
}

// NewChallenges keeps at most max challenges.
func NewChallenges(max int, now func() time.Time) *Challenges {
	return &Challenges{max: max, now: now, known: map[Nonce]*list.Element{}, order: list.New()}
}

// Issue makes a nonce that is good once, for ChallengeLife.
func (c *Challenges) Issue() Nonce {
	var n Nonce
	_, _ = rand.Read(n[:]) // never fails: see crypto/rand
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.order.Len() >= c.max {
		c.drop(c.order.Front())
	}
	c.known[n] = c.order.PushBack(challenge{n, c.now().Add(ChallengeLife)})
	return n
}

// Take uses n up and reports whether it was still good.
func (c *Challenges) Take(n Nonce) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.known[n]
	if !ok {
		return false
	}
	until := e.Value.(challenge).until
	c.drop(e)
	return c.now().Before(until)
}

func (c *Challenges) drop(e *list.Element) {
	delete(c.known, e.Value.(challenge).nonce)
	c.order.Remove(e)
}
