package screen

import (
	"context"
	"fmt"
	"sync"
	"time"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/action"
	"cipherdeck/ui/part"
)

// meter is a Sink that remembers the newest report. Work never waits for the
// screen: the screen looks when it draws.
type meter struct {
	mu  sync.Mutex
	g   part.Gauge
	now func() time.Time
}

// Phase starts a phase.
func (m *meter) Phase(name string, total int64, unit progress.Unit) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.g = part.Gauge{Phase: name, Total: total, Unit: unit, Since: m.now()}
}

// Add counts.
func (m *meter) Add(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.g.Done += n
}

// Note is for logs.
func (m *meter) Note(string, ...any) {}

func (m *meter) gauge() part.Gauge {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.g
}

// work is an action under way.
type work struct {
	id     int
	a      *action.Action
	args   action.Args
	form   *formOver // to be shown again when it fails
	meter  *meter
	gauge  part.Gauge // as last looked at
	cancel context.CancelFunc
	round  int // session.round when it was begun
}

// acted is an action that ended.
type acted struct {
	w   *work
	res action.Result
	err error
}

// looked is the time to look at the meters again.
type looked struct{}

// lookEvery is how often meters are looked at while something works.
const lookEvery = 100 * time.Millisecond

// begin starts an action.
func (r *root) begin(a *action.Action, args action.Args, form *formOver) cmd {
	ctx, cancel := context.WithCancel(r.s.ctx)
	r.lastWork++
	w := &work{id: r.lastWork, a: a, args: args, form: form, cancel: cancel, round: r.s.round,
		meter: &meter{now: r.s.now, g: part.Gauge{Since: r.s.now()}}}
	w.gauge = w.meter.gauge()
	r.s.works = append(r.s.works, w)
	r.say(sayWork, a.Title+"…")
	ap := r.s.app()
	do := func() msg {
		defer cancel()
		if ap == nil {
			return acted{w: w, err: fmt.Errorf("there is no vault yet")}
		}
		res, err := a.Run(ctx, ap, args, w.meter)
		return acted{w, res, err}
	}
	if a.ID != "attest" {
		return all(do, r.look())
	}
	return all(r.tell(moved{}), do, r.look())
}

// look starts the look-outs unless they are running. Nothing ticks while
// nothing works.
func (r *root) look() cmd {
	if r.looking {
		return nil
	}
	r.looking = true
	return after(lookEvery, looked{})
}

// looks copies the meters, and goes on while there is work.
func (r *root) looks() cmd {
	r.looking = false
	for _, w := range r.s.works {
		w.gauge = w.meter.gauge()
	}
	more := len(r.s.works) > 0 || r.running() > 0
	var c cmd
	if st := r.s.story; st != nil && st.working {
		more = true
		st.gauge = st.meter.gauge()
		if st.looks++; st.looks%5 == 0 {
			c = r.s.survey()
		}
	}
	if !more {
		return c
	}
	return all(c, r.look())
}

// running is how many runs are under way.
func (r *root) running() int {
	n := 0
	for i := range r.s.data.runs {
		if isWorking(&r.s.data.runs[i]) {
			n++
		}
	}
	return n
}
