package journal

import (
	"testing"
	"time"
)

func TestBounded(t *testing.T) {
	var l Log
	for i := range Max + 5 {
		l.Add(Entry{At: int64(i), What: Shown, Secret: "s"})
	}
	if len(l.Entries) != Max || l.Lost != 5 || l.Entries[0].At != 5 || l.Entries[Max-1].At != Max+4 {
		t.Errorf("%d entries from %d, %d lost", len(l.Entries), l.Entries[0].At, l.Lost)
	}
}

func TestCovers(t *testing.T) {
	given := Entry{At: 10_000, What: Delivered, Secret: "ci", By: "secret git"}
	l := Log{}
	if l.Covers(given) {
		t.Error("an empty journal covers something")
	}
	l.Add(given)
	l.Add(Entry{At: 10_001, What: Shown, Secret: "ci", Field: "password", By: "secret show"})
	hour := int64(Quiet / time.Second)
	for name, c := range map[string]struct {
		change func(e *Entry)
		want   bool
	}{
		"at once":        {func(e *Entry) {}, true},
		"within an hour": {func(e *Entry) { e.At += hour - 1 }, true},
		"an hour later":  {func(e *Entry) { e.At += hour }, false},
		"clock set back": {func(e *Entry) { e.At -= 1 }, false},
		"another secret": {func(e *Entry) { e.Secret = "x" }, false},
		"another field":  {func(e *Entry) { e.Field = "x" }, false},
		"another way":    {func(e *Entry) { e.By = "secret exec" }, false},
		"to a person":    {func(e *Entry) { *e = l.Entries[1] }, false},
	} {
		e := given
		c.change(&e)
		if l.Covers(e) != c.want {
			t.Errorf("%s: covered: %v", name, !c.want)
		}
	}
}
