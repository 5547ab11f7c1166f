package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"cipherdeck/remote/store"
)

func testCAS(t *testing.T, e Engines) {
	ctx := t.Context()
	_, err := e.Docs.Get(ctx, "a/b/c")
	wantErr(t, "get of nothing", err, store.ErrNotFound)
	_, err = e.Docs.Put(ctx, "a/b/c", []byte("x"), 7)
	wantErr(t, "update of nothing", err, store.ErrConflict)
	r1 := put(t, e.Docs, "a/b/c", "one", 0)
	_, err = e.Docs.Put(ctx, "a/b/c", []byte("x"), 0)
	wantErr(t, "create over it", err, store.ErrConflict)
	r2 := put(t, e.Docs, "a/b/c", "two", r1)
	if r2 <= r1 {
		t.Errorf("revision went from %d to %d", r1, r2)
	}
	_, err = e.Docs.Put(ctx, "a/b/c", []byte("x"), r1)
	wantErr(t, "update of an old revision", err, store.ErrConflict)
	put(t, e.Docs, "a/b/d", "other", 0)
	put(t, e.Docs, "a/b/c", "three", r2) // another key's write is no conflict
	want(t, e.Docs, "a/b/c", "three")
	put(t, e.Docs, "empty", "", 0)
	want(t, e.Docs, "empty", "")
}

func testDelete(t *testing.T, e Engines) {
	ctx := t.Context()
	wantErr(t, "delete of nothing", e.Docs.Delete(ctx, "k", 0), store.ErrNotFound)
	wantErr(t, "delete of nothing", e.Docs.Delete(ctx, "k", 3), store.ErrNotFound)
	r1 := put(t, e.Docs, "k", "one", 0)
	wantErr(t, "delete with revision 0", e.Docs.Delete(ctx, "k", 0), store.ErrConflict)
	r2 := put(t, e.Docs, "k", "two", r1)
	wantErr(t, "delete of an old revision", e.Docs.Delete(ctx, "k", r1), store.ErrConflict)
	wantErr(t, "delete", e.Docs.Delete(ctx, "k", r2), nil)
	_, err := e.Docs.Get(ctx, "k")
	wantErr(t, "get after delete", err, store.ErrNotFound)
	_, err = e.Docs.Put(ctx, "k", []byte("x"), r2)
	wantErr(t, "update after delete", err, store.ErrConflict)
	wantErr(t, "second delete", e.Docs.Delete(ctx, "k", r2), store.ErrNotFound)
	if r3 := put(t, e.Docs, "k", "again", 0); r3 <= r2 {
		t.Errorf("revision %d used twice: made again at %d", r2, r3)
	}
	want(t, e.Docs, "k", "again")
}

func testKeys(t *testing.T, e Engines) {
	ctx := t.Context()
	long := strings.Repeat("k", store.MaxKey)
	for _, key := range []string{"", "/", "a/", "/a", "a//b", "a.b", "a*", ">", "a b", "ü", "a\n", "$x", long + "k"} {
		_, err := e.Docs.Put(ctx, key, nil, 0)
		wantErr(t, fmt.Sprintf("put %q", key), err, store.ErrKey)
		_, err = e.Docs.Get(ctx, key)
		wantErr(t, fmt.Sprintf("get %q", key), err, store.ErrKey)
		wantErr(t, fmt.Sprintf("delete %q", key), e.Docs.Delete(ctx, key, 0), store.ErrKey)
	}
	for _, key := range []string{"a", "A-b_c/9", "-", "_/_", long} {
		put(t, e.Docs, key, key, 0)
		want(t, e.Docs, key, key)
	}
	for _, err := range e.Docs.List(ctx, "a*") {
		wantErr(t, "list", err, store.ErrKey)
	}
}

