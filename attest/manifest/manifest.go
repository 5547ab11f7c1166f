// Package manifest signs and opens golden manifests.
//
// A manifest says which measurements a release may show. It is a doc.Signed
// of type attest.ManifestType in deterministic CBOR, signed with Ed25519 by
// one or more people. Two questions are kept apart, because they have
// different cures: Open asks WHO signed, Valid asks whether it is for THIS
// product, not older than one seen before, and not out of date.
//
// Every signature on a manifest must be by a signer of the policy: an unknown
// extra signature is refused rather than ignored.
//
// Judge then holds what a machine showed against its baselines, Denied against
// its deny list, and Proven asks for its place in the journal.
package manifest

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"cipherdeck/attest"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// Version is the version of the format, attest.Manifest.V.
const Version = 2

// MaxBytes bounds a signed manifest.
const MaxBytes = 256 << 10

const (
	maxEvents    = 1024 // as many as a log may have
	maxBaselines = 16
)

// The errors of Open and Valid.
var (
	ErrSigners  = errors.New("manifest is not signed by enough accepted signers")
	ErrPolicy   = errors.New("policy accepts no signer, or asks for none or too many")
	ErrShape    = errors.New("manifest is not well formed")
	ErrProduct  = errors.New("manifest is for another product")
	ErrRollback = errors.New("manifest is older than one seen before")
	ErrEarly    = errors.New("manifest is not valid yet")
	ErrExpired  = errors.New("manifest has expired")
)

// Opened is a manifest whose signatures were accepted.
type Opened struct {
	attest.Manifest
	Signers []string // key ids, in the order of the signatures
	Digest  id.ID    // of the signed bytes
}

// Sign makes a signed manifest. Errors wrap ErrShape when m could never be
// accepted.
func Sign(m attest.Manifest, keys ...ed25519.PrivateKey) ([]byte, error) {
	if err := check(m); err != nil {
		return nil, err
	}
	signers := make([]crypto.Signer, len(keys))
	for i, k := range keys {
		if len(k) != ed25519.PrivateKeySize {
			return nil, fmt.Errorf("sign manifest: key %d has %d bytes, want %d", i, len(k), ed25519.PrivateKeySize)
		}
		signers[i] = k
	}
	return doc.Sign(attest.ManifestType, m, signers...)
}

// Open checks the encoding and the signatures of raw: at least p.Threshold
// different keys of p.Signers. It does not look at product, version or dates.
func Open(raw []byte, p attest.Policy) (Opened, error) {
	keys, err := accepted(p)
	if err != nil {
		return Opened{}, err
	}
	s, digest, err := doc.Open(raw, attest.ManifestType, MaxBytes, doc.Keys(keys...))
	switch {
	case errors.Is(err, doc.ErrEncoding), errors.Is(err, doc.ErrTooLarge), errors.Is(err, doc.ErrType):
		return Opened{}, fmt.Errorf("%w: %w", ErrShape, err)
	case err != nil:
		return Opened{}, fmt.Errorf("%w: %w", ErrSigners, err)
	}
	o := Opened{Digest: digest}
	seen := map[doc.KeyID]bool{}
	for _, g := range s.Sigs {
		if !seen[g.Key] {
			seen[g.Key] = true
			o.Signers = append(o.Signers, g.Key.String())
		}
	}
	if len(o.Signers) < p.Threshold {
		return Opened{}, fmt.Errorf("%w: %d signed, want %d", ErrSigners, len(o.Signers), p.Threshold)
	}
	if err := doc.Decode(s.Body, &o.Manifest); err != nil {
		return Opened{}, fmt.Errorf("%w: %w", ErrShape, err)
	}
	return o, check(o.Manifest)
}

// Peek reads a signed manifest without asking who signed it, for a machine that
// is to show it. Errors wrap ErrShape.
func Peek(raw []byte) (attest.Manifest, error) {
	var m attest.Manifest
	if len(raw) > MaxBytes {
		return m, fmt.Errorf("%w: %d bytes, limit %d", ErrShape, len(raw), MaxBytes)
	}
	var s doc.Signed
	if err := doc.Decode(raw, &s); err != nil {
		return m, fmt.Errorf("%w: %w", ErrShape, err)
	}
	if s.Type != attest.ManifestType {
		return m, fmt.Errorf("%w: a document of type %q", ErrShape, s.Type)
	}
	if err := doc.Decode(s.Body, &m); err != nil {
		return m, fmt.Errorf("%w: %w", ErrShape, err)
	}
	return m, check(m)
}

// Valid holds m against the product and version of p and the time now.
func Valid(m attest.Manifest, p attest.Policy, now time.Time) error {
	switch t := now.Unix(); {
	case m.Product != p.Product:
		return fmt.Errorf("%w: %q, want %q", ErrProduct, m.Product, p.Product)
	case m.Version < p.MinVersion:
		return fmt.Errorf("%w: version %d, want at least %d", ErrRollback, m.Version, p.MinVersion)
	case t < m.NotBefore:
		return fmt.Errorf("%w: from %s, now %s", ErrEarly, day(m.NotBefore), day(t))
	case t >= m.NotAfter:
		return fmt.Errorf("%w: until %s, now %s", ErrExpired, day(m.NotAfter), day(t))
	}
	return nil
}

