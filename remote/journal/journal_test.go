package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
	"cipherdeck/remote/journal"
)

const origin = "cipherdeck/0123456789abcdef"

// open opens a journal whose checkpoints come quickly, and closes it at the end.
func open(t testing.TB, dir string, told *[]string) *journal.Log {
	t.Helper()
	l, err := start(dir, told)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func start(dir string, told *[]string) (*journal.Log, error) {
	var mu sync.Mutex
	return journal.Open(context.Background(), journal.Options{Dir: dir, Origin: origin, Interval: 100 * time.Millisecond, OnDamage: func(what string) {
		mu.Lock()
		defer mu.Unlock()
		if told != nil {
			*told = append(*told, what)
		}
	}})
}

func entry(i int) journal.Entry {
	return journal.Entry{Action: tlog.ActLink, Object: tlog.Tag(tlog.KindProject, []byte{byte(i % 3)}), Body: fmt.Appendf(nil, "document %d", i), Actor: []byte("alice"), Seq: uint64(i)}
}

func record(t testing.TB, l *journal.Log, e journal.Entry) tlog.Promised {
	t.Helper()
	raw, err := l.Record(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	p, err := tlog.OpenPromise(raw, l.Key())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// kept waits until a promise is kept.
func kept(t testing.TB, l *journal.Log, p tlog.Promised) (journal.Proof, tlog.Checkpoint) {
	t.Helper()
	for {
		proof, c, err := l.Inclusion(t.Context(), p.Hash, journal.Newest)
		if err == nil {
			if err := c.Included(proof.Index, p.Hash, proof.Path); err != nil {
				t.Fatal(err)
			}
			return proof, c
		}
		if !errors.Is(err, journal.ErrNotFound) || t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}

func TestPromisesAreKept(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, nil)
	var all []tlog.Promised
	for i := range 300 {
		p := record(t, l, entry(i))
		if again := record(t, l, entry(i)); again.Hash != p.Hash {
			t.Fatal("the same document was promised as another leaf")
		}
		all = append(all, p)
	}
	_, c := kept(t, l, all[299])
	for i, p := range all {
		proof, _ := kept(t, l, p)
		if proof.Index != uint64(i) {
			t.Errorf("leaf %d is number %d", i, proof.Index)
		}
		if bytes.Contains(proof.Leaf, []byte("alice")) {
			t.Error("a leaf names its actor")
		}
	}
	if c.Size != 300 {
		t.Errorf("%d leaves", c.Size)
	}
	for from := range uint64(301) {
		var f tlog.Frontier
		for _, p := range all[:from] {
			f.Add(p.Hash)
		}
		path, now, err := l.Consistency(t.Context(), from, journal.Newest)
		if err != nil {
			t.Fatal(err)
		}
		if err := now.Continues(from, f.Root(), path); err != nil {
			t.Fatal(from, err)
		}
	}
	of, _, err := l.Object(t.Context(), entry(1).Object, journal.Newest)
	if err != nil || len(of) != 100 {
		t.Errorf("%d leaves about an object, %v", len(of), err)
	}
	raw, _, err := l.Entries(t.Context(), 290, 1000)
	if err != nil || len(raw) != 10 || tlog.LeafHash(raw[0]) != all[290].Hash {
		t.Errorf("%d entries, %v", len(raw), err)
	}
	if body, err := l.Body(tlog.DocTag(entry(7).Body)); err != nil || !bytes.Equal(body, entry(7).Body) {
		t.Errorf("body %q, %v", body, err)
	}
	if err := l.Forget(tlog.DocTag(entry(7).Body)); err != nil {
		t.Error(err)
	}
	if _, err := l.Body(tlog.DocTag(entry(7).Body)); !errors.Is(err, journal.ErrForgotten) {
		t.Errorf("a forgotten document: %v", err)
	}
	if err := errors.Join(l.PutBody(entry(7).Body), l.Forget(tlog.DocTag(entry(8).Body))); err != nil {
		t.Error(err)
	}
	if _, err := l.Body(tlog.DocTag(entry(7).Body)); err != nil {
		t.Errorf("one that was kept again: %v", err)
	}
	if err := l.Verify(t.Context()); err != nil {
		t.Errorf("a forgotten document breaks the tree: %v", err)
	}
	if _, _, err := l.Inclusion(t.Context(), id.Of([]byte("never")), journal.Newest); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("what was never recorded: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Record(context.Background(), entry(999)); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	l = open(t, dir, nil)
	if p := record(t, l, entry(5)); p.Hash != all[5].Hash {
		t.Error("another start promises another leaf")
	}
}

func TestManyAtOnce(t *testing.T) {
	l := open(t, t.TempDir(), nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var all []tlog.Promised
	for w := range 8 {
		wg.Go(func() {
			for i := range 40 {
				raw, err := l.Record(t.Context(), entry(1000*w+i))
				if err != nil {
					t.Error(err)
					return
				}
				p, err := tlog.OpenPromise(raw, l.Key())
				mu.Lock()
				all = append(all, p)
				mu.Unlock()
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	at := map[uint64]bool{}
	for _, p := range all {
		proof, _ := kept(t, l, p)
		at[proof.Index] = true
	}
	if len(at) != 320 {
		t.Errorf("%d places for 320 documents", len(at))
	}
}

// filled is a closed journal of n leaves, and its promises.
func filled(t testing.TB, n int) (string, []tlog.Promised) {
	t.Helper()
	dir := t.TempDir()
	l, err := start(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	var all []tlog.Promised
	for i := range n {
		all = append(all, record(t, l, entry(i)))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, all
}

// TestOneFlippedBit flips a bit in every file of a journal, one after the other.
func TestOneFlippedBit(t *testing.T) {
	clean, all := filled(t, 300)
	var names []string
	err := filepath.WalkDir(clean, func(path string, d os.DirEntry, err error) error {
		partial := strings.Contains(path, ".p/") // most are of earlier sizes, and nobody reads them
		if partial && !strings.HasSuffix(path, "001.p/44") && !strings.HasSuffix(path, "tile/1/000.p/1") {
			return nil
		}
		if err == nil && d.Type().IsRegular() && !strings.HasSuffix(path, ".lock") && !strings.Contains(path, "bodies") {
			name, _ := filepath.Rel(clean, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(clean)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, name)
			raw, err := os.ReadFile(path)
			if err != nil || len(raw) == 0 {
				t.Skip("empty")
			}
			raw[len(raw)/2] ^= 4
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			var told []string
			l, err := start(dir, &told)
			if strings.HasSuffix(name, "journal.key") || strings.HasSuffix(name, "version") {
				if err == nil {
					t.Error("nobody noticed")
					l.Close()
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if name != "salt" {
				if len(told) == 0 || !strings.Contains(told[0], filepath.Base(name)) {
					t.Errorf("told %q", told)
				}
			}
			for i, p := range all {
				if proof, _ := kept(t, l, p); proof.Index != uint64(i) {
					t.Errorf("leaf %d is number %d", i, proof.Index)
				}
			}
		})
	}
}

// TestFlippedWhileOpen damages files of a journal in use.
func TestFlippedWhileOpen(t *testing.T) {
	dir, all := filled(t, 300)
	var told []string
	l := open(t, dir, &told)
	kept(t, l, all[299])
	for _, name := range []string{"leaves", "tree/tile/0/000", "tree/tile/entries/000", "tree/tile/0/001.p/44"} {
		path := filepath.Join(dir, name)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		raw[len(raw)/3] ^= 4
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(name, "tile/0/000") { // without being told to look
			for _, p := range all {
				kept(t, l, p)
			}
		}
		if err := l.Verify(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(told) == 0 || !strings.Contains(told[len(told)-1], name) {
			t.Errorf("%s: told %q", name, told)
		}
	}
}

// TestBothCopiesDamaged has nothing to mend from, and must say so.
func TestBothCopiesDamaged(t *testing.T) {
	dir, _ := filled(t, 20)
	for _, name := range []string{"leaves", "tree/tile/entries/000.p/20"} {
		path := filepath.Join(dir, name)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(raw, []byte("link"))
		raw[at] ^= 4
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := start(dir, nil)
	if !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("got %v", err)
	}
	if err == nil {
		l.Close()
	}
}

// TestTornEnd drops what was never confirmed, and nothing else.
func TestTornEnd(t *testing.T) {
	dir, all := filled(t, 20)
	f, err := os.OpenFile(filepath.Join(dir, "leaves"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte{0, 0, 0, 80, 1, 2, 3, 4, 'h', 'a', 'l', 'f'}); err != nil {
		t.Fatal(err)
	}
	f.Close()
	l := open(t, dir, nil)
	for _, p := range all {
		kept(t, l, p)
	}
	p := record(t, l, entry(20))
	if proof, _ := kept(t, l, p); proof.Index != 20 {
		t.Errorf("the next leaf is number %d", proof.Index)
	}
}

// TestTreeLost makes the whole tree again from the leaves: what was signed holds.
func TestLeavesLost(t *testing.T) {
	dir, all := filled(t, 300)
	if err := os.Remove(filepath.Join(dir, "leaves")); err != nil {
		t.Fatal(err)
	}
	l := open(t, dir, nil)
	for _, p := range all {
		kept(t, l, p)
	}
}

// TestPromisedAndCut kills nothing but loses the whole tree's progress: leaves
// that are on disk reach the tree at the next start.
func TestTreeBehind(t *testing.T) {
	dir, _ := filled(t, 10)
	older := t.TempDir()
	if err := os.CopyFS(older, os.DirFS(filepath.Join(dir, "tree"))); err != nil {
		t.Fatal(err)
	}
	l := open(t, dir, nil)
	var all []tlog.Promised
	for i := range 20 {
		all = append(all, record(t, l, entry(i)))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "tree")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "tree"), os.DirFS(older)); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, nil)
	for i, p := range all {
		if proof, _ := kept(t, l, p); proof.Index != uint64(i) {
			t.Errorf("leaf %d is number %d", i, proof.Index)
		}
	}
}

// TestAnotherLog refuses a tree that was signed under another name or key.
func TestAnotherLog(t *testing.T) {
	dir, _ := filled(t, 3)
	l, err := journal.Open(context.Background(), journal.Options{Dir: dir, Origin: "cipherdeck/another"})
	if !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("got %v", err)
	}
	if err == nil {
		l.Close()
	}
}
