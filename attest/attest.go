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
// The package has types only. Verifiers live below it: tpm2 and snp for the
// kinds of evidence (report is what kinds like snp share, links what all do), ek
// for who made a TPM, eventlog, bootlog and ima for logs, manifest for what is
// demanded, channel for the binding to a TLS connection or to a node, self for
// how a machine measures what it runs, host for the machine that answers.
package attest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
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

// The kinds of root, weakest first. A policy that demands one kind accepts
// every later one too.
const (
	RootNone     RootKind = iota
	RootSoftware          // a software TPM: a demonstration
	RootVTPM              // a TPM in a hypervisor: trusts who runs that
	RootHardware          // a TPM chip of a maker whose root is pinned
	RootSNP               // AMD SEV-SNP
	RootTDX               // Intel TDX
	RootSGX               // Intel SGX
)

// String is the word for k; software is always called a demo.
func (k RootKind) String() string {
	return [...]string{"none", "software, demo", "vTPM", "hardware TPM", "SEV-SNP", "TDX", "SGX"}[k]
}

// Datum is one value that a link was decided by: bytes to look at or to copy.
type Datum struct {
	Name  string // e.g. "nonce", "AK public area"
	Value []byte
}

// Link is one step of the chain of evidence.
type Link struct {
	ID        string // stable: "quote.signature", "log.event", …
	Claim     string // what would be true if this link holds
	Rule      string // how it was checked, with the values compared
	NotProven string // what this link does not show
	Why       string // why it matters, in one sentence
	Found     string // what was found, for a person; for a failure: expected and got
	State     State
	Data      []Datum // what was compared
}

// The links of a TPM verdict, in the order in which they are checked.
const (
	LinkEK         = "ek.certificate"     // the endorsement key is certified by a pinned maker
	LinkRoot       = "root"               // what kind of TPM vouches: hardware, virtual, software
	LinkEnrol      = "ak.enrolled"        // credential activation: AK and EK are in one TPM
	LinkAK         = "ak.attributes"      // the AK is a restricted signing key
	LinkSignature  = "quote.signature"    // the quote is signed by the AK
	LinkNonce      = "quote.binding"      // our nonce, TLS key, exporter, job key, manifest and logs are in the quote
	LinkPCR        = "quote.pcrs"         // the PCR values given are the ones quoted
	LinkClock      = "quote.clock"        // reset count, clock and firmware went on from the last verdict
	LinkReplay     = "log.replay"         // the application log replays to PCR 14
	LinkFirmware   = "boot.log"           // the firmware's log replays to the quoted PCRs
	LinkSecureBoot = "boot.secureboot"    // Secure Boot was on, by the log
	LinkIMA        = "boot.ima"           // the kernel's log of files replays to PCR 10
	LinkManifest   = "manifest.signature" // signed by enough signers we accepted
	LinkValidity   = "manifest.validity"  // product, version not rolled back, dates
	LinkDeny       = "manifest.deny"      // nothing here is on the deny list
	LinkLogProof   = "manifest.logproof"  // inclusion in the journal
	LinkBoot       = "boot.state"         // every PCR is what a baseline says, or explained by its events
	LinkEvents     = "log.events"         // each application event is one that the same baseline accepts
	LinkJobKey     = "job.key"            // the machine's job key is certified by its AK in the required state
)

// The links of a verdict about a report of a trusted execution environment.
// Root, binding, manifest, validity, deny and log proof are as above; floors of
// firmware stand in the manifest, so LinkTCB follows LinkDeny.
const (
	LinkReport  = "report.signature"   // the report is signed by a key of this chip
	LinkChain   = "report.chain"       // that key is certified by the maker's pinned root
	LinkTCB     = "report.tcb"         // firmware versions are not below the floor, collateral is current
	LinkDebug   = "report.debug"       // the environment is not open to a debugger
	LinkMeasure = "report.measurement" // what was loaded is what a baseline says
)

// Boot is what a quote says of the TPM's own past. It lets two quotes be told
// apart that have a reboot, a clock turned back or new firmware between them.
type Boot struct {
	_            struct{} `cbor:",toarray"`
	ResetCount   uint32
	RestartCount uint32
	Clock        uint64 // milliseconds
	Firmware     uint64
	Safe         bool
}

// PCRState is what is said of one register.
type PCRState uint8

