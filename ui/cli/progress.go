package cli

import (
	"fmt"
	"io"
	"sync"
	"time"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/action"
	"cipherdeck/ui/plain"
)

// lineSink prints progress for a person: a line for each phase that ends or
// has worked for a while, and at once for one that can only tell the time. It
// writes whole lines only, so that the output stays readable in a pipe and by a
// screen reader.
type lineSink struct {
	mu    sync.Mutex
	w     io.Writer // progress
	out   io.Writer // lines for a person
	now   func() time.Time
	name  string
	unit  progress.Unit
	total int64
	done  int64
	start time.Time
	told  time.Time
}

// every is how long a phase may work in silence.
const every = 2 * time.Second

func newLineSink(w, out io.Writer, now func() time.Time) *lineSink {
	return &lineSink{w: w, out: out, now: now}
}

// Phase starts a phase.
func (s *lineSink) Phase(name string, total int64, unit progress.Unit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.name, s.total, s.unit, s.done = plain.Text(name), total, unit, 0
	s.start = s.now()
	s.told = s.start
	if unit == progress.Elapsed {
		fmt.Fprintln(s.w, "  "+s.name)
	}
}

// Add counts, and prints a line when the last one is old.
func (s *lineSink) Add(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done += n
	t := s.now()
	if t.Sub(s.told) < every {
		return
	}
	s.told = t
	fmt.Fprintln(s.w, s.line(t.Sub(s.start)))
}

// Note prints lines for a person; other notes are not for the command line.
func (s *lineSink) Note(code string, kv ...any) {
	if code == action.SayNote && len(kv) == 2 {
		s.mu.Lock()
		defer s.mu.Unlock()
		fmt.Fprintln(s.out, plain.Text(fmt.Sprint(kv[1])))
	}
}

// line is name, share, rate and time left.
func (s *lineSink) line(took time.Duration) string {
	if s.unit == progress.Elapsed {
		return fmt.Sprintf("  %s: %s so far", s.name, took.Round(time.Second))
	}
	rate := float64(s.done) / max(took.Seconds(), 1e-9)
	out := fmt.Sprintf("  %s: %s, %s/s", s.name, Quantity(s.done, s.unit), Quantity(int64(rate), s.unit))
	if s.total > 0 && rate > 0 {
		left := time.Duration(float64(s.total-s.done) / rate * float64(time.Second))
		out = fmt.Sprintf("  %s: %d %%, %s of %s, %s/s, %s left", s.name, 100*s.done/s.total,
			Quantity(s.done, s.unit), Quantity(s.total, s.unit), Quantity(int64(rate), s.unit), left.Round(time.Second))
	}
	return out
}

// Quantity writes n of a unit for a person.
func Quantity(n int64, u progress.Unit) string {
	if u != progress.Bytes {
		if u == progress.None {
			return fmt.Sprint(n)
		}
		return fmt.Sprintf("%d %s", n, u)
	}
	v, names := float64(n), []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for ; v >= 1024 && i < len(names)-1; i++ {
		v /= 1024
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, names[i])
}
