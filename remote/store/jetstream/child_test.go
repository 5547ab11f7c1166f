package jetstream_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cipherdeck/remote/store"
	"cipherdeck/remote/store/jetstream"
)

// The test program is also the process that is killed: a writer with the
// engine in it, or a NATS server of a cluster.
const (
	childRole = "CIPHERDECK_TEST_CHILD" // writer, lax-writer, nats
	childPath = "CIPHERDECK_TEST_PATH"  // folder of the store, or file of settings
)

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(childRole) {
	case "":
		os.Exit(m.Run())
	case "nats":
		err = serveNATS(os.Getenv(childPath))
	case "writer":
		err = write(jetstream.Config{Dir: os.Getenv(childPath), Lease: time.Hour})
	case "lax-writer":
		err = write(jetstream.Lax(jetstream.Config{Dir: os.Getenv(childPath), Lease: time.Hour}))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(1)
}

// child starts the test program in a role.
func child(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childRole+"="+role, childPath+"="+path)
	cmd.Stderr = os.Stderr
	return cmd
}

// write lets four writers make documents, change them, delete some, and
// enqueue jobs, and says on standard output what was acknowledged, until it is
// killed.
func write(c jetstream.Config) error {
	ctx := context.Background()
	e, err := jetstream.Open(ctx, c)
	if err != nil {
		return err
	}
	var out sync.Mutex
	say := func(format string, a ...any) {
		out.Lock()
		defer out.Unlock()
		fmt.Printf(format+"\n", a...)
	}
	failed := make(chan error)
	for w := range 4 {
		go func() {
			for n := 0; ; n++ {
				if err := writeOne(ctx, e, fmt.Sprintf("%d-%d-%d", os.Getpid(), w, n), n, say); err != nil {
					failed <- err
				}
			}
		}()
	}
	return <-failed
}

func writeOne(ctx context.Context, e *jetstream.Engine, name string, n int, say func(string, ...any)) error {
	key := "k/" + name
	rev, err := e.Docs().Put(ctx, key, []byte(key), 0)
	if err != nil {
		return err
	}
	say("doc %s %d", key, rev)
	switch n % 4 {
	case 0:
		if err := e.Queue().Enqueue(ctx, "cpu", name); err != nil {
			return err
		}
		say("job %s 0", name)
	case 1:
		if rev, err = e.Docs().Put(ctx, key, []byte(key+"!"), rev); err != nil {
			return err
		}
		say("changed %s %d", key, rev)
	case 2:
		say("deleting %s 0", key) // from here on it may be gone
		if err := e.Docs().Delete(ctx, key, rev); err != nil {
			return err
		}
		say("gone %s 0", key)
	}
	return nil
}

// acks is what was acknowledged.
type acks struct {
	docs    map[string]store.Rev
	changed map[string]store.Rev
	maybe   map[string]bool // its deletion had begun
	gone    map[string]bool
	jobs    map[string]bool
}

func newAcks() *acks {
	return &acks{map[string]store.Rev{}, map[string]store.Rev{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
}

func (a *acks) count() int { return len(a.docs) + len(a.changed) + len(a.gone) + len(a.jobs) }

// note reads one line of a writer; false when it was cut.
func (a *acks) note(line string) bool {
	f := strings.Fields(line)
	if len(f) != 3 {
		return false
	}
	rev, err := strconv.ParseUint(f[2], 10, 64)
	if err != nil {
		return false
	}
	switch f[0] {
	case "doc":
		a.docs[f[1]] = store.Rev(rev)
	case "changed":
		a.changed[f[1]] = store.Rev(rev)
	case "deleting":
		a.maybe[f[1]] = true
	case "gone":
		a.gone[f[1]] = true
	case "job":
		a.jobs[f[1]] = true
	}
	return true
}

// killed runs a writer until n lines came, and kills it in the middle of the
// next writes.
func killed(t *testing.T, role, dir string, n int, a *acks) {
	t.Helper()
	cmd := child(t, role, dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	got := 0
	for lines.Scan() && a.note(lines.Text()) {
		if got++; got == n {
			if err := cmd.Process.Kill(); err != nil { // SIGKILL
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || got < n {
		t.Fatalf("the writer ended by itself after %d lines: %v", got, err)
	}
}

// lost opens a store and names what was acknowledged and is not there, and
// what is there twice.
func (a *acks) lost(t *testing.T, dir string) (all []string) {
	t.Helper()
	e, err := jetstream.Open(t.Context(), jetstream.Config{Dir: dir, Lease: time.Hour})
	if err != nil {
		return []string{fmt.Sprintf("everything: %v", err)}
	}
	defer closed(t, e)
	return append(a.lostDocs(t, e.Docs()), a.lostJobs(t, e.Queue())...)
}

func (a *acks) lostDocs(t *testing.T, docs store.Docs) (all []string) {
	for key, rev := range a.docs {
		d, err := docs.Get(t.Context(), key)
		missing := errors.Is(err, store.ErrNotFound)
		last, changed := a.changed[key]
		switch {
		case err != nil && !missing:
			t.Fatal(err)
		case a.gone[key] && !missing:
			all = append(all, "the deletion of "+key)
		case a.gone[key], missing && a.maybe[key]:
		case missing:
			all = append(all, key)
		case changed && (d.Rev != last || string(d.Body) != key+"!"):
			all = append(all, fmt.Sprintf("the change of %s: it is at %d with %q, want %d", key, d.Rev, d.Body, last))
		case d.Rev != rev && string(d.Body) != key+"!", d.Rev == rev && string(d.Body) != key:
			all = append(all, fmt.Sprintf("%s: it is at %d with %q, want %d", key, d.Rev, d.Body, rev))
		}
	}
	return all
}

// lostJobs drains the queue; a job must come once.
func (a *acks) lostJobs(t *testing.T, q store.Queue) (all []string) {
	seen := map[string]bool{}
	for {
		l, err := q.Lease(t.Context(), "cpu", 0)
		if errors.Is(err, store.ErrNotFound) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if seen[l.Job] {
			all = append(all, "job "+l.Job+" came twice")
		}
		seen[l.Job] = true
		if err := q.Done(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	for job := range a.jobs {
		if !seen[job] {
			all = append(all, "job "+job)
		}
	}
	clear(a.jobs) // they are done
	return all
}

func wantNone(t *testing.T, lost []string) {
	t.Helper()
	for _, l := range lost[:min(len(lost), 10)] {
		t.Error("lost: ", l)
	}
	if len(lost) > 10 {
		t.Errorf("and %d more", len(lost)-10)
	}
}