func accepted(p attest.Policy) ([]crypto.PublicKey, error) {
	var keys []crypto.PublicKey
	for i, k := range p.Signers {
		if len(k) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("%w: signer %d has %d bytes, want %d", ErrPolicy, i, len(k), ed25519.PublicKeySize)
		}
		keys = append(keys, ed25519.PublicKey(k))
	}
	if p.Threshold < 1 || p.Threshold > len(keys) {
		return nil, fmt.Errorf("%w: %d of %d", ErrPolicy, p.Threshold, len(keys))
	}
	return keys, nil
}

// check refuses manifests that accept anything.
func check(m attest.Manifest) error {
	if m.V != Version {
		return fmt.Errorf("%w: format %d, want %d", ErrShape, m.V, Version)
	}
	if m.Product == "" || m.NotAfter <= m.NotBefore {
		return fmt.Errorf("%w: no product, or it ends before it begins", ErrShape)
	}
	if len(m.Baselines) == 0 || len(m.Baselines) > maxBaselines {
		return fmt.Errorf("%w: %d baselines, want 1 to %d", ErrShape, len(m.Baselines), maxBaselines)
	}
	for i, b := range m.Baselines {
		if err := checkBaseline(b); err != nil {
			return fmt.Errorf("%w, in baseline %d %q", err, i, b.Name)
		}
	}
	return nil
}

// checkBaseline wants events of a TPM machine or measurements of another kind,
// never both and never neither.
func checkBaseline(b attest.Baseline) error {
	if len(b.Reports) > 0 {
		if len(b.Events)+len(b.PCRs) > 0 || b.SecureBoot || len(b.Reports) > maxEvents {
			return fmt.Errorf("%w: a baseline of reports has nothing else", ErrShape)
		}
		for _, r := range b.Reports {
			if len(r) != 32 && len(r) != 48 {
				return fmt.Errorf("%w: a measurement of %d bytes, want 32 or 48", ErrShape, len(r))
			}
		}
		return nil
	}
	if len(b.Events) == 0 || len(b.Events) > maxEvents {
		return fmt.Errorf("%w: %d events, want 1 to %d", ErrShape, len(b.Events), maxEvents)
	}
	for i, g := range b.Events {
		if g.Bound == (len(g.Any) != 0) {
			return fmt.Errorf("%w: event %d %q must be bound or list digests, one of the two", ErrShape, i, g.Name)
		}
		if g.Bound && g.Name != "tls-key" && g.Name != "node-key" && g.Name != "job-key" && g.Name != "manifest" {
			return fmt.Errorf("%w: event %d %q cannot be bound", ErrShape, i, g.Name)
		}
	}
	seen := map[uint8]bool{}
	for _, r := range b.PCRs {
		if err := checkRule(r, seen); err != nil {
			return err
		}
	}
	return nil
}

// checkRule refuses rules that any machine would meet: without values, about
// registers that anybody can reset, or of another size than the bank.
func checkRule(r attest.PCRRule, seen map[uint8]bool) error {
	switch {
	case r.Index >= 24 || r.Bank.Size() == 0:
		return fmt.Errorf("%w: PCR %d of bank %04x", ErrShape, r.Index, uint16(r.Bank))
	case seen[r.Index]:
		return fmt.Errorf("%w: PCR %d twice", ErrShape, r.Index)
	case r.Index == 16 || r.Index == 23:
		return fmt.Errorf("%w: PCR %d can be reset by anybody, so it proves nothing", ErrShape, r.Index)
	case (len(r.Values) == 0) == (len(r.Events) == 0):
		return fmt.Errorf("%w: PCR %d must list values or events, one of the two", ErrShape, r.Index)
	case len(r.Values)+len(r.Events) > maxEvents:
		return fmt.Errorf("%w: PCR %d lists more than %d", ErrShape, r.Index, maxEvents)
	}
	seen[r.Index] = true
	for _, list := range [][][]byte{r.Values, r.Events} {
		for _, v := range list {
			if len(v) != r.Bank.Size() {
				return fmt.Errorf("%w: PCR %d: a value of %d bytes, want %d", ErrShape, r.Index, len(v), r.Bank.Size())
			}
		}
	}
	return nil
}

// Join adds the signatures of others to one manifest: all must be of the same
// bytes. Errors wrap ErrShape.
func Join(all ...[]byte) ([]byte, error) {
	var out doc.Signed
	for i, raw := range all {
		if _, err := Peek(raw); err != nil {
			return nil, err
		}
		var s doc.Signed
		if err := doc.Decode(raw, &s); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrShape, err)
		}
		if i == 0 {
			out = s
			continue
		}
		if string(s.Body) != string(out.Body) {
			return nil, fmt.Errorf("%w: signatures of different manifests", ErrShape)
		}
		for _, g := range s.Sigs {
			if !out.SignedBy(g.Key) {
				out.Sigs = append(out.Sigs, g)
			}
		}
	}
	return doc.Encode(out)
}

// Signers are the key ids on a signed manifest, in order; nothing is verified.
func Signers(raw []byte) ([]string, error) {
	var s doc.Signed
	if err := doc.Decode(raw, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShape, err)
	}
	var out []string
	for _, g := range s.Sigs {
		out = append(out, g.Key.String())
	}
	return out, nil
}

func day(unix int64) string { return time.Unix(unix, 0).UTC().Format("2006-01-02 15:04 UTC") }
