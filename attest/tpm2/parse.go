package tpm2

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"fmt"
	"math/big"

	"cipherdeck/attest/wire"
)

// Quoted is a parsed TPMS_ATTEST of type quote (Part 2, 10.12.12). Byte slices
// point into the parsed bytes.
type Quoted struct {
	QualifiedSigner []byte // name of the AK in its hierarchy
	Bind            []byte // qualifying data
	Clock           uint64 // milliseconds
	ResetCount      uint32
	RestartCount    uint32
	Safe            bool // the clock did not go back
	Firmware        uint64
	Select          [3]byte  // PCRs of the SHA-256 bank, bit i of byte i/8
	Digest          [32]byte // of the selected PCRs
}

// AttestationKey is a parsed TPMT_PUBLIC with exactly the attributes of an AK.
type AttestationKey struct {
	Key  *ecdsa.PublicKey
	Name []byte // recomputed, never taken from outside
}

// Signature is a parsed TPMT_SIGNATURE: ECDSA with SHA-256.
type Signature struct{ R, S *big.Int }

// akAttributes is the one set of attributes accepted of an AK: made by the
// TPM, bound to it, and signing only what the TPM itself wrote.
const akAttributes = wire.AttrFixedTPM | wire.AttrFixedParent | wire.AttrSensitiveDataOrigin |
	wire.AttrUserWithAuth | wire.AttrNoDA | wire.AttrRestricted | wire.AttrSign

// ParseQuote reads a TPMS_ATTEST of exactly one SHA-256 bank. Errors wrap
// ErrMagic, ErrKind, ErrSelection or ErrSyntax.
func ParseQuote(b []byte) (Quoted, error) {
	var q Quoted
	r := wire.NewReader(b)
	magic, kind := r.U32(), r.U16()
	q.QualifiedSigner = r.Sized(2 + sha256.Size)
	q.Bind = r.Sized(64)
	q.Clock, q.ResetCount, q.RestartCount = r.U64(), r.U32(), r.U32()
	safe := r.U8()
	q.Safe = safe == 1
	q.Firmware = r.U64()
	switch {
	case r.Err() != nil:
		return q, fmt.Errorf("%w: quote: %w", ErrSyntax, r.Err())
	case magic != wire.Magic:
		return q, fmt.Errorf("%w: magic %08x, want %08x", ErrMagic, magic, uint32(wire.Magic))
	case kind != wire.TagQuote:
		return q, fmt.Errorf("%w: type %04x, want %04x", ErrKind, kind, wire.TagQuote)
	case safe > 1:
		return q, fmt.Errorf("%w: quote: safe is %d, want 0 or 1", ErrSyntax, safe)
	}
	return q, q.parseSelection(r)
}

func (q *Quoted) parseSelection(r *wire.Reader) error {
	banks, alg, size := r.U32(), r.U16(), r.U8()
	if r.Err() == nil && (banks != 1 || alg != wire.AlgSHA256 || size != 3) {
		return fmt.Errorf("%w: %d banks, first %04x of %d bytes; want 1, %04x of 3", ErrSelection, banks, alg, size, wire.AlgSHA256)
	}
	copy(q.Select[:], r.Take(3))
	digest := r.Sized(sha256.Size)
	copy(q.Digest[:], digest)
	if err := r.End(); err != nil {
		return fmt.Errorf("%w: quote: %w", ErrSyntax, err)
	}
	if len(digest) != sha256.Size {
		return fmt.Errorf("%w: PCR digest of %d bytes, want %d", ErrSyntax, len(digest), sha256.Size)
	}
	return nil
}

