package project

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"testing"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/vault/account"
	"cipherdeck/vault/project/index"
)

// manyItems is a project of n small items, added by one link, as a bulk upload
// or a re-encryption leaves it.
func manyItems(tb testing.TB, n int) (*shelf, *account.Me, *Project) {
	tb.Helper()
	acc, err := account.New(context.Background(), rand.Reader, "alice", 3072)
	if err != nil {
		tb.Fatal(err)
	}
	me, err := account.Load(acc)
	if err != nil {
		tb.Fatal(err)
	}
	s := newShelf()
	p, err := Create(context.Background(), s.create, me, "many", time.Now)
	if err != nil {
		tb.Fatal(err)
	}
	err = p.edit(context.Background(), func(x *index.Tx) error {
		for k := range n {
			var o Op
			rand.Read(o.Item[:])
			key := make([]byte, 32)
			rand.Read(key)
			o = Op{Do: DoAdd, Item: o.Item, Time: 1, Name: fmt.Sprintf("patient-%05d.csv", k), Kind: Dataset, Key: key,
				Version: &Version{Size: 4000, Pieces: []id.ID{{byte(k)}}, Rows: 100, Columns: []Column{{Name: "age", Type: "number"}, {Name: "dose", Type: "number"}}}}
			if err := p.apply(x, o, false); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return s, me, p
}

// Everything from the first request to the listing: chain, epoch key, index.
func BenchmarkOpen10000Items(b *testing.B) {
	s, me, p := manyItems(b, 10_000)
	for b.Loop() {
		q, err := Open(context.Background(), s, me, p.ID(), p.Seen(), time.Now)
		if err != nil || len(q.Items()) != 10_000 {
			b.Fatal(err)
		}
	}
}

func BenchmarkReencryptMetadata10000Items(b *testing.B) {
	_, _, p := manyItems(b, 10_000)
	for b.Loop() {
		b.StopTimer()
		rotate(b, p)
		b.StartTimer()
		if n, err := p.ReencryptMetadata(context.Background(), progress.Discard{}); err != nil || n != 10_000 {
			b.Fatal(n, err)
		}
	}
}

// rotate makes a new epoch by removing somebody.
func rotate(b *testing.B, p *Project) {
	acc, err := account.New(context.Background(), rand.Reader, "bob", 2048)
	if err != nil {
		b.Fatal(err)
	}
	me, err := account.Load(acc)
	if err != nil {
		b.Fatal(err)
	}
	if err := p.Share(context.Background(), me.Account, chain.Reader); err != nil {
		b.Fatal(err)
	}
	if _, err := p.Remove(context.Background(), me.Account.UID); err != nil {
		b.Fatal(err)
	}
}

const benchBytes = 256 << 20

// forgets is a server that copies what it is sent and forgets it.
type forgets struct{ *shelf }

func (f forgets) PutBlob(ctx context.Context, i id.ID, n int64, r io.Reader) error {
	if n < PieceSize {
		return f.shelf.PutBlob(ctx, i, n, r)
	}
	buf := make([]byte, n)
	_, err := io.ReadFull(r, buf)
	return err
}

func BenchmarkUpload(b *testing.B) {
	_, _, p := manyItems(b, 0)
	p.srv = forgets{p.srv.(*shelf)}
	body := patterned(benchBytes)
	b.SetBytes(benchBytes)
	for n := 0; b.Loop(); n++ {
		if _, err := p.Add(context.Background(), Meta{Kind: Artifact, Name: fmt.Sprint(n)}, bytes.NewReader(body), progress.Discard{}); err != nil {
			b.Fatal(err)
		}
	}
}

// PlainCopy is the peer: the same bytes in pieces of 1 MiB, copied once.
func BenchmarkPlainCopy(b *testing.B) {
	body := patterned(benchBytes)
	b.SetBytes(benchBytes)
	for b.Loop() {
		r := bytes.NewReader(body)
		for {
			buf := make([]byte, PieceSize)
			if _, err := io.ReadFull(r, buf); err != nil {
				break
			}
		}
	}
}
