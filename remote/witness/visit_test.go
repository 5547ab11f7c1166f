package witness_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cipherdeck/crypto/tlog"
	"cipherdeck/remote/api"
	rt "cipherdeck/remote/remotetest"
	"cipherdeck/remote/server"
	"cipherdeck/remote/witness"
)

// visited is a server with a witness that comes by itself.
type visited struct {
	cfg    server.Config
	srv    *server.Server
	who    rt.Who
	client *api.Client
	key    tlog.Key
	w      *witness.Witness
	dir    string
}

func visit(t *testing.T) *visited {
	t.Helper()
	v := &visited{cfg: rt.Config(t.TempDir()), who: rt.Person(t, "somebody"), dir: t.TempDir()}
	v.start(t)
	m, err := v.client.Meta(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v.key, err = tlog.ParseKey(m.Journal); err != nil {
		t.Fatal(err)
	}
	v.w = open(t, v.dir, v.key)
	return v
}

func (v *visited) start(t *testing.T) {
	t.Helper()
	v.srv = rt.Start(t, server.Options{Config: v.cfg, Checkpoints: 100 * time.Millisecond})
	v.client = rt.Enrolled(t, v.srv, v.who)
}

func (v *visited) again(t *testing.T, names ...tlog.Key) {
	t.Helper()
	if err := v.srv.Close(); err != nil {
		t.Fatal(err)
	}
	v.cfg.Witnesses = nil
	for _, k := range names {
		v.cfg.Witnesses = append(v.cfg.Witnesses, server.Witness{Key: k.String()})
	}
	if err := v.cfg.Check(); err != nil {
		t.Fatal(err)
	}
	v.start(t)
}

// settle visits until the log has n leaves and no newer one comes between.
func (v *visited) settle(t *testing.T, n uint64) {
	t.Helper()
	for {
		got, err := v.w.Visit(t.Context(), v.client, v.key)
		if err == nil && got.Size >= n {
			return
		}
		if err != nil && !errors.Is(err, api.ErrConflict) {
			t.Fatal(err)
		}
	}
}

func (v *visited) shown(t *testing.T) tlog.Verdict {
	t.Helper()
	raw, err := v.client.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := (tlog.Policy{Log: v.key, Witnesses: []tlog.Key{v.w.Key()}, Need: 1}).Open(raw, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestVisit: a witness that nobody calls cosigns what the server hands out, and
// not what a copy of it makes of the log.
func TestVisit(t *testing.T) {
	v := visit(t)
	if _, err := v.w.Visit(t.Context(), v.client, v.key); !errors.Is(err, api.ErrForbidden) {
		t.Fatalf("a witness that the server was not told of: %v", err)
	}
	v.again(t, v.w.Key())
	v.settle(t, 1)
	got := v.shown(t)
	if !got.Witnessed() {
		t.Errorf("the checkpoint is %s", got.Word())
	}
	common := got.Size

	// Two histories from here on.
	if err := v.srv.Close(); err != nil {
		t.Fatal(err)
	}
	fork := *v
	fork.cfg.DataDir = filepath.Join(t.TempDir(), "fork")
	if err := os.CopyFS(fork.cfg.DataDir, os.DirFS(v.cfg.DataDir)); err != nil {
		t.Fatal(err)
	}
	v.start(t)
	rt.NewProject(t, v.client, v.who)
	v.settle(t, common+1)
	one := v.shown(t)
	if !one.Witnessed() {
		t.Errorf("%d leaves, %s", one.Size, one.Word())
	}

	fork.start(t)
	if _, err := fork.w.Visit(t.Context(), fork.client, v.key); !isConflict(err) {
		t.Errorf("an older log: %v", err)
	}
	var size uint64
	for size <= one.Size {
		rt.NewProject(t, fork.client, fork.who)
		size = fork.shown(t).Size
	}
	if _, err := fork.w.Visit(t.Context(), fork.client, v.key); !errors.Is(err, tlog.ErrProof) {
		t.Errorf("another history: %v", err)
	}
	if got := fork.shown(t); got.Witnessed() {
		t.Errorf("the fork is %s", got.Word())
	}

	// It remembers across a start.
	if err := fork.w.Close(); err != nil {
		t.Fatal(err)
	}
	fork.w = open(t, v.dir, v.key)
	if _, err := fork.w.Visit(t.Context(), fork.client, v.key); !errors.Is(err, tlog.ErrProof) {
		t.Errorf("another history after a start: %v", err)
	}
}

func isConflict(err error) bool {
	var c *witness.Conflict
	return errors.As(err, &c)
}

// TestHostileCosignatures: what is not a cosignature of the newest checkpoint by
// a witness of the configuration is not handed out.
func TestHostileCosignatures(t *testing.T) {
	v := visit(t)
	v.again(t, v.w.Key())
	v.settle(t, 1)
	old := v.shown(t)
	good := lineOf(old.Raw)
	rt.NewProject(t, v.client, v.who)
	for v.shown(t).Size == old.Size { // until the project is in it
	}
	other := open(t, t.TempDir(), v.key)
	now := v.shown(t)
	strange, err := other.Add(0, nil, now.Raw)
	if err != nil {
		t.Fatal(err)
	}
	named := bytes.Replace(strange, []byte(other.Key().Name), []byte(v.w.Key().Name), 1)
	for what, line := range map[string][]byte{
		"of an older checkpoint": good, "of a stranger": strange, "of a stranger with the name of a witness": named,
		"nothing": nil, "two lines": append(bytes.Clone(good), good...), "no line": bytes.TrimSpace(good),
		"a blank one first": append([]byte("\n"), good...), "a long name": []byte("— " + strings.Repeat("x", 9000) + " AAAA\n"),
		"the log's own": []byte(strings.SplitAfter(string(now.Raw[strings.Index(string(now.Raw), "\n\n")+2:]), "\n")[0]),
	} {
		if err := v.client.Cosigned(t.Context(), line); !errors.Is(err, api.ErrConflict) && !errors.Is(err, api.ErrForbidden) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := v.shown(t); got.Witnessed() || !bytes.Equal(got.Raw, now.Raw) {
		t.Errorf("it is handed out: %s", got.Raw)
	}
	v.settle(t, old.Size+1)
	if !v.shown(t).Witnessed() {
		t.Error("the right one is not handed out")
	}
}

// lineOf is the last signature line of a checkpoint.
func lineOf(raw []byte) []byte {
	lines := bytes.SplitAfter(bytes.TrimSuffix(raw, []byte("\n")), []byte("\n"))
	return append(bytes.Clone(lines[len(lines)-1]), '\n')
}

// TestKeep follows a log as it grows.
func TestKeep(t *testing.T) {
	v := visit(t)
	v.again(t, v.w.Key())
	done := make(chan struct{})
	go func() {
		defer close(done)
		v.w.Keep(t.Context(), v.client, v.key, time.Millisecond, slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() { <-done }) // the context of a test ends before this
	for range 2 {
		rt.NewProject(t, v.client, v.who)
		for before := v.shown(t).Size; ; {
			if got := v.shown(t); got.Size >= before && got.Witnessed() {
				break
			}
		}
	}
}
