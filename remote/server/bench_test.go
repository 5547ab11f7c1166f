package server_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/remote/api"
	rt "cipherdeck/remote/remotetest"
	"cipherdeck/remote/server"
)

// BenchmarkConnect is TLS and attestation up to the verdict, on loopback.
func BenchmarkConnect(b *testing.B) {
	cfg := rt.Config(b.TempDir())
	policy := rt.Manifest(b, cfg)
	srv := rt.Start(b, server.Options{Config: cfg})
	c := rt.Client(b, srv, rt.Person(b, "analyst"), func(c *api.Config) { c.Policy = policy })
	for b.Loop() {
		if _, err := c.Attest(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLink is one accepted link: its blob and the head, both durable.
func BenchmarkLink(b *testing.B) {
	srv := rt.Start(b, server.Options{Config: rt.Config(b.TempDir())})
	owner := rt.Person(b, "owner")
	p := rt.NewProject(b, rt.Enrolled(b, srv, owner), owner)
	index := p.Put(b, []byte("index"))
	for b.Loop() {
		p.Do(b, chain.KindPut, chain.PutBody{Index: index})
	}
}

// BenchmarkBlob is one blob of 1 MiB up and down again.
func BenchmarkBlob(b *testing.B) {
	srv := rt.Start(b, server.Options{Config: rt.Config(b.TempDir())})
	owner := rt.Person(b, "owner")
	p := rt.NewProject(b, rt.Enrolled(b, srv, owner), owner)
	body := make([]byte, 1<<20)
	b.SetBytes(1 << 20)
	for n := 0; b.Loop(); n++ {
		copy(body, time.Duration(n).String())
		i := p.Put(b, body)
		r, err := p.GetBlob(b.Context(), i, 0, -1)
		if err != nil {
			b.Fatal(err)
		}
		if err := drainTo(r); err != nil {
			b.Fatal(err)
		}
	}
}

func drainTo(r io.ReadCloser) error {
	_, err := io.Copy(io.Discard, r)
	return errors.Join(err, r.Close())
}
