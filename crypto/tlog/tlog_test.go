package tlog_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	mod "golang.org/x/mod/sumdb/tlog"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
)

const origin = "cipherdeck/0123456789abcdef"

func now() time.Time { return time.Unix(1_800_000_000, 0) }

func signer(t testing.TB, kind byte, name string) *tlog.Signer {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := tlog.NewSigner(kind, name, k, now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tree is a log in memory, made by the library that Go's checksum database uses.
type tree struct{ stored []mod.Hash }

func (r *tree) ReadHashes(at []int64) ([]mod.Hash, error) {
	out := make([]mod.Hash, len(at))
	for i, n := range at {
		out[i] = r.stored[n]
	}
	return out, nil
}

func grown(t testing.TB, n int, mark string) (*tree, []id.ID) {
	t.Helper()
	r := &tree{}
	var leaves []id.ID
	for i := range n {
		leaf := fmt.Appendf(nil, "%s %d", mark, i)
		more, err := mod.StoredHashes(int64(i), leaf, r)
		if err != nil {
			t.Fatal(err)
		}
		r.stored = append(r.stored, more...)
		leaves = append(leaves, tlog.LeafHash(leaf))
	}
	return r, leaves
}

func (r *tree) root(t testing.TB, n int) id.ID {
	h, err := mod.TreeHash(int64(n), r)
	if err != nil {
		t.Fatal(err)
	}
	return id.ID(h)
}

func ids(hs []mod.Hash) (out []id.ID) {
	for _, h := range hs {
		out = append(out, id.ID(h))
	}
	return out
}

func signed(t testing.TB, origin string, size uint64, root id.ID, by ...*tlog.Signer) []byte {
	t.Helper()
	var all []note.Signer
	for _, s := range by {
		all = append(all, s.Note())
	}
	raw, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(root[:]))}, all...)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestProofs(t *testing.T) {
	log := signer(t, tlog.Log, origin)
	const n = 37
	r, leaves := grown(t, n, "leaf")
	for size := 1; size <= n; size++ {
		c, err := tlog.OpenCheckpoint(signed(t, origin, uint64(size), r.root(t, size), log), log.Key)
		if err != nil {
			t.Fatal(err)
		}
		for i := range size {
			p, err := mod.ProveRecord(int64(size), int64(i), r)
			if err != nil {
				t.Fatal(err)
			}
			path := ids(p)
			if err := c.Included(uint64(i), leaves[i], path); err != nil {
				t.Fatal(err)
			}
			for what, err := range map[string]error{
				"other leaf":     c.Included(uint64(i), id.Of([]byte("x")), path),
				"other index":    c.Included(uint64(i+1), leaves[i], path),
				"past the end":   c.Included(uint64(size), leaves[i], path),
				"huge index":     c.Included(math.MaxUint64, leaves[i], path),
				"longer":         c.Included(uint64(i), leaves[i], append(path[:len(path):len(path)], id.ID{})),
				"endless":        c.Included(uint64(i), leaves[i], make([]id.ID, 1<<10)),
				"swapped hashes": swapped(c, uint64(i), leaves[i], path),
			} {
				if !errors.Is(err, tlog.ErrProof) {
					t.Errorf("size %d, leaf %d, %s: %v", size, i, what, err)
				}
			}
		}
		for old := 0; old <= size; old++ {
			var path []id.ID
			var root id.ID
			if old > 0 {
				p, err := mod.ProveTree(int64(size), int64(old), r)
				if err != nil {
					t.Fatal(err)
				}
				path, root = ids(p), r.root(t, old)
			}
			if err := c.Continues(uint64(old), root, path); err != nil {
				t.Fatal(err)
			}
			if old > 0 {
				if err := c.Continues(uint64(old), id.Of([]byte("another")), path); !errors.Is(err, tlog.ErrProof) {
					t.Errorf("another root at %d of %d: %v", old, size, err)
				}
			}
			if err := c.Continues(uint64(size+1), root, path); !errors.Is(err, tlog.ErrProof) {
				t.Errorf("from a larger one: %v", err)
			}
			if err := c.Continues(math.MaxUint64, root, path); !errors.Is(err, tlog.ErrProof) {
				t.Errorf("from a huge one: %v", err)
			}
		}
	}
}

