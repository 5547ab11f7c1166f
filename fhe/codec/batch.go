package codec

import (
	"fmt"

	"cipherdeck/fhe"
	"cipherdeck/fhe/params"
)

// LimbSize is the bytes of limb i of one polynomial.
func (f *Format) LimbSize(i int) int { return f.Core.Params.N() / 8 * f.widths[i] }

func (f *Format) polySize() (n int) {
	for i := range f.widths {
		n += f.LimbSize(i)
	}
	return n
}

func (f *Format) seededSize() int { return SeedSize + f.polySize() }

// BatchSize is the exact bytes of a batch, at most params.MaxBatch.
func (f *Format) BatchSize() int { return params.BatchSize(f.Core.Params, f.Core.Features) }

// NewBatch makes a batch to be filled by PutSeeded.
func (f *Format) NewBatch() []byte {
	b := make([]byte, f.BatchSize())
	copy(b, f.header(KindBatch, len(f.widths)-1, f.Core.Features))
	return b
}

// PutSeeded writes the ciphertext of feature j: the seed of c1 and the limbs
// of c0 in the NTT domain. Different features may be put at the same time.
func (f *Format) PutSeeded(batch []byte, j int, seed *[SeedSize]byte, c0 [][]uint64) {
	at := batch[HeaderSize+j*f.seededSize():]
	at = at[copy(at, seed[:]):]
	for i, limb := range c0 {
		n := f.LimbSize(i)
		pack(at[:n], limb, f.widths[i])
		at = at[n:]
	}
}

// Batch is a checked batch; its ciphertexts are decoded one by one.
type Batch struct {
	f    *Format
	body []byte
}

// OpenBatch checks the length and header of a batch. It keeps b.
func (f *Format) OpenBatch(b []byte) (Batch, error) {
	body, err := f.open(b, KindBatch, len(f.widths)-1, f.Core.Features, f.BatchSize())
	return Batch{f, body}, err
}

// Seeded decodes the ciphertext of feature j into c0 and expands c1: limbs of
// N coefficients in the NTT domain.
func (b Batch) Seeded(j int, c0, c1 [][]uint64) error {
	at := b.body[j*b.f.seededSize():]
	seed := (*[SeedSize]byte)(at)
	at = at[SeedSize:]
	for i, q := range b.f.Core.Params.Q {
		n := b.f.LimbSize(i)
		if bad := unpack(c0[i], at[:n], b.f.widths[i], q); bad >= 0 {
			return fmt.Errorf("%w: batch: ciphertext %d, limb %d, coefficient %d is not below its prime", fhe.ErrMalformed, j, i, bad)
		}
		Uniform(c1[i], seed, i, q)
		at = at[n:]
	}
	return nil
}

// ResultSize is the exact bytes of a result.
func (f *Format) ResultSize() int { return HeaderSize + 2*f.LimbSize(0) }

// EncodeResult writes a ciphertext at level 0: c0 then c1, one limb each, in
// the NTT domain.
func (f *Format) EncodeResult(c0, c1 []uint64) []byte {
	b := make([]byte, f.ResultSize())
	n := HeaderSize + f.LimbSize(0)
	copy(b, f.header(KindResult, 0, 1))
	pack(b[HeaderSize:n], c0, f.widths[0])
	pack(b[n:], c1, f.widths[0])
	return b
}

// DecodeResult reads what EncodeResult writes into c0 and c1.
func (f *Format) DecodeResult(b []byte, c0, c1 []uint64) error {
	body, err := f.open(b, KindResult, 0, 1, f.ResultSize())
	if err != nil {
		return err
	}
	n, q := f.LimbSize(0), f.Core.Params.Q[0]
	for i, c := range [][]uint64{c0, c1} {
		if bad := unpack(c, body[i*n:(i+1)*n], f.widths[0], q); bad >= 0 {
			return fmt.Errorf("%w: result: c%d, coefficient %d is not below its prime", fhe.ErrMalformed, i, bad)
		}
	}
	return nil
}
