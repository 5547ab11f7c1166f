package server

import (
	"sync"

	"cipherdeck/crypto/chain"
)

// cacheBytes bounds each of the caches of verified chains, in bytes as sizeOf
// and sizeOfState estimate them. A count would not do: one project may be as
// large as thousands of others.
const cacheBytes = 64 << 20

// cache remembers values that can be computed again, within a bound. Any others
// go to make room; the newest stays even when it alone is larger, since it is
// about to be asked for again.
type cache[K comparable, V any] struct {
	max   int
	size  func(V) int
	mu    sync.Mutex
	known map[K]V
	total int
}

func newCache[K comparable, V any](max int, size func(V) int) *cache[K, V] {
	return &cache[K, V]{max: max, size: size, known: map[K]V{}}
}

func (c *cache[K, V]) get(k K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.known[k]
	return v, ok
}

func (c *cache[K, V]) put(k K, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(k)
	n := c.size(v)
	for other := range c.known { // in no order
		if c.total+n <= c.max {
			break
		}
		c.drop(other)
	}
	c.known[k] = v
	c.total += n
}

// forget makes the next question for k go to the store.
func (c *cache[K, V]) forget(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(k)
}

func (c *cache[K, V]) drop(k K) {
	if v, ok := c.known[k]; ok {
		c.total -= c.size(v)
		delete(c.known, k)
	}
}

// overhead is added for the pointers, headers and map cells of one thing.
const overhead = 512

// sizeOf is about the bytes that an account takes: as it was signed, and once
// more taken apart.
func sizeOf(a *chain.Account) int {
	n := len(a.Raw)
	for _, l := range a.Links {
		n += len(l)
	}
	return overhead + 2*n
}

// sizeOfState is about the bytes that a state takes, as if it shared nothing.
func sizeOfState(s *chain.State) int {
	n := overhead + len(s.Last.Body)
	for _, all := range []map[chain.UID]chain.Member{s.Members, s.Former} {
		for _, m := range all {
			n += overhead + sizeOf(m.Account) + len(m.Wrap)
		}
	}
	for _, g := range s.Grants {
		n += overhead + sizeOf(g.Node)
	}
	for _, e := range s.Epochs {
		n += overhead + len(e.Prev)
	}
	return n
}
