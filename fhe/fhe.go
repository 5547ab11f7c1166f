// Package fhe holds the shapes of encrypted inference: the parameters of the
// CKKS scheme, the plan of a run and the model a plan is made for. It has no
// arithmetic and does not know Lattigo; packages below it do the work:
//
//	onnx → graph → plan → (holder: keys, encrypt, decrypt) ⇄ (circuit: evaluate)
//
// The holder has the secret key and stays on the analyst's machine; the
// circuit has public material only and may run anywhere.
package fhe

import (
	"errors"

	"cipherdeck/crypto/id"
)

// Params are CKKS parameters with a uniform ternary secret.
type Params struct {
	LogN     int      `cbor:"1,keyasint" json:"log_n"`     // ring degree N = 2^LogN; N/2 slots
	Q        []uint64 `cbor:"2,keyasint" json:"q"`         // ciphertext primes, level 0 first
	P        []uint64 `cbor:"3,keyasint" json:"p"`         // special primes; none without evaluation keys
	LogScale int      `cbor:"4,keyasint" json:"log_scale"` // a result, before it is rescaled, is the logit times 2^LogScale
}

// Slots is how many values the canonical embedding of CKKS carries. A linear
// model does not need the embedding and carries twice as many rows: ask
// Core.BatchRows.
func (p Params) Slots() int { return 1 << (p.LogN - 1) }

// N is the ring degree.
func (p Params) N() int { return 1 << p.LogN }

// Affine is a linear model: logit = Σ Weights[j]·x[j] + Bias, in the units of
// the raw features (any normalisation is folded in).
type Affine struct {
	Weights []float64 `json:"weights"`
	Bias    float64   `json:"bias"`
}

// Final is the last, non-linear step, always applied by the client in clear.
type Final string

// The final steps known.
const (
	FinalNone    Final = "none"
	FinalSigmoid Final = "sigmoid"
)

// Plan is everything that is decided, and everything that a person should
// know, before a run: it is shown first and executed exactly.
// Its canonical form (deterministic CBOR of Core) is what the node receives.
type Plan struct {
	Core     Core     `json:"core"`
	Forecast Forecast `json:"forecast"`
	Box      []Range  `json:"box"` // values each feature may take; stays with the holder
}

// Range is the values that a feature may take, both ends included. Every row
// inside the box of ranges keeps the promise Forecast.MaxError.
type Range struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// LayoutFeatureMajor is the layout of a linear model: one ciphertext a
// feature, one row a coefficient of the plaintext polynomial. All operations
// are by scalars, which act on coefficients as they act on slots, so rows need
// no embedding: twice as many fit and no floating-point transform is involved.
const LayoutFeatureMajor = "feature-major"

// Core is the part of a plan that both sides execute.
type Core struct {
	V        uint8  `cbor:"1,keyasint" json:"v"`
	Layout   string `cbor:"2,keyasint" json:"layout"` // LayoutFeatureMajor
	Params   Params `cbor:"3,keyasint" json:"params"`
	Features int    `cbor:"4,keyasint" json:"features"`
	Levels   int    `cbor:"5,keyasint" json:"levels"` // multiplicative levels used
	Model    id.ID  `cbor:"6,keyasint" json:"model"`  // digest of the encoded model
	Final    Final  `cbor:"7,keyasint" json:"final"`
	Scales   []int8 `cbor:"8,keyasint" json:"scales"` // feature j is encrypted as round(x·2^Scales[j])
}

// BatchRows is how many rows, canaries included, one batch carries.
func (c Core) BatchRows() int { return c.Params.N() }

// Forecast is what a plan promises to cost and to reach.
type Forecast struct {
	Rows         int     `json:"rows"`          // data rows, canaries not counted
	Canaries     int     `json:"canaries"`      // in every batch
	Batches      int     `json:"batches"`       // of Core.BatchRows rows
	LogQP        float64 `json:"log_qp"`        // bits of the whole modulus
	LogQPBound   float64 `json:"log_qp_bound"`  // most that keeps 128 bits at this ring degree
	BoundSource  string  `json:"bound_source"`  // where that bound is published
	BytesUp      int64   `json:"bytes_up"`      // ciphertexts, model and plan
	BytesDown    int64   `json:"bytes_down"`    //
	KeyBytes     int64   `json:"key_bytes"`     // evaluation keys: 0 for a linear model
	Seconds      float64 `json:"seconds"`       // encrypt + evaluate + decrypt on this machine
	MaxError     float64 `json:"max_error"`     // of a logit, absolute: a bound used by the canaries
	ClearMinimum float64 `json:"clear_minimum"` // of the logits on the calibration rows
	ClearMaximum float64 `json:"clear_maximum"` //
}

// The errors that callers may test for.
var (
	ErrUnsupported = errors.New("model cannot be computed blind")           // names the operator and node
	ErrInsecure    = errors.New("parameters are below 128-bit security")    // see Params
	ErrMalformed   = errors.New("bytes do not decode")                      // names kind and field
	ErrCanary      = errors.New("a canary came back wrong: result refused") // carries no secret
	ErrRange       = errors.New("value is outside what the plan allows")    // names row and column
)
