package tlog

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// PromiseType is the document type of a signed Promise.
const PromiseType = "journal/promise"

// MaxPromise bounds the signed form in bytes.
const MaxPromise = MaxLeaf + 512

// Promise is a log's word that a leaf will be under its checkpoint soon. With
// it a client can show that a log which left the leaf out had accepted it.
type Promise struct {
	V      uint8  `cbor:"1,keyasint"`
	Origin string `cbor:"2,keyasint"`
	Leaf   []byte `cbor:"3,keyasint"` // as it will be in the log
	Within int64  `cbor:"4,keyasint"` // milliseconds after the leaf's time
}

// Promised is a verified promise.
type Promised struct {
	Leaf Leaf
	Hash id.ID // of the leaf
	Due  time.Time
	Raw  []byte
}

// Promise signs a promise with the log's key.
func (s *Signer) Promise(leaf []byte, within time.Duration) ([]byte, error) {
	return doc.Sign(PromiseType, Promise{V: 1, Origin: s.Key.Name, Leaf: leaf, Within: within.Milliseconds()}, s.private)
}

// OpenPromise verifies a promise of log. Errors wrap ErrPromise.
func OpenPromise(raw []byte, log Key) (p Promised, err error) {
	s, _, err := doc.Open(raw, PromiseType, MaxPromise, doc.Keys(ed25519.PublicKey(log.Public)))
	if err != nil {
		return p, fmt.Errorf("%w: %w", ErrPromise, err)
	}
	var body Promise
	if err := doc.Decode(s.Body, &body); err != nil {
		return p, fmt.Errorf("%w: %w", ErrPromise, err)
	}
	l, err := OpenLeaf(body.Leaf)
	if err != nil {
		return p, fmt.Errorf("%w: %w", ErrPromise, err)
	}
	const most = int64(24 * time.Hour / time.Millisecond)
	if body.V != 1 || body.Origin != log.Name || body.Within < 0 || body.Within > most {
		return p, fmt.Errorf("%w: version %d of %q within %d ms", ErrPromise, body.V, clip(body.Origin), body.Within)
	}
	return Promised{Leaf: l, Hash: LeafHash(body.Leaf), Due: time.UnixMilli(l.Time + body.Within), Raw: raw}, nil
}
