package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cipherdeck/crypto/tlog"
)

// ErrStranger is wrapped when a cosignature is of no witness that this log was
// told of.
var ErrStranger = errors.New("the journal counts no such witness")

// visits are the cosignatures of witnesses that came by themselves, since no
// address leads to them: clients and nodes. They are for one checkpoint only,
// and in memory only; who made one comes again.
type visits struct {
	text string // of the checkpoint
	line map[string][]byte
}

// Cosigned takes a witness's signature line on the newest checkpoint. Errors
// wrap ErrStranger, or tlog.ErrCosignature when it is wrong or of an earlier
// checkpoint.
func (l *Log) Cosigned(ctx context.Context, line []byte) error {
	name, err := tlog.SignerOf(line)
	if err != nil {
		return err
	}
	c, err := l.Checkpoint(ctx)
	if err != nil {
		return err
	}
	err = ErrStranger
	for _, w := range l.opt.Witnesses {
		if w.Key.Name != name {
			continue
		}
		at, bad := tlog.OpenCosignature(c, line, w.Key)
		switch {
		case bad != nil:
			err = bad
		case at.After(l.opt.Now().Add(tlog.Skew)):
			err = fmt.Errorf("%w: it is of %s, in the future", tlog.ErrCosignature, at)
		default:
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.visits.text != c.Text() {
				l.visits = visits{c.Text(), map[string][]byte{}}
			}
			l.visits.line[w.Key.String()] = slices.Clone(line)
			return nil
		}
	}
	return err
}

// attach adds to a checkpoint the cosignatures of those who came by themselves.
func (l *Log) attach(c tlog.Checkpoint) tlog.Checkpoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.visits.text != c.Text() {
		return c
	}
	raw := slices.Clone(c.Raw)
	for _, w := range l.opt.Witnesses { // in the order of the configuration
		raw = append(raw, l.visits.line[w.Key.String()]...)
	}
	c.Raw = raw
	return c
}