func testList(t *testing.T, e Engines) {
	for _, key := range []string{"jobs/b", "jobs/a", "jobs/a/x", "jobsx/a", "heads/a", "jobs"} {
		put(t, e.Docs, key, "body of "+key, 0)
	}
	gone := put(t, e.Docs, "jobs/gone", "", 0)
	wantErr(t, "delete", e.Docs.Delete(t.Context(), "jobs/gone", gone), nil)
	for prefix, wanted := range map[string][]string{
		"jobs":    {"jobs/a", "jobs/a/x", "jobs/b"},
		"jobs/":   {"jobs/a", "jobs/a/x", "jobs/b"},
		"jobs/a":  {"jobs/a/x"},
		"nothing": nil,
		"":        {"heads/a", "jobs", "jobs/a", "jobs/a/x", "jobs/b", "jobsx/a"},
	} {
		var got []string
		for d, err := range e.Docs.List(t.Context(), prefix) {
			if err != nil {
				t.Fatalf("list %q: %v", prefix, err)
			}
			if string(d.Body) != "body of "+d.Key || d.Rev == 0 {
				t.Errorf("list %q: %s has body %q at revision %d", prefix, d.Key, d.Body, d.Rev)
			}
			got = append(got, d.Key)
		}
		if !slices.Equal(got, wanted) {
			t.Errorf("list %q: got %v, want %v", prefix, got, wanted)
		}
	}
	for range e.Docs.List(t.Context(), "jobs") {
		break // an engine must survive a reader that leaves early
	}
}

func testWatch(t *testing.T, e Engines) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r1 := put(t, e.Docs, "w/a", "1", 0)
	put(t, e.Docs, "other", "1", 0)
	old := put(t, e.Docs, "w/old", "1", 0)
	wantErr(t, "delete", e.Docs.Delete(ctx, "w/old", old), nil)
	var got []string
	for d, err := range e.Docs.Watch(ctx, "w", 0) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s=%s alive %v", d.Key, d.Body, !d.Gone))
		switch len(got) {
		case 1:
			r1 = put(t, e.Docs, "w/a", "2", r1)
		case 2:
			put(t, e.Docs, "other2", "1", 0)
			wantErr(t, "delete", e.Docs.Delete(ctx, "w/a", r1), nil)
		case 3:
			put(t, e.Docs, "w/b", "3", 0)
		case 4:
			cancel()
		}
	}
	wanted := []string{"w/a=1 alive true", "w/a=2 alive true", "w/a= alive false", "w/b=3 alive true"}
	if !slices.Equal(got, wanted) {
		t.Errorf("got %q, want %q", got, wanted)
	}
}

// testResume watches, goes away, and comes back with the revision of the last
// change it saw.
func testResume(t *testing.T, e Engines) {
	ctx := t.Context()
	first := put(t, e.Docs, "w/a", "1", 0)
	gone := put(t, e.Docs, "w/gone", "1", 0)
	rest := put(t, e.Docs, "w/rest", "1", 0) // and never changes
	see := func(after store.Rev, n int) (got []string, last store.Rev) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		for d, err := range e.Docs.Watch(ctx, "w", after) {
			if err != nil {
				t.Fatal(err)
			}
			if d.Rev <= last {
				t.Errorf("revision %d after %d", d.Rev, last)
			}
			got, last = append(got, fmt.Sprintf("%s=%s gone %v", d.Key, d.Body, d.Gone)), d.Rev
			if len(got) == n {
				break
			}
		}
		return got, last
	}
	if _, last := see(0, 3); last != rest {
		t.Errorf("the last of all has revision %d, want %d", last, rest)
	}
	put(t, e.Docs, "other", "1", 0)
	wantErr(t, "delete", e.Docs.Delete(ctx, "w/gone", gone), nil)
	put(t, e.Docs, "w/a", "2", first)
	got, last := see(rest, 2)
	if wanted := []string{"w/gone= gone true", "w/a=2 gone false"}; !slices.Equal(got, wanted) {
		t.Errorf("resumed: got %q, want %q", got, wanted)
	}
	put(t, e.Docs, "w/b", "3", 0)
	if got, _ = see(last, 1); !slices.Equal(got, []string{"w/b=3 gone false"}) {
		t.Errorf("resumed after the last: got %q", got)
	}
	for _, err := range e.Docs.Watch(ctx, "w", last+1000) {
		wantErr(t, "watch after a revision that never was", err, store.ErrRewound)
		return
	}
	t.Error("a watch after a revision that never was said nothing")
}