// ParseSignature reads a TPMT_SIGNATURE. Errors wrap ErrAlgorithm or ErrSyntax.
func ParseSignature(b []byte) (Signature, error) {
	r := wire.NewReader(b)
	alg, hash := r.U16(), r.U16()
	if r.Err() == nil && (alg != wire.AlgECDSA || hash != wire.AlgSHA256) {
		return Signature{}, fmt.Errorf("%w: signature %04x with hash %04x, want %04x with %04x",
			ErrAlgorithm, alg, hash, wire.AlgECDSA, wire.AlgSHA256)
	}
	rr, err1 := scalar(r)
	ss, err2 := scalar(r)
	for _, err := range []error{r.End(), err1, err2} {
		if err != nil {
			return Signature{}, fmt.Errorf("%w: signature: %w", ErrSyntax, err)
		}
	}
	s := Signature{new(big.Int).SetBytes(rr), new(big.Int).SetBytes(ss)}
	if s.R.Sign() == 0 || s.S.Sign() == 0 {
		return Signature{}, fmt.Errorf("%w: signature: r or s is zero", ErrSyntax)
	}
	return s, nil
}

// scalar reads a number of P-256: 32 bytes, or fewer without leading zeros,
// since some TPMs trim. Nothing else, so that there is one encoding.
func scalar(r *wire.Reader) ([]byte, error) {
	b := r.Sized(32)
	if len(b) < 32 && (len(b) == 0 || b[0] == 0) {
		return nil, fmt.Errorf("number of %d bytes is not canonical", len(b))
	}
	return b, nil
}

// ParseAK reads the TPMT_PUBLIC of an AK. Errors wrap ErrAK, ErrAlgorithm or
// ErrSyntax.
func ParseAK(b []byte) (AttestationKey, error) {
	var ak AttestationKey
	r := wire.NewReader(b)
	typ, hash, attrs := r.U16(), r.U16(), r.U32()
	policy := r.Sized(sha256.Size)
	sym, scheme := r.U16(), r.U16()
	if r.Err() == nil && (typ != wire.AlgECC || hash != wire.AlgSHA256) {
		return ak, fmt.Errorf("%w: AK type %04x named with %04x, want %04x with %04x", ErrAlgorithm, typ, hash, wire.AlgECC, wire.AlgSHA256)
	}
	if r.Err() == nil && (attrs != akAttributes || len(policy) != 0) {
		return ak, fmt.Errorf("%w: attributes %08x, want %08x and no policy", ErrAK, attrs, uint32(akAttributes))
	}
	schemeHash, curve, kdf := r.U16(), r.U16(), r.U16()
	x, err1 := scalar(r)
	y, err2 := scalar(r)
	for _, err := range []error{r.Err(), err1, err2, r.End()} {
		if err != nil {
			return ak, fmt.Errorf("%w: AK: %w", ErrSyntax, err)
		}
	}
	if sym != wire.AlgNull || scheme != wire.AlgECDSA || schemeHash != wire.AlgSHA256 || curve != wire.CurveP256 || kdf != wire.AlgNull {
		return ak, fmt.Errorf("%w: AK must be ECDSA on P-256 with SHA-256", ErrAlgorithm)
	}
	point := make([]byte, 65)
	point[0] = 4
	copy(point[33-len(x):], x)
	copy(point[65-len(y):], y)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return ak, fmt.Errorf("%w: AK: point is not on P-256", ErrSyntax)
	}
	return AttestationKey{Key: key, Name: name(b)}, nil
}

// name is a TPM name: SHA-256 behind its algorithm (Part 1, section 16).
func name(b []byte) []byte {
	sum := sha256.Sum256(b)
	return append(wire.U16s(nil, wire.AlgSHA256), sum[:]...)
}

// qualifiedName is the name of a primary key of the endorsement hierarchy.
func qualifiedName(ak []byte) []byte {
	return name(append(wire.U32s(nil, wire.HandleEndorsement), ak...))
}

// Select is the selection bit field of pcrs, each below 24.
func Select(pcrs []uint8) (bits [3]byte) {
	for _, p := range pcrs {
		if p < 24 {
			bits[p/8] |= 1 << (p % 8)
		}
	}
	return bits
}
