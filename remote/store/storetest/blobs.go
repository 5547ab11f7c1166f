package storetest

import (
	"bytes"
	"context"
	"io"
	"slices"
	"sync"
	"testing"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
)

func testBlob(t *testing.T, e Engines) {
	ctx := t.Context()
	for _, size := range []int{0, 1, 4095, int(e.MaxBlob)} {
		body := pattern(size)
		i := id.Of(body)
		_, _, err := e.Blobs.Get(ctx, i)
		wantErr(t, "get of nothing", err, store.ErrNotFound)
		for range 2 {
			if err := e.Blobs.Put(ctx, i, int64(size), bytes.NewReader(body)); err != nil {
				t.Fatalf("put of %d bytes: %v", size, err)
			}
		}
		wantBlob(t, e.Blobs, body)
		has, err := e.Blobs.Has(ctx, []id.ID{id.Of([]byte("other")), i})
		if err != nil || !slices.Equal(has, []bool{false, true}) {
			t.Errorf("has: %v, %v", has, err)
		}
		wantErr(t, "delete", e.Blobs.Delete(ctx, i), nil)
		wantErr(t, "delete again", e.Blobs.Delete(ctx, i), nil)
		_, _, err = e.Blobs.Get(ctx, i)
		wantErr(t, "get after delete", err, store.ErrNotFound)
	}
}

func testBlobRefused(t *testing.T, e Engines) {
	body := pattern(100)
	over := pattern(int(e.MaxBlob) + 1)
	for _, c := range []struct {
		name  string
		i     id.ID
		size  int64
		body  []byte
		wants error
	}{
		{"another name", id.Of([]byte("x")), 100, body, store.ErrMismatch},
		{"short", id.Of(body), 101, body, store.ErrMismatch},
		{"long", id.Of(body), 100, append(slices.Clone(body), 0), store.ErrMismatch},
		{"announced shorter", id.Of(body[:99]), 99, body, store.ErrMismatch},
		{"negative", id.Of(nil), -1, nil, store.ErrTooLarge},
		{"too large", id.Of(over), int64(len(over)), over, store.ErrTooLarge},
	} {
		wantErr(t, c.name, e.Blobs.Put(t.Context(), c.i, c.size, bytes.NewReader(c.body)), c.wants)
		has, err := e.Blobs.Has(t.Context(), []id.ID{c.i})
		if err != nil || has[0] {
			t.Errorf("%s: has %v, %v after a refused put", c.name, has, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, "cancelled", e.Blobs.Put(ctx, id.Of(body), 100, bytes.NewReader(body)), context.Canceled)
	cut := io.MultiReader(bytes.NewReader(body[:50]), broken{})
	wantErr(t, "broken upload", e.Blobs.Put(t.Context(), id.Of(body), 100, cut), io.ErrClosedPipe)
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

func testBlobDamaged(t *testing.T, e Engines) {
	if e.Damage == nil {
		t.Skip("the engine cannot be damaged from outside")
	}
	body := pattern(4096)
	i := id.Of(body)
	wantErr(t, "put", e.Blobs.Put(t.Context(), i, 4096, bytes.NewReader(body)), nil)
	e.Damage(t, i.String())
	r, _, err := e.Blobs.Get(t.Context(), i)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	wantErr(t, "read of a damaged blob", err, store.ErrCorrupt)
	if len(got) >= len(body) {
		t.Errorf("all %d bytes came before the error", len(got))
	}
	wantErr(t, "close", r.Close(), nil)
	wantErr(t, "put again", e.Blobs.Put(t.Context(), i, 4096, bytes.NewReader(body)), nil)
	wantBlob(t, e.Blobs, body)
}

func testBlobConcurrent(t *testing.T, e Engines) {
	body := pattern(4096)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			wantErr(t, "put", e.Blobs.Put(t.Context(), id.Of(body), 4096, bytes.NewReader(body)), nil)
			wantBlob(t, e.Blobs, body)
		})
	}
	all.Wait()
}

func testBlobKept(t *testing.T, e Engines) {
	if e.Reopen == nil {
		t.Skip("the engine keeps nothing")
	}
	body := pattern(1000)
	wantErr(t, "put", e.Blobs.Put(t.Context(), id.Of(body), 1000, bytes.NewReader(body)), nil)
	wantBlob(t, e.Reopen(t).Blobs, body)
}

func wantBlob(t *testing.T, b store.Blobs, body []byte) {
	t.Helper()
	r, n, err := b.Get(t.Context(), id.Of(body))
	if err != nil {
		t.Errorf("get: %v", err)
		return
	}
	got, err := io.ReadAll(r)
	if err != nil || n != int64(len(body)) || !bytes.Equal(got, body) {
		t.Errorf("got %d bytes, announced %d, %v; want %d", len(got), n, err, len(body))
	}
	wantErr(t, "close", r.Close(), nil)
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}
