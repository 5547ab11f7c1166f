// Package bootlog reads the event log of a machine's firmware, and says what
// each register's value means.
//
// While it boots, firmware extends registers with digests and writes down, in
// memory, what each digest was of (TCG PC Client Platform Firmware Profile).
// The log itself can be written to by anybody, so nothing of it is believed
// until its digests replay to the value that was quoted. And then only the
// digests are: the type of an event is never measured, and its data only where
// the profile says that it is the data that was hashed. PCREvent.Covered says
// so of each.
package bootlog

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"

	"cipherdeck/attest"
)

// The errors of a log.
var (
	ErrSyntax = errors.New("firmware event log is not well formed")
	ErrLimit  = errors.New("firmware event log is larger than allowed")
)

// Explained is what a log says of the registers that were quoted.
type Explained struct {
	Rows       []attest.PCRRow // one for each register, in the order given: Index, Meaning, Value, Events, Explained
	Events     int
	SecureBoot bool   // was on, by events whose digest covers it
	Secure     bool   // the log says anything of Secure Boot
	Wrong      string // for a person: the first register that does not replay and why; "" when all with events do
}

// Explain replays log, crypto-agile or legacy, in bank and holds it against
// pcrs. An empty log gives rows without events. Errors wrap ErrSyntax or
// ErrLimit.
func Explain(raw []byte, bank attest.Bank, pcrs []attest.PCRValue) (*Explained, error) {
	x := &Explained{}
	for _, p := range pcrs {
		x.Rows = append(x.Rows, attest.PCRRow{Index: p.Index, Value: p.Value, Meaning: Meaning(p.Index)})
	}
	if len(raw) == 0 {
		return x, nil
	}
	l, err := parse(raw, uint16(bank))
	if err != nil {
		return nil, err
	}
	if l.legacy {
		return nil, fmt.Errorf("%w: a log of SHA-1 digests only, which explains nothing that was quoted", ErrSyntax)
	}
	ends, err := l.replay(bank)
	if err != nil {
		return nil, err
	}
	x.Events = len(l.events)
	for i := range x.Rows {
		l.explain(&x.Rows[i], ends, x)
	}
	x.Secure, x.SecureBoot = l.secureBoot()
	return x, nil
}

// Replay is the value of every register after the log, in bank; nil for those
// that have no event. Errors wrap ErrSyntax or ErrLimit.
func Replay(raw []byte, bank attest.Bank) (ends [24][]byte, err error) {
	l, err := parse(raw, uint16(bank))
	if err != nil {
		return ends, err
	}
	return l.replay(bank)
}

func newHash(bank attest.Bank) hash.Hash {
	if bank == attest.SHA384 {
		return sha512.New384()
	}
	return sha256.New()
}

// replay extends each register again. An event whose data is what was hashed
// is held against its digest too: otherwise its text would be anybody's.
func (l *log) replay(bank attest.Bank) (ends [24][]byte, err error) {
	h, n := newHash(bank), bank.Size()
	store := make([]byte, 24*n)
	var sum [maxDigest]byte
	for i, e := range l.events {
		if e.typ == evNoAction {
			continue // says something and extends nothing
		}
		if len(e.digest) != n {
			return ends, fmt.Errorf("%w: event %d has no digest of bank %04x", ErrSyntax, i+1, uint16(bank))
		}
		if hashesData(e.typ) {
			h.Reset()
			h.Write(e.data)
			if !bytes.Equal(h.Sum(sum[:0]), e.digest) && !odd(e) {
				return ends, fmt.Errorf("%w: event %d (%s): its data is not what was measured", ErrSyntax, i+1, typeName(e.typ))
			}
		}
		if ends[e.pcr] == nil {
			ends[e.pcr] = store[int(e.pcr)*n : int(e.pcr+1)*n : int(e.pcr+1)*n]
			l.reset(ends[e.pcr], e.pcr)
		}
		h.Reset()
		h.Write(ends[e.pcr])
		h.Write(e.digest)
		h.Sum(ends[e.pcr][:0])
	}
	return ends, nil
}