// The states of a register.
const (
	PCRShown   PCRState = iota // quoted and shown; nothing is demanded of it
	PCRMatches                 // the value, or each of its events, is one that the baseline accepts
	PCRDiffers                 // it is not
)

// String is the word for s.
func (s PCRState) String() string { return [...]string{"shown", "matches", "DIFFERS"}[s] }

// PCREvent is one entry of a log that was measured into a register. Text is
// made fit for a terminal by whoever parsed it; Covered says that the digest
// covers it.
type PCREvent struct {
	Type    string // name of the event type; types are not measured
	Text    string
	Digest  []byte
	Covered bool
	First   bool // the first event at which the register leaves the accepted path
}

// PCRRow is what is known of one quoted register.
type PCRRow struct {
	Index     uint8
	Meaning   string // e.g. "Secure Boot state and keys"
	Value     []byte
	Want      [][]byte // accepted values; empty when nothing exact is demanded
	State     PCRState
	Explained bool       // a log replays to Value
	Events    []PCREvent // of that log
	Diff      string     // for a person: what differs, naming the first event
}

// Verdict is the conclusion about one piece of evidence.
type Verdict struct {
	Type     string // of the evidence
	Links    []Link
	Root     RootKind
	Maker    string            // who certified the TPM or chip, "" when nobody did
	Subject  string            // which machine: address and key pin, or a node's id
	Measured map[string][]byte // event name → SHA-256 digest, as replayed
	PCRs     []PCRRow
	Boot     Boot
	Baseline string   // name of the manifest's baseline that matched
	Signers  []string // key ids that signed the manifest
	Version  uint64   // manifest version
	Deny     uint64   // version of its deny list
	Manifest id.ID    // digest of the manifest's signed bytes
	EK       []byte   // SubjectPublicKeyInfo of the endorsement key, nil without one
	AKName   []byte
	JobKey   []byte    // as bound and, for LinkJobKey, certified
	NotAfter time.Time // when to ask again
	Digest   id.ID     // of the evidence bytes
}

// Identity is the face of a machine: it stays through updates and restarts and
// changes with the TPM, the AK or the people whose manifests are accepted. It
// is SHA-256 of LP(EK) ‖ LP(AK name) ‖ LP(signer) for each signer, sorted.
type Identity [32]byte

// IdentityOf hashes the parts, each behind its length.
func IdentityOf(parts ...[]byte) Identity {
	return sha256.Sum256(doc.LP(parts...))
}

// required lists the links without which a verdict of this type is never OK.
func required(typ string) []string {
	if typ == "tpm2" {
		return []string{LinkRoot, LinkAK, LinkSignature, LinkNonce, LinkPCR, LinkReplay, LinkManifest, LinkValidity, LinkDeny, LinkBoot, LinkEvents}
	}
	return []string{LinkChain, LinkRoot, LinkReport, LinkNonce, LinkTCB, LinkDebug, LinkManifest, LinkValidity, LinkDeny, LinkMeasure}
}

