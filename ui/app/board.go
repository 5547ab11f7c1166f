package app

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/channel"
	"cipherdeck/crypto/progress"
	"cipherdeck/fhe"
	"cipherdeck/remote/api"
)

// Board is what happened since the program started, for a face to show: the
// newest verdict of each server, and the runs. It forgets on Close.
type Board struct {
	mu       sync.Mutex
	verdicts map[string]Judged
	nodes    map[string]Judged              // the same of nodes: none of them says anything of a server
	scripts  map[string]*channel.Transcript // of the newest exchange
	drifts   map[string]Drift               // of the newest verdict
	took     map[string][]time.Duration
	runs     []*RunRecord
	changed  chan struct{}
}

// Judged is a verdict and when it was reached.
type Judged struct {
	Server  string
	Verdict *attest.Verdict // nil when the evidence could not be read
	Err     error           // nil when it is OK
	Payload int64           // bytes sent on a refused connection: 0
	At      time.Time
	Drift   Drift           // how it differs from the last good verdict
	Took    []time.Duration // from asking to the verdict, this time last; MaxTook at most
}

// MaxTook is how many times are kept of one server.
const MaxTook = 20

// RunState is what became of a run.
type RunState uint8

// The states of a run.
const (
	RunWorking RunState = iota
	RunDone
	RunRejected // an answer came and was wrong
	RunFailed   // no answer came
)

// String is the word for s.
func (s RunState) String() string { return [...]string{"running", "done", "REJECTED", "failed"}[s] }

// RunRecord is one run, under way or ended.
type RunRecord struct {
	Number  int
	Project string
	Spec    RunSpec
	Plan    *fhe.Plan
	State   RunState
	Phase   string
	Unit    progress.Unit
	Done    int64
	Total   int64
	Since   time.Time // of the phase
	Started time.Time
	Ended   time.Time
	Outcome *Outcome // figures; nil until there are some
	Err     error
}

func newBoard() *Board {
	return &Board{verdicts: map[string]Judged{}, nodes: map[string]Judged{}, scripts: map[string]*channel.Transcript{}, drifts: map[string]Drift{}, took: map[string][]time.Duration{}, changed: make(chan struct{}, 1)}
}

// Changed receives when something on the board changed. Several changes may
// come as one.
func (b *Board) Changed() <-chan struct{} { return b.changed }

// Verdicts is the newest verdict of each server.
func (b *Board) Verdicts() map[string]Judged {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.verdicts)
}

// Nodes is the newest verdict of each node, by its name.
func (b *Board) Nodes() map[string]Judged {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.nodes)
}

func (b *Board) scripted(server string, t *channel.Transcript) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.scripts[server] = t
}

func (b *Board) drifted(server string, d Drift) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drifts[server] = d
}

func (b *Board) script(server string) *channel.Transcript {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.scripts[server]
}

// Runs is all runs, oldest first.
func (b *Board) Runs() []RunRecord {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]RunRecord, 0, len(b.runs))
	for _, r := range b.runs {
		out = append(out, *r)
	}
	return out
}

// forget takes everything off the board: the vault is locked. A run that is
// still under way ends on a record that nobody sees.
func (b *Board) forget() {
	b.mu.Lock()
	clear(b.verdicts)
	clear(b.nodes)
	clear(b.scripts)
	clear(b.drifts)
	clear(b.took)
	b.runs = nil
	b.mu.Unlock()
	b.notify()
}

func (b *Board) notify() {
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// timed adds how long a verdict took.
func (b *Board) timed(server string, d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := append(slices.Clone(b.took[server]), d)
	b.took[server] = all[max(0, len(all)-MaxTook):]
}

func (b *Board) judged(j Judged) {
	var r *api.RefusedError
	if errors.As(j.Err, &r) {
		j.Verdict, j.Payload = r.Verdict, r.PayloadBytes
	}
	b.mu.Lock()
	j.Drift, j.Took = b.drifts[j.Server], b.took[j.Server]
	if IsNode(j.Server) {
		b.nodes[j.Server] = j
	} else {
		b.verdicts[j.Server] = j
	}
	b.mu.Unlock()
	b.notify()
}

// begin adds a run and returns the sink that follows it and tees to next.
func (b *Board) begin(r RunRecord, next progress.Sink) *runSink {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.Number = len(b.runs) + 1
	b.runs = append(b.runs, &r)
	b.notify()
	return &runSink{b: b, rec: &r, next: next}
}

// runSink writes progress to one run on the board.
type runSink struct {
	b    *Board
	rec  *RunRecord
	next progress.Sink
}

func (s *runSink) edit(f func(*RunRecord)) {
	s.b.mu.Lock()
	f(s.rec)
	s.b.mu.Unlock()
	s.b.notify()
}

// Phase starts a phase of the run.
func (s *runSink) Phase(name string, total int64, unit progress.Unit) {
	now := time.Now()
	s.edit(func(r *RunRecord) { r.Phase, r.Total, r.Unit, r.Done, r.Since = name, total, unit, 0, now })
	s.next.Phase(name, total, unit)
}

// Add counts.
func (s *runSink) Add(n int64) {
	s.edit(func(r *RunRecord) { r.Done += n })
	s.next.Add(n)
}

// Note passes a fact on.
func (s *runSink) Note(code string, kv ...any) { s.next.Note(code, kv...) }

func (s *runSink) end(out *Outcome, err error, at time.Time) {
	s.edit(func(r *RunRecord) {
		r.Outcome, r.Err, r.Ended, r.State = out, err, at, RunDone
		if err != nil {
			r.State = RunFailed
			if f := Explain(err); f.Exit == ExitRejected {
				r.State = RunRejected
			}
		}
	})
}
