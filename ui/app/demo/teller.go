package demo

import (
	"fmt"

	"cipherdeck/ui/plain"
)

// teller writes an act's report.
type teller struct{ r *Report }

// say adds a line.
func (t *teller) say(m Mark, format string, args ...any) {
	t.r.Lines = append(t.r.Lines, Line{m, plain.Text(fmt.Sprintf(format, args...))})
}

// figure adds a figure to the report's JSON.
func (t *teller) figure(name string, v any) { t.r.Figures[name] = v }

// must is one thing that has to be so: it adds a good line, or is an error that
// says what was not so.
func (t *teller) must(ok bool, format string, args ...any) error {
	if !ok {
		return fmt.Errorf("%w: not so: %s", ErrDemo, plain.Text(fmt.Sprintf(format, args...)))
	}
	t.say(Good, format, args...)
	return nil
}

// caught is one cheat that has to be refused.
func (t *teller) caught(ok bool, format string, args ...any) error {
	if !ok {
		return fmt.Errorf("%w: a cheat was not caught as it should be: %s", ErrDemo, plain.Text(fmt.Sprintf(format, args...)))
	}
	t.say(Caught, format, args...)
	return nil
}
