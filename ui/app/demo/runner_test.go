package demo

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/fhe/circuit"
	"cipherdeck/fhe/job"
	"cipherdeck/ui/app"
)

// twisted is an honest runner whose answer is changed before it is signed.
type twisted struct {
	mu    sync.Mutex
	twist func(ctx context.Context, r *job.Result, in job.Blobs) error
}

func (c *twisted) set(f func(context.Context, *job.Result, job.Blobs) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.twist = f
}

func (c *twisted) Run(ctx context.Context, j job.JobDoc, in job.Blobs, p progress.Sink) (job.Result, error) {
	r, err := circuit.Runner{Workers: runtime.GOMAXPROCS(0)}.Run(ctx, j, in, p)
	if err != nil {
		return r, err
	}
	c.mu.Lock()
	f := c.twist
	c.mu.Unlock()
	return r, f(ctx, &r, in)
}

// noteOnly catches the note that says who the node is.
type noteOnly struct {
	progress.Discard
	uid chan string
}

func (n noteOnly) Note(code string, kv ...any) {
	if code == "working" {
		n.uid <- kv[1].(string)
	}
}

// withRunner starts a real node with another runner and grants it.
func withRunner(t *testing.T, s *Stage, r job.Runner) app.Where {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	note := noteOnly{uid: make(chan string, 1)}
	ended := make(chan error, 1)
	go func() {
		ended <- app.Node(ctx, app.NodeSpec{Code: s.code, Dir: s.path("twisted"), Name: "twisted"}, r, nil, note)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	select {
	case u := <-note.uid:
		uid, err := chain.ParseUID(u)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Alice.GrantNode(t.Context(), s.project, uid, time.Hour); err != nil {
			t.Fatal(err)
		}
		at, err := s.Alice.At(s.project, uid)
		if err != nil {
			t.Fatal(err)
		}
		return at
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	return app.Where{}
}

// onOutputs changes the list of output batches of a result.
func onOutputs(f func(ctx context.Context, in job.Blobs, batches []id.ID) ([]id.ID, error)) func(context.Context, *job.Result, job.Blobs) error {
	return func(ctx context.Context, r *job.Result, in job.Blobs) error {
		raw, err := in.Get(ctx, r.Outputs, 4<<20)
		if err != nil {
			return err
		}
		var set job.BatchSet
		if err := doc.Decode(raw, &set); err != nil {
			return err
		}
		if set.Batches, err = f(ctx, in, slices.Clone(set.Batches)); err != nil {
			return err
		}
		if raw, err = doc.Encode(set); err != nil {
			return err
		}
		r.Outputs, err = in.Put(ctx, raw)
		return err
	}
}

// flipBit changes one bit of the output of batch 0. from counts bytes from the
// end when negative.
func flipBit(from int, bit uint) func(context.Context, *job.Result, job.Blobs) error {
	return onOutputs(func(ctx context.Context, in job.Blobs, b []id.ID) ([]id.ID, error) {
		raw, err := in.Get(ctx, b[0], 1<<20)
		if err != nil {
			return nil, err
		}
		raw = slices.Clone(raw)
		if from < 0 {
			from += len(raw)
		}
		raw[from] ^= 1 << bit
		b[0], err = in.Put(ctx, raw)
		return b, err
	})
}

func TestAct4_RunnersThatLie(t *testing.T) {
	s := stage(t, 4)
	runner := &twisted{}
	at := withRunner(t, s, runner)
	var before job.Result // of an honest run: other keys, other batches
	honest := func(_ context.Context, r *job.Result, _ job.Blobs) error { before = *r; return nil }
	run := func(rows int) (*app.Outcome, error) {
		w, err := s.planRun(t.Context(), rows, progress.Discard{})
		if err != nil {
			t.Fatal(err)
		}
		return s.Alice.Run(t.Context(), s.project, w, at, progress.Discard{})
	}
	const rows = 9000 // three batches
	runner.set(honest)
	if out, err := run(rows); err != nil || math.Abs(out.AUC-out.AUCClear) > 1e-4 {
		t.Fatalf("control, an honest answer: %v", err)
	}
	for name, f := range map[string]func(context.Context, *job.Result, job.Blobs) error{
		"one bit of the first byte": flipBit(0, 0),
		"one bit of the header":     flipBit(9, 3),
		"a batch is missing": onOutputs(func(_ context.Context, _ job.Blobs, b []id.ID) ([]id.ID, error) {
			return b[1:], nil
		}),
		"a batch is there twice": onOutputs(func(_ context.Context, _ job.Blobs, b []id.ID) ([]id.ID, error) {
			b[1] = b[0]
			return b, nil
		}),
		"a batch too many": onOutputs(func(_ context.Context, _ job.Blobs, b []id.ID) ([]id.ID, error) {
			return append(b, b[0]), nil
		}),
		"two batches are exchanged": onOutputs(func(_ context.Context, _ job.Blobs, b []id.ID) ([]id.ID, error) {
			b[0], b[1] = b[1], b[0]
			return b, nil
		}),
		"no batches": onOutputs(func(context.Context, job.Blobs, []id.ID) ([]id.ID, error) { return nil, nil }),
		"an input as output": onOutputs(func(_ context.Context, _ job.Blobs, b []id.ID) ([]id.ID, error) {
			b[0] = before.Inputs
			return b, nil
		}),
		"outputs of another job": func(_ context.Context, r *job.Result, _ job.Blobs) error {
			r.Outputs = before.Outputs
			return nil
		},
		"the whole result of another job": func(_ context.Context, r *job.Result, _ job.Blobs) error { *r = before; return nil },
		"another model":                   func(_ context.Context, r *job.Result, _ job.Blobs) error { r.Model[0] ^= 1; return nil },
		"another plan":                    func(_ context.Context, r *job.Result, _ job.Blobs) error { r.Plan[31] ^= 1; return nil },
		"other inputs":                    func(_ context.Context, r *job.Result, _ job.Blobs) error { r.Inputs[7] ^= 1; return nil },
	} {
		t.Run(name, func(t *testing.T) {
			runner.set(f)
			out, err := run(rows)
			if err == nil || out != nil && out.Scores != nil {
				t.Fatalf("it passed: %v", err)
			}
			if e := app.Explain(err); e.Exit != app.ExitRejected && e.Exit != app.ExitDamaged {
				t.Errorf("exit code %d (%s): %v", e.Exit, e.Code, err)
			}
		})
	}
	flipEverywhere(t, runner, run)
	runner.set(honest)
	if _, err := run(rows); err != nil {
		t.Errorf("control at the end: %v", err)
	}
}

// flipEverywhere flips single bits all over an output ciphertext. The least of
// them changes a logit by less than the promised error, which nobody can tell
// from noise and which harms nobody; all others must be refused.
func flipEverywhere(t *testing.T, runner *twisted, run func(int) (*app.Outcome, error)) {
	t.Helper()
	refused := 0
	for n := range 48 {
		at, bit := 40+n*997, uint(n%8)
		runner.set(flipBit(at, bit))
		out, err := run(0)
		if err != nil {
			refused++
			continue
		}
		if !(out.MaxError <= out.ErrorBound) {
			t.Errorf("byte %d, bit %d: passed with an error of %g, promised %g", at, bit, out.MaxError, out.ErrorBound)
		}
	}
	if refused < 24 {
		t.Errorf("only %d of 48 flipped bits were refused", refused)
	}
}

// killed waits for a state of the newest run and then kills a process.
func killWhen(t *testing.T, s *Stage, c *child, ready func(app.RunRecord) bool) {
	t.Helper()
	for {
		runs := s.Alice.Board().Runs()
		if r := runs[len(runs)-1]; ready(r) || r.State != app.RunWorking {
			break
		}
		<-s.Alice.Board().Changed()
	}
	if err := c.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	<-c.done
}

// The node is killed while it works: the job is leased again and finishes.
func TestNodeKilledMidJob(t *testing.T) {
	s := stage(t, 2)
	s.config.LeaseSeconds = 1
	if err := s.publish(); err != nil {
		t.Fatal(err)
	}
	restart(t, s)
	if err := s.pin(s.Alice, true); err != nil {
		t.Fatal(err)
	}
	at, err := s.grantNode(t.Context(), scratch())
	if err != nil {
		t.Fatal(err)
	}
	for rows := 300_000; ; rows *= 2 {
		out := s.killOnce(t, at, rows)
		if out.Attempts > 1 {
			return
		}
		if rows > 2_000_000 {
			t.Fatal("the node was never killed in time: it is too fast for this test")
		}
	}
}

// killOnce runs a job of so many rows, kills the node at the first sign of
// progress and starts another with the same identity.
func (s *Stage) killOnce(t *testing.T, at app.Where, rows int) *app.Outcome {
	t.Helper()
	w, err := s.planRun(t.Context(), rows, progress.Discard{})
	if err != nil {
		t.Fatal(err)
	}
	type answer struct {
		out *app.Outcome
		err error
	}
	got := make(chan answer, 1)
	n := len(s.Alice.Board().Runs())
	go func() {
		out, err := s.Alice.Run(t.Context(), s.project, w, at, progress.Discard{})
		got <- answer{out, err}
	}()
	for len(s.Alice.Board().Runs()) == n {
		<-s.Alice.Board().Changed()
	}
	killWhen(t, s, s.node, func(r app.RunRecord) bool {
		return strings.HasPrefix(r.Phase, "compute") && r.Done > 0
	})
	uid := s.nodeUID
	if s.node, s.nodeUID, err = s.startNode(t.Context(), "node", "node", "node"); err != nil || s.nodeUID != uid {
		t.Fatalf("the node is %s, was %s: %v", s.nodeUID, uid, err)
	}
	a := <-got
	if a.err != nil {
		t.Fatal(a.err)
	}
	if fmt.Sprintf("%.4f", a.out.AUC) != fmt.Sprintf("%.4f", a.out.AUCClear) {
		t.Errorf("AUC %v and %v", a.out.AUC, a.out.AUCClear)
	}
	return a.out
}
