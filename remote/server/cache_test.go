package server

import (
	"testing"

	"cipherdeck/crypto/chain"
)

func TestCacheIsBounded(t *testing.T) {
	c := newCache[int](100, func(s string) int { return len(s) })
	piece := string(make([]byte, 30))
	for k := range 50 {
		c.put(k, piece)
		if _, ok := c.get(k); !ok || c.total > 100 {
			t.Fatalf("after %d: total %d, newest kept %v", k, c.total, ok)
		}
	}
	if len(c.known) != 3 {
		t.Errorf("%d pieces of 30 bytes in 100", len(c.known))
	}
	c.put(1, string(make([]byte, 500)))
	if _, ok := c.get(1); !ok || len(c.known) != 1 {
		t.Errorf("a piece larger than the cache: kept %v beside %d", ok, len(c.known)-1)
	}
	c.put(1, piece)
	if c.total != 30 {
		t.Errorf("replaced by 30 bytes: total %d", c.total)
	}
}

// TestSizeOfState gives a state more of everything that can grow.
func TestSizeOfState(t *testing.T) {
	big := &chain.Account{Raw: make([]byte, 8<<10)}
	small := sizeOfState(&chain.State{})
	for name, s := range map[string]*chain.State{
		"members": {Members: map[chain.UID]chain.Member{{1}: {Account: big}}},
		"former":  {Former: map[chain.UID]chain.Member{{1}: {Account: big}}},
		"wraps":   {Members: map[chain.UID]chain.Member{{1}: {Account: &chain.Account{}, Wrap: make([]byte, 8<<10)}}},
		"epochs":  {Epochs: []chain.Epoch{{Prev: make([]byte, 8<<10)}}},
		"link":    {Last: chain.Link{Body: make([]byte, 8<<10)}},
	} {
		if n := sizeOfState(s); n < small+8<<10 {
			t.Errorf("%s: %d bytes", name, n)
		}
	}
}
