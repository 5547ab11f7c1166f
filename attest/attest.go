// Package attest holds the shapes of remote attestation: what a machine says
// of itself (Evidence), what we demand (Expect, Policy, Manifest) and what we
// conclude (Verdict, a list of Links).
//
// A verdict is never one tick. It is a chain of links, each a claim with the
// rule that checked it and with what it does NOT prove; the first link that
// breaks is shown as broken and every link below it as not checked. The root
// of the chain says what kind of thing vouched: hardware, a virtual TPM, or
// software, which can lie and is therefore never more than a demonstration.
//
// The package has types only. Verifiers live below it: tpm2 for TPM quotes,
// eventlog for logs, channel for the binding to a TLS connection.
package attest

import (
	"context"
	"errors"
	"time"

	"cipherdeck/crypto/id"
)

// State is what became of one link.
type State uint8

// The states of a link. The zero value claims nothing.
const (
	NotChecked State = iota
	Pass
	Fail
	Warn
	Software // holds, but only as far as software can vouch for itself
)

// String is the word for s.
func (s State) String() string {
	return [...]string{"not checked", "pass", "FAIL", "warn", "software"}[s]
}

// Glyph is the sign beside the word.
func (s State) Glyph() string { return [...]string{"?", "✓", "✗", "!", "~"}[s] }

// RootKind is what vouches for the whole chain.
type RootKind uint8

// The kinds of root, weakest first.
const (
	RootNone RootKind = iota
	RootSoftware
	RootVTPM
	RootHardware
)

// String is the word for k; software is always called a demo.
func (k RootKind) String() string {
	return [...]string{"none", "software, demo", "vTPM", "hardware TPM"}[k]
}

// Link is one step of the chain of evidence.
type Link struct {
	ID        string // stable: "quote.signature", "log.event", …
	Claim     string // what would be true if this link holds
	Rule      string // how it was checked, with the values compared
	NotProven string // what this link does not show
	Found     string // what was found, for a person; for a failure: expected and got
	State     State
}

// The links of a TPM verdict, in the order in which they are checked.
const (
	LinkRoot      = "root"               // who made the TPM: software, demo
	LinkEK        = "ek.certificate"     // endorsement key certificate (not built yet)
	LinkEnrol     = "ak.enrolled"        // credential activation (not built yet)
	LinkAK        = "ak.attributes"      // the AK is a restricted signing key of this TPM kind
	LinkSignature = "quote.signature"    // the quote is signed by the AK
	LinkNonce     = "quote.binding"      // our nonce, TLS key, exporter, job key, manifest and log are in the quote
	LinkPCR       = "quote.pcrs"         // the PCR values given are the ones quoted
	LinkReplay    = "log.replay"         // the application log replays to PCR 14
	LinkEvents    = "log.events"         // each event is one the manifest accepts
	LinkBoot      = "boot.state"         // firmware, boot loader, kernel (not built yet)
	LinkManifest  = "manifest.signature" // signed by a signer we accepted
	LinkValidity  = "manifest.validity"  // product, version not rolled back, dates
	LinkLogProof  = "manifest.logproof"  // inclusion in a transparency log (not built yet)
)

// Verdict is the conclusion about one piece of evidence.
type Verdict struct {
	Links    []Link
	Root     RootKind
	Subject  string            // which machine: address and key pin, or a node's id
	Measured map[string][]byte // event name → SHA-256 digest, as replayed
	Signers  []string          // key ids that signed the manifest
	Version  uint64            // manifest version
	NotAfter time.Time         // when to ask again
	Digest   id.ID             // of the evidence bytes
}

// OK reports whether every link that must hold does. A verdict without a
// passed quote signature and event log is never OK.
func (v *Verdict) OK() bool {
	need := map[string]bool{LinkSignature: true, LinkNonce: true, LinkPCR: true, LinkReplay: true, LinkEvents: true, LinkManifest: true, LinkValidity: true, LinkAK: true, LinkRoot: true}
	for _, l := range v.Links {
		if l.State == Fail {
			return false
		}
		if l.State == Pass || l.State == Software {
			delete(need, l.ID)
		}
	}
	return len(need) == 0
}

