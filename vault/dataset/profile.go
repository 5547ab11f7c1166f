package dataset

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"cipherdeck/crypto/doc"
)

// ErrProfile is wrapped by DecodeProfile.
var ErrProfile = errors.New("not a dataset profile")

// MaxProfile is the most bytes of an encoded profile: it must fit into the
// header of a container beside a thousand recipients.
const MaxProfile = 256 << 10

// SampleRows is how many rows a profile keeps.
const SampleRows = 200

const (
	maxSampleColumns = 512
	maxSampleCell    = 120 // bytes
	profileVersion   = 1
)

// Profile is what is known about a table without opening it again. It contains
// values of the table and is as secret as the table.
type Profile struct {
	Version uint8           `cbor:"1,keyasint"` // 1
	Format  Format          `cbor:"2,keyasint"`
	Rows    int64           `cbor:"3,keyasint"`
	Columns []ColumnProfile `cbor:"4,keyasint"`
	Sample  [][]string      `cbor:"5,keyasint"` // rows in no order; cells may be cut short
	Seed    uint64          `cbor:"6,keyasint"` // of the choice of the sample
	Omitted int64           `cbor:"7,keyasint"` // columns that did not fit
}

// ColumnProfile describes one column.
type ColumnProfile struct {
	Name      string `cbor:"1,keyasint"`
	Type      Type   `cbor:"2,keyasint"`
	Nulls     int64  `cbor:"3,keyasint"`
	Distinct  int64  `cbor:"4,keyasint"`           // estimate, standard error 1.6 %
	Min       string `cbor:"5,keyasint,omitempty"` // of numbers and dates (ISO 8601)
	Max       string `cbor:"6,keyasint,omitempty"`
	Shortest  int64  `cbor:"7,keyasint"` // bytes of the cells that are not null
	Longest   int64  `cbor:"8,keyasint"`
	Kind      Kind   `cbor:"9,keyasint,omitempty"`  // what it seems to hold
	Sensitive bool   `cbor:"10,keyasint"`           // hidden in a preview until revealed
	Note      string `cbor:"11,keyasint,omitempty"` // why its cells were not read
}

// Encode writes p in deterministic CBOR, at most MaxProfile bytes: a sample and
// then columns that do not fit are left out of p, which says so in Omitted.
func (p *Profile) Encode() ([]byte, error) {
	for {
		b, err := doc.Encode(p)
		if err != nil || len(b) <= MaxProfile {
			return b, err
		}
		if n := len(p.Sample); n > 0 {
			p.Sample = p.Sample[:n/2]
			continue
		}
		n := len(p.Columns) / 2
		p.Omitted += int64(len(p.Columns) - n)
		p.Columns = p.Columns[:n]
	}
}

// DecodeProfile reads what Encode wrote. Errors wrap ErrProfile.
func DecodeProfile(b []byte) (*Profile, error) {
	if len(b) > MaxProfile {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrProfile, len(b), MaxProfile)
	}
	p := new(Profile)
	if err := doc.Decode(b, p); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProfile, err)
	}
	return p, p.check()
}

func (p *Profile) check() error {
	switch {
	case p.Version != profileVersion:
		return fmt.Errorf("%w: version %d, want %d", ErrProfile, p.Version, profileVersion)
	case p.Rows < 0 || p.Omitted < 0 || len(p.Columns) > MaxColumns || len(p.Sample) > SampleRows:
		return fmt.Errorf("%w: rows, columns or sample out of range", ErrProfile)
	}
	for i, c := range p.Columns {
		if c.Name == "" || len(c.Name) > MaxName || c.Nulls < 0 || c.Nulls > p.Rows || c.Distinct < 0 {
			return fmt.Errorf("%w: column %d out of range", ErrProfile, i+1)
		}
	}
	for i, row := range p.Sample {
		if len(row) > len(p.Columns) {
			return fmt.Errorf("%w: sample row %d has %d cells, there are %d columns", ErrProfile, i+1, len(row), len(p.Columns))
		}
	}
	return nil
}

// clip copies a cell into the sample, whole characters only.
func clip(b []byte) string {
	if len(b) <= maxSampleCell {
		return string(b)
	}
	n := maxSampleCell
	for n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return string(b[:n]) + "…"
}
