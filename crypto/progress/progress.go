// Package progress is how long work tells a person how far it is.
//
// Work reports to a Sink and never waits for it: a screen, a line printer and
// a JSON printer are three sinks of the same work. The latest report wins; a
// sink that is slow loses reports, not time.
package progress

// Unit says what a phase counts.
type Unit uint8

// The units a phase may count.
const (
	None    Unit = iota
	Bytes        // shown as KiB, MiB and so on
	Rows         // rows of a dataset
	Items        // anything else that is counted
	Elapsed      // nothing is counted and no share is known: only time goes by
)

// String is the word shown beside a figure, "" for None.
func (u Unit) String() string {
	return [...]string{"", "B", "rows", "items", ""}[u]
}

// Sink takes reports. All methods return at once and may be called from any
// goroutine.
type Sink interface {
	// Phase starts a named phase; total is in units, 0 if it is not known.
	Phase(name string, total int64, unit Unit)
	// Add reports n more units of the current phase.
	Add(n int64)
	// Note reports a fact worth a line: a stable code, and pairs of key and value.
	Note(code string, kv ...any)
}

// Discard is a Sink that forgets everything.
type Discard struct{}

// Phase does nothing.
func (Discard) Phase(string, int64, Unit) {}

// Add does nothing.
func (Discard) Add(int64) {}

// Note does nothing.
func (Discard) Note(string, ...any) {}
