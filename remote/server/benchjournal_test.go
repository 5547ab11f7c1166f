package server_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/tlog"
	"cipherdeck/remote/api"
	rt "cipherdeck/remote/remotetest"
	"cipherdeck/remote/server"
)

// BenchmarkJournal is from the sending of a link to its signed promise, over
// HTTPS on loopback, and from the promise to a checkpoint that has the leaf. Its
// peer, in the same run on the same disk, is a plain file: append 1 KiB, fsync.
func BenchmarkJournal(b *testing.B) {
	var raw []byte
	keep := func(c *api.Config) { c.OnPromise = func(_, p []byte) error { raw = p; return nil } }
	srv := rt.Start(b, server.Options{Config: rt.Config(b.TempDir())})
	owner := rt.Person(b, "owner")
	c := rt.Enrolled(b, srv, owner, keep)
	p := rt.NewProject(b, c, owner)
	index := p.Put(b, []byte("index"))
	peer := appended(b, 300)
	m, err := c.Meta(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	key, err := tlog.ParseKey(m.Journal)
	if err != nil {
		b.Fatal(err)
	}
	var promised, integrated []time.Duration
	rev := p.Rev()
	link := func() tlog.Promised {
		body, next := p.Sign(b, chain.KindPut, chain.PutBody{Index: index})
		begin := time.Now()
		if rev, err = p.CAS(b.Context(), api.HeadKey, body, rev); err != nil {
			b.Fatal(err)
		}
		promised = append(promised, time.Since(begin))
		got, err := tlog.OpenPromise(raw, key)
		if err != nil || got.Leaf.Doc != tlog.DocTag(body) {
			b.Fatalf("promise: %v", err)
		}
		p.State = next
		return got
	}
	for n := 0; b.Loop(); n++ {
		got := link()
		if n%20 != 0 { // a checkpoint comes once a second
			continue
		}
		begin := time.Now()
		for {
			if _, err := c.Inclusion(b.Context(), got.Hash, 0); err == nil {
				break
			} else if !errors.Is(err, api.ErrNotFound) {
				b.Fatal(err)
			}
		}
		integrated = append(integrated, time.Since(begin))
	}
	for name, all := range map[string][]time.Duration{"promise": promised, "integrated": integrated} {
		slices.Sort(all)
		b.ReportMetric(all[len(all)/2].Seconds()*1e3, name+"-p50-ms")
		b.ReportMetric(all[len(all)*99/100].Seconds()*1e3, name+"-p99-ms")
	}
	b.ReportMetric(peer.Seconds()*1e3, "fsync-p50-ms")
}

// appended is the median of appending and flushing 1 KiB.
func appended(b *testing.B, n int) time.Duration {
	f, err := os.Create(filepath.Join(b.TempDir(), "f"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var took []time.Duration
	for range n {
		begin := time.Now()
		if _, err := f.Write(make([]byte, 1024)); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return took[n/2]
}