// odd reports whether e may measure something else than its data after all: a
// separator that tells of an error (its digest is of the value 1, section
// 10.4.1), and authorities, of which some firmware measures the certificate
// alone. What they show is then not covered.
func odd(e event) bool {
	return e.typ == evVariableAuth || e.typ == evSeparator && len(e.data) != 4
}

// reset is the value of a register before the first event.
func (l *log) reset(value []byte, pcr uint32) {
	if pcr >= 17 && pcr <= 22 {
		for i := range value {
			value[i] = 0xFF
		}
	}
	if pcr == 0 {
		value[len(value)-1] = byte(l.locality)
	}
}

func (l *log) explain(row *attest.PCRRow, ends [24][]byte, x *Explained) {
	end := ends[row.Index]
	if end == nil {
		return
	}
	h := newHash(attest.SHA256)
	if len(row.Value) == attest.SHA384.Size() {
		h = newHash(attest.SHA384)
	}
	for _, e := range l.events {
		if e.pcr != uint32(row.Index) || e.typ == evNoAction {
			continue
		}
		text, covered := describe(e)
		if covered = covered && hashesData(e.typ); covered {
			h.Reset()
			h.Write(e.data)
			covered = bytes.Equal(h.Sum(nil), e.digest)
		}
		row.Events = append(row.Events, attest.PCREvent{Type: typeName(e.typ), Text: text, Digest: e.digest, Covered: covered})
	}
	row.Explained = bytes.Equal(end, row.Value)
	if row.Explained || x.Wrong != "" {
		return
	}
	x.Wrong = fmt.Sprintf("PCR %d: quoted %s, its %d events replay to %s", row.Index, attest.Short(row.Value), len(row.Events), attest.Short(end))
	if bytes.Count(row.Value, []byte{0}) == len(row.Value) {
		x.Wrong = fmt.Sprintf("PCR %d: the log has %d events, and the register of this bank was never extended", row.Index, len(row.Events))
	}
}

// FirstStray is the first event of a register that is none of the accepted
// digests, and its text; -1 when all are.
func FirstStray(row attest.PCRRow, accepted [][]byte) (i int, text string) {
	for i, e := range row.Events {
		ok := false
		for _, a := range accepted {
			ok = ok || bytes.Equal(a, e.Digest)
		}
		if !ok {
			return i, fmt.Sprintf("event %d, %s %s, is in no accepted list", i, e.Type, e.Text)
		}
	}
	return -1, ""
}

// Diff says in which register two boots differ, and names the first event at
// which they part.
func Diff(before, after []attest.PCRRow) (out []string) {
	for _, n := range after {
		for _, o := range before {
			if o.Index != n.Index || bytes.Equal(o.Value, n.Value) {
				continue
			}
			out = append(out, fmt.Sprintf("PCR %d (%s): %s", n.Index, n.Meaning, part(o.Events, n.Events)))
		}
	}
	return out
}

// part names the first event at which two lists part.
func part(o, n []attest.PCREvent) string {
	i := 0
	for i < len(o) && i < len(n) && bytes.Equal(o[i].Digest, n[i].Digest) {
		i++
	}
	switch {
	case len(o)+len(n) == 0:
		return "changed, and no log explains it"
	case i == len(o) && i == len(n):
		return "changed after the same events"
	case i == len(o):
		return fmt.Sprintf("one more event: %s %s", n[i].Type, n[i].Text)
	case i == len(n):
		return fmt.Sprintf("event gone: %s %s", o[i].Type, o[i].Text)
	case i+1 < len(n) && bytes.Equal(o[i].Digest, n[i+1].Digest):
		return fmt.Sprintf("event inserted: %s %s", n[i].Type, n[i].Text)
	case i+1 < len(o) && bytes.Equal(o[i+1].Digest, n[i].Digest):
		return fmt.Sprintf("event removed: %s %s", o[i].Type, o[i].Text)
	}
	if n[i].Type == o[i].Type && n[i].Text == o[i].Text { // the text is not what was measured
		return fmt.Sprintf("event %d: %s %s, with another digest: %s, was %s", i, n[i].Type, n[i].Text, attest.Short(n[i].Digest), attest.Short(o[i].Digest))
	}
	return fmt.Sprintf("event %d: %s %s, was %s %s", i, n[i].Type, n[i].Text, o[i].Type, o[i].Text)
}
