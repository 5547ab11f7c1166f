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

func testBlobDamaged(t *testing.T, e Engines) { testHurt(t, e, e.Damage) }

func testBlobTruncated(t *testing.T, e Engines) { testHurt(t, e, e.Truncate) }

// testHurt shows that a blob that was changed behind the engine's back never
// comes whole, and that it is whole again after it is put again.
func testHurt(t *testing.T, e Engines, hurt func(*testing.T, string)) {
	if hurt == nil {
		t.Skip("the engine's bytes cannot be changed from outside")
	}
	body := pattern(4096)
	i := id.Of(body)
	wantErr(t, "put", e.Blobs.Put(t.Context(), i, 4096, bytes.NewReader(body)), nil)
	hurt(t, i.String())
	r, _, err := e.Blobs.Get(t.Context(), i)
	if err == nil {
		var got []byte
		got, err = io.ReadAll(r)
		if len(got) >= len(body) {
			t.Errorf("all %d bytes came before the error", len(got))
		}
		wantErr(t, "close", r.Close(), nil)
	}
	wantErr(t, "read of a damaged blob", err, store.ErrCorrupt)
	wantErr(t, "put again", e.Blobs.Put(t.Context(), i, 4096, bytes.NewReader(body)), nil)
	wantBlob(t, e.Blobs, body)
}

// testBlobList shows that a list names what is there, once, with its length.
func testBlobList(t *testing.T, e Engines) {
	wantList(t, e.Blobs)
	bodies := [][]byte{pattern(0), pattern(10), pattern(4096), []byte("other")}
	for _, body := range bodies {
		for range 2 {
			wantErr(t, "put", e.Blobs.Put(t.Context(), id.Of(body), int64(len(body)), bytes.NewReader(body)), nil)
		}
	}
	wantErr(t, "refused", e.Blobs.Put(t.Context(), id.Of(nil), 1, bytes.NewReader([]byte{1})), store.ErrMismatch)
	wantList(t, e.Blobs, bodies...)
	for info, err := range e.Blobs.List(t.Context()) { // who leaves early leaves nothing locked
		wantErr(t, "list", err, nil)
		wantErr(t, "delete in a list", e.Blobs.Delete(t.Context(), info.ID), nil)
		bodies = slices.DeleteFunc(bodies, func(b []byte) bool { return id.Of(b) == info.ID })
		break
	}
	wantList(t, e.Blobs, bodies...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var last error
	for _, err := range e.Blobs.List(ctx) {
		last = err
	}
	wantErr(t, "cancelled list", last, context.Canceled)
}

func wantList(t *testing.T, b store.Blobs, bodies ...[]byte) {
	t.Helper()
	want := map[id.ID]int64{}
	for _, body := range bodies {
		want[id.Of(body)] = int64(len(body))
	}
	for info, err := range b.List(t.Context()) {
		if err != nil {
			t.Errorf("list: %v", err)
			return
		}
		if n, ok := want[info.ID]; !ok || n != info.Size {
			t.Errorf("list has %s of %d bytes; want %v, %d", info.ID, info.Size, ok, n)
		}
		delete(want, info.ID)
	}
	if len(want) != 0 {
		t.Errorf("list lacks %v", want)
	}
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