func swapped(c tlog.Checkpoint, i uint64, leaf id.ID, path []id.ID) error {
	if len(path) < 2 {
		return tlog.ErrProof
	}
	p := append([]id.ID{path[1], path[0]}, path[2:]...)
	return c.Included(i, leaf, p)
}

func TestFrontierIsTheTree(t *testing.T) {
	r, leaves := grown(t, 300, "leaf")
	var f tlog.Frontier
	if f.Root() != id.Of(nil) {
		t.Error("the root of nothing")
	}
	for i, l := range leaves {
		f.Add(l)
		if f.Size != uint64(i+1) || f.Root() != r.root(t, i+1) {
			t.Fatalf("after %d leaves", i+1)
		}
	}
}

func TestCheckpointHostile(t *testing.T) {
	log, other := signer(t, tlog.Log, origin), signer(t, tlog.Log, origin)
	stranger := signer(t, tlog.Log, "elsewhere")
	root := id.Of([]byte("root"))
	good := string(signed(t, origin, 5, root, log))
	b64 := base64.StdEncoding.EncodeToString(root[:])
	for what, raw := range map[string]string{
		"another size":      strings.Replace(good, "\n5\n", "\n6\n", 1),
		"another key":       string(signed(t, origin, 5, root, other)),
		"another origin":    string(signed(t, "elsewhere", 5, root, log)),
		"a stranger":        string(signed(t, "elsewhere", 5, root, stranger)),
		"no signature":      good[:strings.Index(good, "\n\n")+2],
		"cut":               good[:len(good)-20],
		"empty":             "",
		"too large":         good + strings.Repeat("x", tlog.MaxCheckpoint),
		"huge size":         note1(t, log, origin+"\n18446744073709551615\n"+b64+"\n"),
		"leading zero":      note1(t, log, origin+"\n05\n"+b64+"\n"),
		"negative":          note1(t, log, origin+"\n-5\n"+b64+"\n"),
		"short root":        note1(t, log, origin+"\n5\nAAAA\n"),
		"loose base64":      note1(t, log, origin+"\n5\n"+strings.TrimRight(b64, "=")+"\n"),
		"no root":           note1(t, log, origin+"\n5\n"),
		"signed as another": strings.Replace(good, "— "+origin, "— elsewhere", 1),
	} {
		if _, err := tlog.OpenCheckpoint([]byte(raw), log.Key); !errors.Is(err, tlog.ErrCheckpoint) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if c, err := tlog.OpenCheckpoint([]byte(good), log.Key); err != nil || c.Size != 5 || c.Root != root {
		t.Errorf("the good one: %+v, %v", c, err)
	}
}

func note1(t *testing.T, s *tlog.Signer, text string) string {
	raw, err := note.Sign(&note.Note{Text: text}, s.Note())
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestPolicyCountsKeysOnce(t *testing.T) {
	log := signer(t, tlog.Log, origin)
	a, b := signer(t, tlog.Witness, "a.example"), signer(t, tlog.Witness, "b.example")
	raw := signed(t, origin, 5, id.Of([]byte("root")), log)
	c, err := tlog.OpenCheckpoint(raw, log.Key)
	if err != nil {
		t.Fatal(err)
	}
	line := func(s *tlog.Signer) []byte {
		l, err := s.Cosign(c)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	p := tlog.Policy{Log: log.Key, Witnesses: []tlog.Key{a.Key, b.Key}, Need: 2}
	open := func(raw []byte) tlog.Verdict {
		v, err := p.Open(raw, now())
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := open(raw); v.Witnessed() || len(v.By) != 0 {
		t.Errorf("nobody: %+v", v)
	}
	one := bytes.Join([][]byte{raw, line(a)}, nil)
	if v := open(one); v.Witnessed() || len(v.By) != 1 {
		t.Errorf("one: %+v", v)
	}
	if v := open(bytes.Join([][]byte{one, line(a)}, nil)); v.Witnessed() {
		t.Errorf("one twice: %+v", v)
	}
	v := open(bytes.Join([][]byte{one, line(b)}, nil))
	if !v.Witnessed() || v.By[0].Name != "a.example" || !v.By[0].At.Equal(now()) {
		t.Errorf("both: %+v", v)
	}
	// The witness of another checkpoint is no witness of this one.
	other, err := tlog.OpenCheckpoint(signed(t, origin, 6, id.Of([]byte("root")), log), log.Key)
	if err != nil {
		t.Fatal(err)
	}
	moved, err := b.Cosign(other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Open(bytes.Join([][]byte{one, moved}, nil), now()); !errors.Is(err, tlog.ErrCheckpoint) {
		t.Errorf("a moved cosignature: %v", err)
	}
	// From the future nothing counts.
	if v, err := p.Open(bytes.Join([][]byte{one, line(b)}, nil), now().Add(-time.Hour)); err != nil || v.Witnessed() {
		t.Errorf("from the future: %+v, %v", v, err)
	}

	twin := a.Key
	twin.Name = "another.example"
	for what, p := range map[string]tlog.Policy{
		"one key, two names":  {Log: log.Key, Witnesses: []tlog.Key{a.Key, twin}, Need: 2},
		"more than there are": {Log: log.Key, Witnesses: []tlog.Key{a.Key}, Need: 2},
		"a log as witness":    {Log: log.Key, Witnesses: []tlog.Key{log.Key}, Need: 1},
		"the log's key":       {Log: log.Key, Witnesses: []tlog.Key{{Name: "w", Kind: tlog.Witness, Public: log.Public}}, Need: 1},
		"negative":            {Log: log.Key, Need: -1},
		"a witness as log":    {Log: a.Key},
	} {
		if _, err := p.Open(raw, now()); !errors.Is(err, tlog.ErrKey) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestOthersReadOurs holds keys and signatures against two other libraries.
func TestOthersReadOurs(t *testing.T) {
	log, w := signer(t, tlog.Log, origin), signer(t, tlog.Witness, "w.example")
	raw := signed(t, origin, 5, id.Of([]byte("root")), log, w)
	lv, err := note.NewVerifier(log.Key.String())
	if err != nil {
		t.Fatal(err)
	}
	wv, err := fnote.NewVerifierForCosignatureV1(w.Key.String())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := note.Open(raw, note.VerifierList(lv, wv)); err != nil || len(n.Sigs) != 2 {
		t.Errorf("they read %v, %v", n, err)
	}
	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	k, err := tlog.ParseKey(vkey)
	if err != nil {
		t.Fatal(err)
	}
	root := id.Of(nil)
	their, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n0\n%s\n", origin, base64.StdEncoding.EncodeToString(root[:]))}, theirs)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tlog.OpenCheckpoint(their, k); err != nil {
		t.Error(err)
	}
}

func TestKeyHostile(t *testing.T) {
	k := signer(t, tlog.Witness, "w.example").Key.String()
	for _, s := range []string{"", "a", "a+b", "a+b+c", k[1:], k[:len(k)-1], k + "A", strings.Replace(k, "w.example", "v.example", 1), "a b+00000000+AAAA", "+00000000+AAAA"} {
		if _, err := tlog.ParseKey(s); !errors.Is(err, tlog.ErrKey) {
			t.Errorf("%q: %v", s, err)
		}
	}
	if got, err := tlog.ParseKey(" " + k + "\n"); err != nil || got.String() != k {
		t.Errorf("the good one: %v, %v", got, err)
	}
}

func TestBundle(t *testing.T) {
	log := signer(t, tlog.Log, origin)
	r, leaves := grown(t, 11, "leaf")
	p, err := mod.ProveRecord(11, 4, r)
	if err != nil {
		t.Fatal(err)
	}
	b := tlog.Bundle{Extra: []byte("leaf 4"), Index: 4, Path: ids(p), Checkpoint: signed(t, origin, 11, r.root(t, 11), log)}
	text := b.Format()
	got, err := tlog.ParseBundle(text)
	if err != nil {
		t.Fatal(err)
	}
	policy := tlog.Policy{Log: log.Key}
	if v, err := got.Verify(policy, leaves[4], now()); err != nil || !v.Witnessed() || v.Word() != "not witnessed" {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := got.Verify(policy, leaves[5], now()); !errors.Is(err, tlog.ErrProof) {
		t.Errorf("another leaf: %v", err)
	}
	for what, raw := range map[string]string{
		"empty":         "",
		"another head":  strings.Replace(string(text), "@v1", "@v2", 1),
		"no index":      strings.Replace(string(text), "index 4\n", "", 1),
		"huge index":    strings.Replace(string(text), "index 4", "index 99999999999999999999", 1),
		"bad extra":     strings.Replace(string(text), "extra ", "extra !", 1),
		"bad hash":      strings.Replace(string(text), "index 4\n", "index 4\n!\n", 1),
		"many hashes":   strings.Replace(string(text), "index 4\n", "index 4\n"+strings.Repeat("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 64), 1),
		"no checkpoint": strings.SplitN(string(text), "\n\n", 2)[0],
		"too large":     string(text) + strings.Repeat("\n", 1<<20),
	} {
		if _, err := tlog.ParseBundle([]byte(raw)); !errors.Is(err, tlog.ErrProof) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestPromise(t *testing.T) {
	log, other := signer(t, tlog.Log, origin), signer(t, tlog.Log, origin)
	leaf, err := tlog.Leaf{V: 1, Time: now().UnixMilli(), Action: tlog.ActLink, Object: tlog.Tag(tlog.KindProject, []byte("p")), Doc: tlog.DocTag([]byte("d")), Actor: make([]byte, 16), Seq: 3}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := log.Promise(leaf, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	p, err := tlog.OpenPromise(raw, log.Key)
	if err != nil || p.Hash != tlog.LeafHash(leaf) || !p.Due.Equal(now().Add(10*time.Second)) || p.Leaf.Seq != 3 {
		t.Errorf("%+v, %v", p, err)
	}
	never, err := log.Promise(leaf, 1000*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := signer(t, tlog.Log, "elsewhere")
	moved, err := elsewhere.Promise(leaf, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	asOurs := elsewhere.Key
	asOurs.Name = origin
	flipped := bytes.Clone(raw)
	flipped[len(flipped)/2] ^= 1
	for what, err := range map[string]error{
		"another key":    second(tlog.OpenPromise(raw, other.Key)),
		"never":          second(tlog.OpenPromise(never, log.Key)),
		"another origin": second(tlog.OpenPromise(moved, asOurs)),
		"flipped":        second(tlog.OpenPromise(flipped, log.Key)),
		"empty":          second(tlog.OpenPromise(nil, log.Key)),
		"too large":      second(tlog.OpenPromise(make([]byte, 1<<20), log.Key)),
	} {
		if !errors.Is(err, tlog.ErrPromise) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second(_ tlog.Promised, err error) error { return err }

func TestLeafHostile(t *testing.T) {
	for what, l := range map[string]tlog.Leaf{
		"version":     {V: 2, Action: "link"},
		"no action":   {V: 1},
		"long action": {V: 1, Action: strings.Repeat("a", 33)},
		"odd action":  {V: 1, Action: "a\x1b[2J"},
		"odd actor":   {V: 1, Action: "link", Actor: []byte("alice")},
	} {
		if _, err := l.Encode(); !errors.Is(err, tlog.ErrLeaf) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, raw := range [][]byte{nil, {0xa0}, make([]byte, 1<<20)} {
		if _, err := tlog.OpenLeaf(raw); !errors.Is(err, tlog.ErrLeaf) {
			t.Errorf("%d bytes: %v", len(raw), err)
		}
	}
}
