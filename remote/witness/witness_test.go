package witness_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	mod "golang.org/x/mod/sumdb/tlog"

	"cipherdeck/crypto/tlog"
	"cipherdeck/remote/journal"
	"cipherdeck/remote/witness"
)

const origin = "cipherdeck/0123456789abcdef"

// fakeLog is a log that may lie.
type fakeLog struct {
	signer *tlog.Signer
	stored []mod.Hash
	n      int64
}

func (l *fakeLog) ReadHashes(at []int64) ([]mod.Hash, error) {
	out := make([]mod.Hash, len(at))
	for i, n := range at {
		out[i] = l.stored[n]
	}
	return out, nil
}

func newLog(t *testing.T) *fakeLog {
	t.Helper()
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := tlog.NewSigner(tlog.Log, origin, k, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return &fakeLog{signer: s}
}

func (l *fakeLog) grow(t *testing.T, mark string, n int) {
	t.Helper()
	for range n {
		more, err := mod.StoredHashes(l.n, fmt.Appendf(nil, "%s %d", mark, l.n), l)
		if err != nil {
			t.Fatal(err)
		}
		l.stored = append(l.stored, more...)
		l.n++
	}
}

func (l *fakeLog) fork() *fakeLog {
	return &fakeLog{signer: l.signer, stored: append([]mod.Hash{}, l.stored...), n: l.n}
}

func (l *fakeLog) checkpoint(t *testing.T) []byte {
	t.Helper()
	root, err := mod.TreeHash(l.n, l)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", origin, l.n, base64.StdEncoding.EncodeToString(root[:]))}, l.signer.Note())
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (l *fakeLog) request(t *testing.T, old int64) string {
	t.Helper()
	body := fmt.Sprintf("old %d\n", old)
	if old > 0 && old < l.n {
		p, err := mod.ProveTree(l.n, old, l)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range p {
			body += base64.StdEncoding.EncodeToString(h[:]) + "\n"
		}
	}
	return body + "\n" + string(l.checkpoint(t))
}

func open(t *testing.T, dir string, logs ...tlog.Key) *witness.Witness {
	t.Helper()
	w, err := witness.Open(context.Background(), dir, "", logs, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func post(t *testing.T, w *witness.Witness, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRecorder()
	w.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(r, httptest.NewRequest(http.MethodPost, "/add-checkpoint", strings.NewReader(body)))
	return r
}

func TestAddCheckpoint(t *testing.T) {
	log := newLog(t)
	dir := t.TempDir()
	w := open(t, dir, log.signer.Key)
	want := func(what string, r *httptest.ResponseRecorder, status int) {
		t.Helper()
		if r.Code != status {
			t.Errorf("%s: status %d, want %d: %s", what, r.Code, status, r.Body)
		}
	}
	empty := log.request(t, 0)
	want("the empty tree", post(t, w, empty), 200)
	log.grow(t, "leaf", 5)
	r := post(t, w, log.request(t, 0))
	want("the first one", r, 200)
	v, err := (tlog.Policy{Log: log.signer.Key, Witnesses: []tlog.Key{w.Key()}, Need: 1}).Open(append(log.checkpoint(t), r.Body.Bytes()...), time.Now())
	if err != nil || !v.Witnessed() {
		t.Errorf("the cosignature: %+v, %v", v, err)
	}
	want("again", post(t, w, log.request(t, 5)), 200)
	r = post(t, w, log.request(t, 3))
	want("another old size", r, 409)
	if r.Body.String() != "5\n" || r.Header().Get("Content-Type") != "text/x.tlog.size" {
		t.Errorf("it says %q as %q", r.Body, r.Header().Get("Content-Type"))
	}
	fork := log.fork()
	log.grow(t, "leaf", 4)
	good := log.request(t, 5)
	want("a proof that is cut", post(t, w, strings.Replace(good, "\n", "\nAAAA", 1)), 400)
	lines := strings.SplitN(good, "\n", 3)
	want("a proof without its first hash", post(t, w, lines[0]+"\n"+lines[2]), 422)
	want("the next one", post(t, w, good), 200)

	// The other history, of the same size and of a larger one.
	fork.grow(t, "fork", 4)
	want("a fork of the same size", post(t, w, fork.request(t, 9)), 409)
	fork.grow(t, "fork", 4)
	want("a fork that is larger", post(t, w, fork.request(t, 9)), 422)

	stranger := newLog(t)
	stranger.grow(t, "leaf", 10)
	want("another key", post(t, w, stranger.request(t, 9)), 403)
	want("an unknown log", post(t, w, strings.ReplaceAll(good, origin, "elsewhere")), 404)
	want("an old size that is larger", post(t, w, "old 99\n\n"+string(log.checkpoint(t))), 400)
	for what, body := range map[string]string{
		"nothing":       "",
		"no old":        "\n\n" + string(log.checkpoint(t)),
		"a huge old":    "old 99999999999999999999\n\n" + string(log.checkpoint(t)),
		"many hashes":   "old 9\n" + strings.Repeat("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 64) + "\n" + string(log.checkpoint(t)),
		"no checkpoint": "old 9\n\n",
		"too large":     "old 9\n\n" + strings.Repeat("x", 1<<20),
	} {
		want(what, post(t, w, body), 400)
	}

	// It remembers across a start, and does not sign when it cannot.
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = open(t, dir, log.signer.Key)
	want("an older tree after a start", post(t, w, empty), 409)
	all, err := filepath.Glob(filepath.Join(dir, "*.seen"))
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if err := os.WriteFile(all[0], []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	log.grow(t, "leaf", 1)
	want("with a damaged memory", post(t, w, log.request(t, 9)), 500)
}

func TestOneProcessOnly(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if w, err := witness.Open(context.Background(), dir, "", nil, nil); err == nil {
		w.Close()
		t.Error("two processes run one witness")
	}
}

// TestJournalAsksWitnesses lets a real journal ask two real witnesses, then
// starts a copy of it, which both refuse.
func TestJournalAsksWitnesses(t *testing.T) {
	dir := t.TempDir()
	first, err := start(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	key := first.Key()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	var asked []journal.Cosigner
	p := tlog.Policy{Log: key, Need: 2}
	for range 2 {
		w := open(t, t.TempDir(), key)
		s := httptest.NewServer(w.Handler(slog.New(slog.DiscardHandler)))
		t.Cleanup(s.Close)
		asked = append(asked, journal.Cosigner{Key: w.Key(), URL: s.URL})
		p.Witnesses = append(p.Witnesses, w.Key())
	}
	l, err := start(dir, asked)
	if err != nil {
		t.Fatal(err)
	}
	record(t, l, "before")
	reached(t, l, p, 1, true)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if l, err = start(dir, asked); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	record(t, l, "one history")
	reached(t, l, p, 2, true)

	fork, err := start(copied, asked)
	if err != nil {
		t.Fatal(err)
	}
	defer fork.Close()
	record(t, fork, "another history")
	v := reached(t, fork, p, 2, false)
	c, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Continues(c.Size, c.Root, nil); !errors.Is(err, tlog.ErrProof) {
		t.Errorf("the fork is the log: %v", err)
	}
}

func start(dir string, asked []journal.Cosigner) (*journal.Log, error) {
	return journal.Open(context.Background(), journal.Options{Dir: dir, Origin: origin, Interval: 100 * time.Millisecond, Witnesses: asked})
}

func record(t *testing.T, l *journal.Log, text string) {
	t.Helper()
	if _, err := l.Record(t.Context(), journal.Entry{Action: tlog.ActLink, Body: []byte(text)}); err != nil {
		t.Fatal(err)
	}
}

// reached waits for a checkpoint of a size, which has to be witnessed or not.
func reached(t *testing.T, l *journal.Log, p tlog.Policy, size uint64, witnessed bool) tlog.Verdict {
	t.Helper()
	for {
		c, err := l.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c.Size < size {
			continue
		}
		v, err := p.Open(c.Raw, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if v.Witnessed() != witnessed {
			t.Errorf("a checkpoint of %d is %s", size, v.Word())
		}
		return v
	}
}