// testFresh reads after each write, by as many readers as there are writers.
func testFresh(t *testing.T, e Engines) {
	const keys, each = 4, 50
	var all sync.WaitGroup
	for k := range keys {
		all.Go(func() {
			key, rev := fmt.Sprintf("fresh/%d", k), store.Rev(0)
			for n := range each {
				var err error
				if rev, err = e.Docs.Put(t.Context(), key, fmt.Append(nil, n), rev); err != nil {
					t.Errorf("put: %v", err)
					return
				}
				d, err := e.Docs.Get(t.Context(), key)
				if err != nil || d.Rev != rev {
					t.Errorf("read revision %d after %d was acknowledged, %v", d.Rev, rev, err)
				}
			}
		})
	}
	all.Wait()
}

// testRace lets writers add to one counter: each success is counted once.
func testRace(t *testing.T, e Engines) {
	const writers, each = 4, 25
	var won atomic.Int64
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				if add(t, e.Docs) {
					won.Add(1)
				}
			}
		})
	}
	all.Wait()
	d, err := e.Docs.Get(t.Context(), "counter")
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(d.Body)) != won.Load() || won.Load() == 0 { // how many win is a matter of the engine's speed
		t.Errorf("%d writes acknowledged, %d in the document", won.Load(), len(d.Body))
	}
}

func add(t *testing.T, docs store.Docs) bool {
	d, err := docs.Get(t.Context(), "counter")
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	_, err = docs.Put(t.Context(), "counter", append(d.Body, '+'), d.Rev)
	if err != nil && !errors.Is(err, store.ErrConflict) {
		t.Error(err)
	}
	return err == nil
}

func testCancelled(t *testing.T, e Engines) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := e.Docs.Put(ctx, "k", []byte("x"), 0)
	wantErr(t, "put", err, context.Canceled)
	_, err = e.Docs.Get(t.Context(), "k")
	wantErr(t, "get", err, store.ErrNotFound)
	for range e.Docs.Watch(ctx, "k", 0) {
		t.Error("a watch that had ended yielded")
	}
}

func testDocsKept(t *testing.T, e Engines) {
	if e.Reopen == nil {
		t.Skip("the engine keeps nothing")
	}
	r1 := put(t, e.Docs, "a/b", "one", 0)
	gone := put(t, e.Docs, "a/gone", "one", 0)
	wantErr(t, "delete", e.Docs.Delete(t.Context(), "a/gone", gone), nil)
	e = e.Reopen(t)
	want(t, e.Docs, "a/b", "one")
	_, err := e.Docs.Get(t.Context(), "a/gone")
	wantErr(t, "get of a deleted", err, store.ErrNotFound)
	if r2 := put(t, e.Docs, "a/b", "two", r1); r2 <= gone {
		t.Errorf("revision %d is not after %d", r2, gone)
	}
}

func put(t *testing.T, d store.Docs, key, body string, prev store.Rev) store.Rev {
	t.Helper()
	rev, err := d.Put(t.Context(), key, []byte(body), prev)
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return rev
}

func want(t *testing.T, d store.Docs, key, body string) {
	t.Helper()
	got, err := d.Get(t.Context(), key)
	if err != nil || string(got.Body) != body || got.Key != key || got.Rev == 0 {
		t.Errorf("get %s: %+v, %v; want body %q", key, got, err, body)
	}
}

func wantErr(t *testing.T, what string, got, wanted error) {
	t.Helper()
	if !errors.Is(got, wanted) {
		t.Errorf("%s: got %v, want %v", what, got, wanted)
	}
}
