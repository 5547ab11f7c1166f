// Package journal remembers what left the vault: which secret was shown, copied
// or given to a program, when, and by which command.
//
// It lies inside the vault's sealed state, so it tells the owner and nobody
// else; it holds names, never values. It is a record for an honest owner, not
// evidence against one: whoever has the vault key can rewrite it. It is bounded,
// and says how many entries it has lost.
package journal

import (
	"fmt"
	"slices"
	"time"
)

// Max is how many entries are kept; older ones are counted in Log.Lost.
const Max = 1000

// Quiet is for how long one more delivery of the same secret to the same command
// only counts up the entry that is there: helpers of git and AWS ask often, and
// each new entry is a save of the vault.
const Quiet = time.Hour

// What happened to a secret.
type What uint8

// The kinds of entries.
const (
	Shown     What = 1 // printed for a person
	Copied    What = 2 // lent to the clipboard
	Delivered What = 3 // given to a program
)

// String is the kind in a word.
func (w What) String() string {
	switch w {
	case Shown:
		return "shown"
	case Copied:
		return "copied"
	case Delivered:
		return "given to a program"
	}
	return fmt.Sprintf("event %d", uint8(w))
}

// Entry is one thing that happened.
type Entry struct {
	At     int64  `cbor:"1,keyasint"` // Unix seconds
	What   What   `cbor:"2,keyasint"`
	Secret string `cbor:"3,keyasint"` // its name
	Field  string `cbor:"4,keyasint"` // "" for more than one
	By     string `cbor:"5,keyasint"` // the command, such as "secret show"
}

// Log is the journal of a vault, oldest entry first.
type Log struct {
	Entries []Entry `cbor:"1,keyasint"`
	Lost    uint64  `cbor:"2,keyasint"` // entries that made room for newer ones
}

// Add appends an entry.
func (l *Log) Add(e Entry) {
	if over := len(l.Entries) + 1 - Max; over > 0 {
		l.Entries = append([]Entry(nil), l.Entries[over:]...)
		l.Lost += uint64(over)
	}
	l.Entries = append(l.Entries, e)
}

// Covers tells that e need not be added, because a delivery of the same to the
// same was noted less than Quiet before it. What a person was shown is always
// noted.
func (l *Log) Covers(e Entry) bool {
	if e.What != Delivered {
		return false
	}
	since := e.At - int64(Quiet/time.Second)
	return slices.ContainsFunc(l.Entries, func(old Entry) bool {
		recent := old.At > since && old.At <= e.At
		old.At = e.At
		return recent && old == e
	})
}
