package project

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"filippo.io/mldsa"

	"cipherdeck/crypto/chain"
	"cipherdeck/vault/account"
)

// another is a person with the RSA and X-Wing keys of like, to save making them.
func another(b *testing.B, like *account.Me, name string) *chain.Account {
	b.Helper()
	_, dev, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	pq, err := mldsa.GenerateKey(mldsa.MLDSA65())
	if err != nil {
		b.Fatal(err)
	}
	a, err := chain.NewAccount(chain.Person, name, 1, like.Pair.RSA, dev, like.Pair.Public().XWing)
	if err != nil {
		b.Fatal(err)
	}
	if a, err = a.GivePQ(chain.Author{Root: like.Pair.RSA, Device: chain.Key{Sign: dev, PQ: pq}}, 1); err != nil {
		b.Fatal(err)
	}
	return a
}

// BenchmarkMembers is the client's work to share a project of 100 members with
// one more, and to remove him again, which wraps a new key for all the others.
func BenchmarkMembers(b *testing.B) {
	alice := person(b, "alice")
	s := newShelf()
	p, err := Create(b.Context(), s.create, alice, "ward 7", time.Now)
	if err != nil {
		b.Fatal(err)
	}
	for i := range 99 {
		if err := p.Share(b.Context(), another(b, alice, fmt.Sprintf("member %d", i)), chain.Reader); err != nil {
			b.Fatal(err)
		}
	}
	guest := another(b, alice, "guest")
	var share, remove time.Duration
	for b.Loop() {
		start := time.Now()
		if err := p.Share(b.Context(), guest, chain.Reader); err != nil {
			b.Fatal(err)
		}
		share += time.Since(start)
		start = time.Now()
		if _, err := p.Remove(b.Context(), guest.UID); err != nil {
			b.Fatal(err)
		}
		remove += time.Since(start)
	}
	b.ReportMetric(float64(share.Microseconds())/1000/float64(b.N), "ms/share")
	b.ReportMetric(float64(remove.Microseconds())/1000/float64(b.N), "ms/remove")
}
