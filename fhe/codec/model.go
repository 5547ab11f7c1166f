package codec

import (
	"encoding/binary"
	"fmt"

	"cipherdeck/fhe"
)

// Model is a linear model as integers modulo every prime. It is encoded once,
// by its owner, so that all nodes compute with the very same integers.
type Model struct {
	Weights [][]uint64 // [feature][limb]: round(w·2^(LogScale-Scales[feature])) mod q
	Bias    []uint64   // [limb]: the bias at scale 2^LogScale
}

// ModelSize is the exact bytes of an encoded model.
func (f *Format) ModelSize() int { return HeaderSize + 8*len(f.widths)*(f.Core.Features+1) }

// EncodeModel writes a model; errors wrap fhe.ErrMalformed when its shape or a
// residue does not fit the plan.
func (f *Format) EncodeModel(m *Model) ([]byte, error) {
	if len(m.Weights) != f.Core.Features {
		return nil, fmt.Errorf("%w: model has %d weights, want %d", fhe.ErrMalformed, len(m.Weights), f.Core.Features)
	}
	b := f.header(KindModel, len(f.widths)-1, f.Core.Features)
	for j, w := range append(m.Weights[:len(m.Weights):len(m.Weights)], m.Bias) {
		if len(w) != len(f.widths) {
			return nil, fmt.Errorf("%w: model: entry %d has %d residues, want %d", fhe.ErrMalformed, j, len(w), len(f.widths))
		}
		for i, q := range f.Core.Params.Q {
			if w[i] >= q {
				return nil, residue(j, i)
			}
			b = binary.BigEndian.AppendUint64(b, w[i])
		}
	}
	return b, nil
}

// DecodeModel reads what EncodeModel writes.
func (f *Format) DecodeModel(b []byte) (*Model, error) {
	body, err := f.open(b, KindModel, len(f.widths)-1, f.Core.Features, f.ModelSize())
	if err != nil {
		return nil, err
	}
	rows := make([][]uint64, f.Core.Features+1)
	for j := range rows {
		rows[j] = make([]uint64, len(f.widths))
		for i, q := range f.Core.Params.Q {
			rows[j][i] = binary.BigEndian.Uint64(body)
			body = body[8:]
			if rows[j][i] >= q {
				return nil, residue(j, i)
			}
		}
	}
	return &Model{Weights: rows[:f.Core.Features], Bias: rows[f.Core.Features]}, nil
}

func residue(j, i int) error {
	return fmt.Errorf("%w: model: entry %d, limb %d is not below its prime", fhe.ErrMalformed, j, i)
}
