package jetstream_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"cipherdeck/remote/store"
	"cipherdeck/remote/store/jetstream"
	"cipherdeck/remote/store/storetest"
)

// childDir in the environment makes the test program the writer that is killed.
const childDir = "CIPHERDECK_TEST_STORE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := write(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func open(t *testing.T, dir string, lease time.Duration) storetest.Engines {
	t.Helper()
	e, err := jetstream.Open(t.Context(), jetstream.Config{Dir: dir, Lease: lease})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, e) })
	return storetest.Engines{Docs: e.Docs(), Queue: e.Queue(), Reopen: func(t *testing.T) storetest.Engines {
		closed(t, e)
		return open(t, dir, lease)
	}}
}

func closed(t *testing.T, e *jetstream.Engine) {
	if err := e.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T, lease time.Duration) storetest.Engines { return open(t, t.TempDir(), lease) })
}

func TestSecondProcess(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, time.Hour)
	_, err := jetstream.Open(t.Context(), jetstream.Config{Dir: dir, Lease: time.Second})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("second open: %v, want %v", err, store.ErrUnavailable)
	}
}

func TestClosed(t *testing.T) {
	e, err := jetstream.Open(t.Context(), jetstream.Config{Dir: t.TempDir(), Lease: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	closed(t, e)
	if _, err := e.Docs().Put(t.Context(), "k", nil, 0); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("put: %v", err)
	}
	if _, err := e.Docs().Get(t.Context(), "k"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("get: %v", err)
	}
	if _, err := e.Queue().Lease(t.Context(), "cpu", time.Second); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("lease: %v", err)
	}
}

// write acknowledges documents and jobs on standard output until it is killed.
func write(dir string) error {
	ctx := context.Background()
	e, err := jetstream.Open(ctx, jetstream.Config{Dir: dir, Lease: time.Hour})
	if err != nil {
		return err
	}
	start := os.Getpid()
	for n := 0; ; n++ {
		key := fmt.Sprintf("k/%d-%d", start, n)
		rev, err := e.Docs().Put(ctx, key, []byte(key), 0)
		if err != nil {
			return err
		}
		if err := e.Queue().Enqueue(ctx, "cpu", fmt.Sprintf("%d-%d", start, n)); err != nil {
			return err
		}
		fmt.Printf("%s %d\n", key, rev)
	}
}

// TestKilled kills a writer several times and looks for all it acknowledged.
func TestKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	acked := map[string]store.Rev{}
	for round := range 5 {
		killed(t, dir, 40+17*round, acked)
	}
	e := open(t, dir, time.Hour)
	lost := 0
	for key, rev := range acked {
		d, err := e.Docs.Get(t.Context(), key)
		if err != nil || string(d.Body) != key || d.Rev != rev {
			lost++
			t.Errorf("%s: %+v, %v; want revision %d", key, d, err, rev)
		}
	}
	jobs := map[string]bool{}
	for {
		l, err := e.Queue.Lease(t.Context(), "cpu", 0)
		if err != nil {
			break
		}
		jobs[l.Job] = true
		if err := e.Queue.Done(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	for key := range acked {
		if !jobs[strings.TrimPrefix(key, "k/")] {
			lost++
			t.Errorf("job %s is lost", key)
		}
	}
	t.Logf("%d documents and jobs acknowledged over 5 kills, %d lost", len(acked), lost)
}

// killed runs the writer until it acknowledged n writes and kills it then.
func killed(t *testing.T, dir string, n int, acked map[string]store.Rev) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for got := 0; lines.Scan(); got++ {
		key, rev, _ := strings.Cut(lines.Text(), " ")
		r, err := strconv.ParseUint(rev, 10, 64)
		if err != nil {
			break // the line was cut
		}
		acked[key] = store.Rev(r)
		if got == n {
			if err := cmd.Process.Kill(); err != nil { // SIGKILL
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the writer ended by itself")
	}
	if len(acked) < n {
		t.Fatalf("only %d writes acknowledged", len(acked))
	}
}
