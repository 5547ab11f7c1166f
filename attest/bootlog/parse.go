package bootlog

import (
	"fmt"

	"cipherdeck/attest/wire"
)

// Bounds of a log.
const (
	MaxBytes  = 512 << 10
	maxEvents = 4096
	maxBanks  = 8
	maxDigest = 64
)

// event is one entry of a log. It points into the log's bytes.
type event struct {
	pcr    uint32
	typ    uint32
	digest []byte // of the bank that was asked for; nil when the log has none
	data   []byte
}

// log is a parsed log: its events without the header.
type log struct {
	events   []event
	legacy   bool // SHA-1 only: it explains nothing in an accepted bank
	locality int  // of the start, from the StartupLocality event; 0 without one
}

// parse reads a log (TCG PC Client Platform Firmware Profile 1.06, section
// 10.2): a first event in the old form, and when it is the crypto-agile header
// all others in the new one. bank is a TPM algorithm.
func parse(raw []byte, bank uint16) (*log, error) {
	if len(raw) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrLimit, len(raw), MaxBytes)
	}
	r := &wire.Little{Left: raw}
	first := readOld(r)
	if r.Bad {
		return nil, fmt.Errorf("%w: event 0 ends too early", ErrSyntax)
	}
	l := &log{}
	next := func() event { return readOld(r) }
	if isHeader(first) {
		if first.pcr != 0 {
			return nil, fmt.Errorf("%w: the header is on PCR %d, want 0", ErrSyntax, first.pcr)
		}
		sizes, err := header(first.data)
		if err != nil {
			return nil, err
		}
		next = func() event { return readAgile(r, sizes, bank) }
	} else {
		l.legacy = true
		l.events = append(l.events, first)
	}
	l.events = append(make([]event, 0, min(maxEvents, len(raw)/40)), l.events...)
	for len(r.Left) > 0 {
		e := next()
		n := len(l.events)
		switch {
		case r.Bad:
			return nil, fmt.Errorf("%w: event %d ends too early or has a bank that the header has not", ErrSyntax, n+1)
		case e.pcr >= 24:
			return nil, fmt.Errorf("%w: event %d is on PCR %d", ErrSyntax, n+1, e.pcr)
		case n >= maxEvents:
			return nil, fmt.Errorf("%w: more than %d events", ErrLimit, maxEvents)
		}
		l.events = append(l.events, e)
	}
	return l, l.order()
}

// readOld reads a TCG_PCR_EVENT.
func readOld(r *wire.Little) event {
	e := event{pcr: r.U32(), typ: r.U32()}
	r.Take(20)
	e.data = r.Sized(MaxBytes)
	return e
}

// size is how long the digests of one bank are.
type size struct {
	alg uint16
	n   int
}

// readAgile reads a TCG_PCR_EVENT2.
func readAgile(r *wire.Little, sizes []size, bank uint16) event {
	e := event{pcr: r.U32(), typ: r.U32()}
	n := r.U32()
	if n > maxBanks {
		r.Bad = true
	}
	for range n {
		if r.Bad {
			break
		}
		alg, known := r.U16(), false
		for _, s := range sizes {
			if s.alg != alg {
				continue
			}
			known = true
			if d := r.Take(s.n); alg == bank {
				if e.digest != nil {
					r.Bad = true // a bank twice
				}
				e.digest = d
			}
		}
		r.Bad = r.Bad || !known
	}
	e.data = r.Sized(MaxBytes)
	return e
}

const signature = "Spec ID Event03\x00"

func isHeader(e event) bool {
	return e.typ == evNoAction && len(e.data) >= len(signature) && string(e.data[:len(signature)]) == signature
}

// header reads the TCG_EfiSpecIDEvent.
func header(data []byte) ([]size, error) {
	r := &wire.Little{Left: data[len(signature):]}
	r.Take(8) // platform class, version and errata, size of a UINTN
	n := r.U32()
	if n == 0 || n > maxBanks {
		return nil, fmt.Errorf("%w: header with %d banks, want 1 to %d", ErrSyntax, n, maxBanks)
	}
	var out []size
	for range n {
		s := size{r.U16(), int(r.U16())}
		want := digestSize(s.alg)
		if s.n == 0 || s.n > maxDigest || want != 0 && s.n != want {
			return nil, fmt.Errorf("%w: header says that bank %04x has digests of %d bytes", ErrSyntax, s.alg, s.n)
		}
		for _, o := range out {
			if o.alg == s.alg {
				return nil, fmt.Errorf("%w: header names bank %04x twice", ErrSyntax, s.alg)
			}
		}
		out = append(out, s)
	}
	r.Take(r.U8())
	if r.Bad || len(r.Left) != 0 {
		return nil, fmt.Errorf("%w: header has another length than it says", ErrSyntax)
	}
	return out, nil
}

func digestSize(alg uint16) int {
	switch alg {
	case 0x04:
		return 20
	case 0x0B, 0x12: // SHA-256, SM3
		return 32
	case 0x0C:
		return 48
	case 0x0D:
		return 64
	}
	return 0
}

// order checks what the profile says of the sequence of events: one separator
// in each of PCR 0 to 7, and a StartupLocality before anything in PCR 0.
func (l *log) order() error {
	var separators [8]int
	extended := false
	for i, e := range l.events {
		if e.typ == evSeparator && e.pcr < 8 {
			if separators[e.pcr]++; separators[e.pcr] > 1 {
				return fmt.Errorf("%w: event %d: a second separator in PCR %d", ErrSyntax, i+1, e.pcr)
			}
		}
		if e.typ == evNoAction {
			if n, ok := locality(e.data); ok {
				if e.pcr != 0 || extended || l.locality != 0 || n != 0 && n != 3 && n != 4 {
					return fmt.Errorf("%w: event %d: start at locality %d where none can be", ErrSyntax, i+1, n)
				}
				l.locality = n
			}
			continue
		}
		extended = extended || e.pcr == 0
	}
	return nil
}

// locality reads a StartupLocality event (section 10.4.5.3).
func locality(data []byte) (int, bool) {
	const head = "StartupLocality\x00"
	if len(data) != len(head)+1 || string(data[:len(head)]) != head {
		return 0, false
	}
	return int(data[len(head)]), true
}