// Broken is the first failed link, or nil.
func (v *Verdict) Broken() *Link {
	for i := range v.Links {
		if v.Links[i].State == Fail {
			return &v.Links[i]
		}
	}
	return nil
}

// Word is the verdict in a word: "REFUSED", "demo" for a software root, or
// "trusted".
func (v *Verdict) Word() string {
	switch {
	case !v.OK():
		return "REFUSED"
	case v.Root == RootSoftware:
		return "demo"
	default:
		return "trusted"
	}
}

// Challenge is what the client asks. Nonce is fresh for every challenge.
type Challenge struct {
	V     uint8    `cbor:"1,keyasint"`
	Nonce [32]byte `cbor:"2,keyasint"`
	PCRs  []uint8  `cbor:"3,keyasint"` // of the SHA-256 bank
}

// Evidence is what a machine answers. Every byte of it is checked: a field
// that no rule looks at must not be added.
type Evidence struct {
	V         uint8      `cbor:"1,keyasint"`
	Type      string     `cbor:"2,keyasint"` // "tpm2"
	AK        []byte     `cbor:"3,keyasint"` // TPMT_PUBLIC
	Quote     []byte     `cbor:"4,keyasint"` // TPMS_ATTEST
	Signature []byte     `cbor:"5,keyasint"` // TPMT_SIGNATURE
	PCRs      []PCRValue `cbor:"6,keyasint"` // ascending, exactly those asked for
	AppLog    []byte     `cbor:"7,keyasint"` // eventlog bytes
	Manifest  []byte     `cbor:"8,keyasint"` // doc.Signed of a Manifest
	JobKey    []byte     `cbor:"9,keyasint"` // the machine's HPKE public key for sealed jobs; may be empty
}

// PCRValue is one register of the SHA-256 bank.
type PCRValue struct {
	_     struct{} `cbor:",toarray"`
	Index uint8
	Value [32]byte
}

// Expect is what evidence is held against. Bind is the qualifying data that
// the quote must carry; the channel computes it from facts it saw itself.
type Expect struct {
	Bind    []byte
	Subject string
	SPKI    [32]byte // SHA-256 of the TLS key of the connection
	Policy  Policy
	Now     time.Time
}

// Policy is what the user accepts of one server. It lives in the vault.
type Policy struct {
	Product    string   // of the manifest
	Signers    [][]byte // Ed25519 public keys whose manifests are accepted
	Threshold  int      // how many of them must have signed
	MinRoot    RootKind // weakest root accepted
	MinVersion uint64   // highest manifest version seen: no way back
}

// ManifestType is the document type of a signed Manifest.
const ManifestType = "attest/manifest"

// Manifest is a golden manifest: the measurements of a release that its
// signers vouch for.
type Manifest struct {
	V         uint8    `cbor:"1,keyasint"`
	Product   string   `cbor:"2,keyasint"`
	Version   uint64   `cbor:"3,keyasint"` // rises with every manifest
	NotBefore int64    `cbor:"4,keyasint"` // Unix seconds
	NotAfter  int64    `cbor:"5,keyasint"`
	Events    []Golden `cbor:"6,keyasint"` // the application log, event by event, in order
	Note      string   `cbor:"7,keyasint"` // e.g. "demo signer"
}

// Golden is what the manifest demands of one event of the log.
type Golden struct {
	_    struct{}   `cbor:",toarray"`
	Name string     // "binary", "config", "tls-key", "job-key", "ready"
	Any  [][32]byte // accepted digests; empty when Bound
	// Bound events change with every start and are checked against the
	// connection instead: tls-key against the TLS key, job-key against JobKey.
	Bound bool
}

// Verifier checks one type of evidence. The error says only that it could not
// be evaluated at all; evidence that fails gives a Verdict that is not OK.
type Verifier interface {
	Type() string
	Verify(ctx context.Context, e Evidence, x Expect) (*Verdict, error)
}

// The errors of attestation that callers may test for.
var (
	// ErrRefused is wrapped when a verdict is not OK: nothing was sent.
	ErrRefused = errors.New("attestation refused")
	// ErrNotAttested is returned by a channel asked to carry payload before
	// its verdict.
	ErrNotAttested = errors.New("connection is not attested")
)
