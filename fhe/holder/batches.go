package holder

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/fhe"
	"cipherdeck/fhe/parallel"
)

// Run says how many batches are worked on at once, and where reports go.
type Run struct {
	Workers  int // default 1
	Progress progress.Sink
}

func (r Run) sink() progress.Sink {
	if r.Progress == nil {
		return progress.Discard{}
	}
	return r.Progress
}

// EncryptAll splits rows into batches with canaries known rows each, freshly
// drawn from the clear model aff, and hands every batch to put. It returns, in
// order, the names that put gave and the canary sets. All rows are checked
// before the first is encrypted.
func (h *Holder) EncryptAll(ctx context.Context, rows [][]float64, aff fhe.Affine, canaries int, r Run,
	put func(ctx context.Context, batch []byte) (id.ID, error)) ([]id.ID, []*CanarySet, error) {
	each := h.format.Core.BatchRows() - canaries
	if canaries < 1 || each < 1 || len(rows) == 0 {
		return nil, nil, fmt.Errorf("%w: %d rows, %d canaries in a batch of %d", fhe.ErrRange, len(rows), canaries, h.format.Core.BatchRows())
	}
	if err := h.checkRows(rows); err != nil {
		return nil, nil, err
	}
	n := (len(rows) + each - 1) / each
	names, sets := make([]id.ID, n), make([]*CanarySet, n)
	r.sink().Phase("encrypt", int64(len(rows)), progress.Rows)
	err := parallel.Each(ctx, r.Workers, n, func(ctx context.Context, i int) error {
		known, err := Draw(aff, h.box, canaries)
		if err != nil {
			return err
		}
		part := rows[i*each : min((i+1)*each, len(rows))]
		batch, set, err := h.Encrypt(part, known)
		if err != nil {
			return err
		}
		sets[i] = set
		names[i], err = put(ctx, batch)
		r.sink().Add(int64(len(part)))
		return err
	})
	return names, sets, err
}

// DecryptAll opens the results of EncryptAll's batches, in the same order, and
// returns all logits. One bad canary refuses everything, without any detail, and
// only after every batch was fetched and checked: whoever serves the batches
// sees the same downloads whether he is believed or not. Only an error of get,
// which is no news to him, stops sooner. When all canaries are right it notes
// "canaries" with their count, their worst error and the bound.
func (h *Holder) DecryptAll(ctx context.Context, names []id.ID, sets []*CanarySet, r Run,
	get func(ctx context.Context, name id.ID) ([]byte, error)) ([]float64, error) {
	if len(names) != len(sets) {
		return nil, fmt.Errorf("%w: %d results for %d batches", fhe.ErrMalformed, len(names), len(sets))
	}
	total, canaries := 0, 0
	for _, s := range sets {
		if err := s.check(h.format.Core.BatchRows()); err != nil {
			return nil, err
		}
		total += s.Rows
		canaries += len(s.At)
	}
	parts, worst, bad := make([][]float64, len(names)), make([]float64, len(names)), make([]error, len(names))
	r.sink().Phase("decrypt", int64(total), progress.Rows)
	err := parallel.Each(ctx, r.Workers, len(names), func(ctx context.Context, i int) error {
		raw, err := get(ctx, names[i])
		if err != nil {
			return err
		}
		parts[i], worst[i], bad[i] = h.decrypt(raw, sets[i])
		r.sink().Add(int64(sets[i].Rows))
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := refusal(bad); err != nil {
		return nil, err
	}
	r.sink().Note("canaries", "count", canaries, "worst", slices.Max(append(worst, 0)), "bound", h.bound)
	out := make([]float64, 0, total)
	for _, p := range parts {
		out = append(out, p...)
	}
	return out, nil
}

// refusal is why the results are refused: a canary before bytes that do not
// decode, which say nothing of the rows.
func refusal(bad []error) error {
	var first error
	for _, err := range bad {
		if errors.Is(err, fhe.ErrCanary) {
			return fhe.ErrCanary
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// ResultSize is the exact bytes of a result of this plan.
func (h *Holder) ResultSize() int64 { return int64(h.format.ResultSize()) }