// OK reports whether every link that must hold does, and none failed.
func (v *Verdict) OK() bool {
	need := map[string]bool{}
	for _, l := range required(v.Type) {
		need[l] = true
	}
	for _, l := range v.Links {
		switch l.State {
		case Fail:
			return false
		case Pass, Software, Warn:
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

// Link is the link with this id, or nil.
func (v *Verdict) Link(id string) *Link {
	for i := range v.Links {
		if v.Links[i].ID == id {
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
	case v.Root <= RootSoftware:
		return "demo"
	default:
		return "trusted"
	}
}

// Short is enough of a digest to tell two apart on a screen.
func Short(b []byte) string {
	if len(b) < 4 {
		return fmt.Sprintf("%x", b)
	}
	return fmt.Sprintf("%x…%x", b[:2], b[len(b)-1:])
}

// Bank is the hash algorithm of a bank of PCRs, as the TPM names it.
type Bank uint16

// The banks that are accepted.
const (
	SHA256 Bank = 0x000B
	SHA384 Bank = 0x000C
)

// Size is the length of the bank's values in bytes; 0 for an unknown bank.
func (b Bank) Size() int {
	switch b {
	case SHA256:
		return 32
	case SHA384:
		return 48
	}
	return 0
}

// Challenge is what the client asks. Nonce is fresh for every challenge.
type Challenge struct {
	V     uint8    `cbor:"1,keyasint"` // 2
	Nonce [32]byte `cbor:"2,keyasint"`
	PCRs  []uint8  `cbor:"3,keyasint"`
	Bank  Bank     `cbor:"4,keyasint"`
}

// Evidence is what a machine answers. Every byte of it is checked: a field
// that no rule looks at must not be added.
type Evidence struct {
	V         uint8      `cbor:"1,keyasint"`           // 2
	Type      string     `cbor:"2,keyasint"`           // "tpm2", "snp", "tdx", "sgx"
	AK        []byte     `cbor:"3,keyasint,omitempty"` // TPMT_PUBLIC
	Quote     []byte     `cbor:"4,keyasint,omitempty"` // TPMS_ATTEST; for other types the report
	Signature []byte     `cbor:"5,keyasint,omitempty"` // TPMT_SIGNATURE
	PCRs      []PCRValue `cbor:"6,keyasint,omitempty"` // ascending, exactly those asked for
	AppLog    []byte     `cbor:"7,keyasint,omitempty"` // eventlog bytes
	Manifest  []byte     `cbor:"8,keyasint"`           // doc.Signed of a Manifest
	JobKey    []byte     `cbor:"9,keyasint,omitempty"` // the machine's HPKE public key for sealed jobs

	EK       []byte   `cbor:"10,keyasint,omitempty"` // TPMT_PUBLIC of the endorsement key
	EKChain  [][]byte `cbor:"11,keyasint,omitempty"` // X.509 certificates in DER, the EK's first; for other types the chip's
	Firmware []byte   `cbor:"12,keyasint,omitempty"` // TCG event log of the firmware
	IMA      []byte   `cbor:"13,keyasint,omitempty"` // the kernel's binary measurement list
	Proof    []byte   `cbor:"14,keyasint,omitempty"` // tlog.Bundle for the manifest

	// Certify shows that the job key lives in this TPM, in a state: signed by
	// the AK over the key's name.
	KeyPublic  []byte `cbor:"15,keyasint,omitempty"` // TPMT_PUBLIC of the job key
	KeyCertify []byte `cbor:"16,keyasint,omitempty"` // TPMS_ATTEST of type certify
	KeySig     []byte `cbor:"17,keyasint,omitempty"` // TPMT_SIGNATURE by the AK

	Collateral []byte `cbor:"18,keyasint,omitempty"` // for TDX and SGX: dcap.Collateral
}

// PCRValue is one register of the bank that was asked for.
type PCRValue struct {
	_     struct{} `cbor:",toarray"`
	Index uint8
	Value []byte
}

// Enrolment is what credential activation showed once: the AK with this name
// is in the TPM with this endorsement key. It lives in the vault for 30 days.
type Enrolment struct {
	_      struct{} `cbor:",toarray"`
	EK     id.ID    // SHA-256 of the EK's public area
	AKName []byte
	At     int64 // Unix seconds
}

// EnrolmentLife is how long an Enrolment counts.
const EnrolmentLife = 30 * 24 * time.Hour

// Expect is what evidence is held against. Bind is the qualifying data that
// the quote must carry; the channel computes it from facts it saw itself.
type Expect struct {
	Bind     []byte
	Subject  string
	SPKI     [32]byte // SHA-256 of the TLS key of the connection; a node's: of its identity key
	Policy   Policy
	Now      time.Time
	Enrolled *Enrolment // fresh, or the policy's; nil when there was none

	// Look is for a person who was given a report and not told what it must be: what
	// is not known, the binding or the manifest, is not checked, and the verdict is
	// never OK.
	Look bool
}

// Root is a certificate that a chain may end in, and what it vouches for.
type Root struct {
	_     struct{} `cbor:",toarray"`
	Name  string   // "Infineon", or what the user calls it
	Kind  RootKind
	Cert  []byte // DER
	Added bool   // by the user, not shipped
}

// Policy is what the user accepts of one server. It lives in the vault.
type Policy struct {
	Product    string   // of the manifest
	Signers    [][]byte // Ed25519 public keys whose manifests are accepted
	Threshold  int      // how many of them must have signed
	MinRoot    RootKind // weakest root accepted
	MinVersion uint64   // highest manifest version seen: no way back
	MinDeny    uint64   // highest deny list seen: no way back

	Roots []Root // besides the ones that are shipped

	// Enrol demands credential activation whenever the machine has an EK.
	Enrol bool

	// What is known of the machine already; empty: nothing yet. EK and AKName
	// pin its identity.
	EK       []byte // SubjectPublicKeyInfo
	AKName   []byte
	Enrolled *Enrolment
	Last     *Boot // of the last good verdict

	// Log is the policy of the journal that must hold the manifest; nil: the
	// proof is not demanded, and said not to be checked.
	Log *tlog.Policy
}

// ManifestType is the document type of a signed Manifest.
const ManifestType = "attest/manifest"

// Manifest is a golden manifest: the measurements of a release that its
// signers vouch for.
type Manifest struct {
	V         uint8      `cbor:"1,keyasint"` // 2
	Product   string     `cbor:"2,keyasint"`
	Version   uint64     `cbor:"3,keyasint"` // rises with every manifest
	NotBefore int64      `cbor:"4,keyasint"` // Unix seconds
	NotAfter  int64      `cbor:"5,keyasint"`
	Baselines []Baseline `cbor:"6,keyasint"`          // a machine must match one of them whole
	Note      string     `cbor:"7,keyasint"`          // e.g. "demo signer"
	Previous  id.ID      `cbor:"8,keyasint,omitzero"` // digest of the signed manifest before it
	Deny      Deny       `cbor:"9,keyasint,omitzero"`
	Build     Build      `cbor:"10,keyasint,omitzero"`
	Models    []id.ID    `cbor:"11,keyasint,omitempty"` // digests of models that may be served
}

// Baseline is one accepted state of a machine. Several at once let a fleet be
// updated machine by machine without false alarms.
type Baseline struct {
	Name       string    `cbor:"1,keyasint"`           // e.g. "1.4 on mkosi 2026-11"
	Events     []Golden  `cbor:"2,keyasint,omitempty"` // the application log, event by event, in order
	PCRs       []PCRRule `cbor:"3,keyasint,omitempty"` // registers that are demanded; others are shown
	SecureBoot bool      `cbor:"4,keyasint,omitempty"` // must have been on
	Reports    [][]byte  `cbor:"5,keyasint,omitempty"` // launch measurements, MRTD or MRENCLAVE, for other types than tpm2
}

// PCRRule is what a baseline demands of one register: one of the values, or
// that each measured event of it is one of the digests. Exactly one of the two
// is given, and never empty.
type PCRRule struct {
	_      struct{} `cbor:",toarray"`
	Index  uint8
	Bank   Bank
	Values [][]byte
	Events [][]byte
}

// Deny lists what is not accepted any more, whatever else is in order. Its
// version only rises.
type Deny struct {
	Version   uint64   `cbor:"1,keyasint"`
	EKSerials []string `cbor:"2,keyasint,omitempty"` // of EK or chip certificates, in hex
	AKNames   [][]byte `cbor:"3,keyasint,omitempty"`
	Manifests []uint64 `cbor:"4,keyasint,omitempty"` // versions of this product
	Binaries  [][]byte `cbor:"5,keyasint,omitempty"` // SHA-256 of server programs
	Floors    []Floor  `cbor:"6,keyasint,omitempty"`
	Note      string   `cbor:"7,keyasint,omitempty"` // why, for people
}

// Floor is the lowest version of a chip's firmware that is accepted.
type Floor struct {
	_    struct{} `cbor:",toarray"`
	Type string   // "snp", "tdx", "sgx"
	TCB  uint64   // SNP: the report's TCB_VERSION, part by part; TDX, SGX: TCB evaluation data number
}

// Build is how the measured program was built.
type Build struct {
	Binary  []byte   `cbor:"1,keyasint,omitempty"` // SHA-256
	Go      string   `cbor:"2,keyasint,omitempty"`
	Flags   []string `cbor:"3,keyasint,omitempty"`
	Modules id.ID    `cbor:"4,keyasint,omitzero"` // SHA-256 of go.sum
	Commit  string   `cbor:"5,keyasint,omitempty"`
}

// Golden is what the manifest demands of one event of the log.
type Golden struct {
	_    struct{}   `cbor:",toarray"`
	Name string     // "binary", "config", "tls-key", "job-key", "ready"
	Any  [][32]byte // accepted digests; empty when Bound
	// Bound events change with every start and are checked against what was
	// seen instead: tls-key against the TLS key of the connection, node-key
	// against the identity key of the node, job-key against JobKey, manifest
	// against the manifest given.
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
