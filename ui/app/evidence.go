package app

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/channel"
	"cipherdeck/attest/eventlog"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/tlog"
)

// Evidence is a saved attestation: what was said, and what it was held against.
type Evidence struct {
	V      uint8              `cbor:"1,keyasint"`
	Script channel.Transcript `cbor:"2,keyasint"`
	Policy savedPolicy        `cbor:"3,keyasint"`
}

// savedPolicy is attest.Policy with the journal's keys as text.
type savedPolicy struct {
	Product    string            `cbor:"1,keyasint"`
	Signers    [][]byte          `cbor:"2,keyasint"`
	Threshold  int               `cbor:"3,keyasint"`
	MinRoot    attest.RootKind   `cbor:"4,keyasint"`
	MinVersion uint64            `cbor:"5,keyasint"`
	MinDeny    uint64            `cbor:"6,keyasint"`
	Roots      []attest.Root     `cbor:"7,keyasint,omitempty"`
	EK         []byte            `cbor:"8,keyasint,omitempty"`
	AKName     []byte            `cbor:"9,keyasint,omitempty"`
	Enrolled   *attest.Enrolment `cbor:"10,keyasint,omitempty"`
	Last       *attest.Boot      `cbor:"11,keyasint,omitempty"`
	Log        string            `cbor:"12,keyasint,omitempty"`
	Witnesses  []string          `cbor:"13,keyasint,omitempty"`
	Need       int               `cbor:"14,keyasint,omitempty"`
}

const evidenceVersion = 1

func save(p attest.Policy) savedPolicy {
	out := savedPolicy{Product: p.Product, Signers: p.Signers, Threshold: p.Threshold, MinRoot: p.MinRoot, MinVersion: p.MinVersion,
		MinDeny: p.MinDeny, Roots: p.Roots, EK: p.EK, AKName: p.AKName, Enrolled: p.Enrolled, Last: p.Last}
	if p.Log != nil {
		out.Log, out.Need = p.Log.Log.String(), p.Log.Need
		for _, w := range p.Log.Witnesses {
			out.Witnesses = append(out.Witnesses, w.String())
		}
	}
	return out
}

// Held is the policy that the evidence was held against.
func (e *Evidence) Held() (attest.Policy, error) {
	s := e.Policy
	p := attest.Policy{Product: s.Product, Signers: s.Signers, Threshold: s.Threshold, MinRoot: s.MinRoot, MinVersion: s.MinVersion,
		MinDeny: s.MinDeny, Roots: s.Roots, Enrol: true, EK: s.EK, AKName: s.AKName, Enrolled: s.Enrolled, Last: s.Last}
	if s.Log == "" {
		return p, nil
	}
	key, err := tlog.ParseKey(s.Log)
	if err != nil {
		return p, fmt.Errorf("%w: the journal's key: %w", ErrInput, err)
	}
	p.Log = &tlog.Policy{Log: key, Need: s.Need}
	for _, w := range s.Witnesses {
		k, err := tlog.ParseKey(w)
		if err != nil {
			return p, fmt.Errorf("%w: a witness: %w", ErrInput, err)
		}
		p.Log.Witnesses = append(p.Log.Witnesses, k)
	}
	return p, nil
}

// Judge repeats the verdict, at the time now; the zero time is that of the
// exchange.
func (e *Evidence) Judge(ctx context.Context, p attest.Policy, now time.Time) (*attest.Verdict, error) {
	if now.IsZero() {
		now = time.Unix(e.Script.At, 0)
	}
	return e.Script.Judge(ctx, p, now)
}

// ExportEvidence attests a machine now and writes what was said into a file.
// The file is written for a refused verdict too, which is returned with the
// error.
func (a *App) ExportEvidence(ctx context.Context, name, file string) (*attest.Verdict, error) {
	policy, err := a.policy(name) // as it is before this verdict
	if err != nil {
		return nil, err
	}
	v, verr := a.Attest(ctx, name)
	script := a.board.script(name)
	if script == nil {
		return v, verr
	}
	raw, err := doc.Encode(Evidence{V: evidenceVersion, Script: *script, Policy: save(policy)})
	if err != nil {
		return v, err
	}
	if err := os.WriteFile(file, raw, 0o644); err != nil {
		return v, err
	}
	return v, verr
}

// LoadEvidence reads a file of ExportEvidence. Nothing is judged. Errors wrap
// channel.ErrTranscript.
func LoadEvidence(file string) (*Evidence, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > channel.MaxTranscript {
		return nil, fmt.Errorf("%s: %w: %d bytes, limit %d", file, channel.ErrTranscript, info.Size(), channel.MaxTranscript)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var e Evidence
	if err := doc.Decode(raw, &e); err != nil {
		return nil, fmt.Errorf("%s: %w: %v", file, channel.ErrTranscript, err)
	}
	if e.V != evidenceVersion {
		return nil, fmt.Errorf("%s: %w: version %d, want %d", file, channel.ErrTranscript, e.V, evidenceVersion)
	}
	return &e, nil
}

// Tampered is what became of a verdict when one bit of the evidence was flipped.
type Tampered struct {
	Field string `json:"field"`
	Bytes int    `json:"bytes"`
	Bit   int    `json:"bit"`
	Link  string `json:"breaks"` // the link that broke, "" when nothing did
	Found string `json:"found"`
}

// NotPinned says why a change of the journal's proof goes unnoticed.
const NotPinned = "not checked: no journal is pinned for this server, so its proof is not looked at"

type field struct {
	name string
	at   *[]byte
}

func fields(e *attest.Evidence) []field {
	out := []field{{"ak", &e.AK}, {"quote", &e.Quote}, {"signature", &e.Signature}, {"app-log", &e.AppLog}, {"manifest", &e.Manifest},
		{"job-key", &e.JobKey}, {"ek", &e.EK}, {"firmware-log", &e.Firmware}, {"ima-log", &e.IMA}, {"proof", &e.Proof},
		{"key-public", &e.KeyPublic}, {"key-certify", &e.KeyCertify}, {"key-signature", &e.KeySig}}
	for i := range e.EKChain {
		out = append(out, field{fmt.Sprintf("ek-chain-%d", i), &e.EKChain[i]})
	}
	for i := range e.PCRs {
		out = append(out, field{fmt.Sprintf("pcr-%d", e.PCRs[i].Index), &e.PCRs[i].Value})
	}
	return out
}

// Tamper flips one bit of a field and judges again. The evidence itself stays
// as it is.
func (e *Evidence) Tamper(ctx context.Context, name string, bit int) (Trial, error) {
	p, err := e.Held()
	if err != nil {
		return Trial{}, err
	}
	_, ev, err := e.Script.Parts()
	if err != nil {
		return Trial{}, err
	}
	for _, f := range fields(&ev) {
		if f.name != name {
			continue
		}
		n := len(*f.at)
		if bit < 0 || bit >= n*8 {
			return Trial{}, fmt.Errorf("%w: field %q has bits 0 to %d, not %d", ErrInput, name, n*8-1, bit)
		}
		*f.at = bytes.Clone(*f.at)
		(*f.at)[bit/8] ^= 0x80 >> (bit % 8)
		other := e.Script
		if other.Evidence, err = doc.Encode(ev); err != nil {
			return Trial{}, err
		}
		out := Tampered{Field: name, Bytes: n, Bit: bit}
		v, err := other.Judge(ctx, p, time.Unix(other.At, 0))
		switch {
		case name == "proof" && p.Log == nil:
			out.Link, out.Found = "", NotPinned
		case v != nil && v.Broken() != nil:
			out.Link, out.Found = v.Broken().ID, v.Broken().Found
		case err != nil:
			out.Link, out.Found = "evidence", err.Error()
		}
		return Trial{out, v}, nil
	}
	return Trial{}, fmt.Errorf("%w: this evidence has no field %q", ErrInput, name)
}

// Trial is one flipped bit, and the verdict it led to.
type Trial struct {
	Tampered
	Verdict *attest.Verdict `json:"-"`
}

// TamperAll flips one bit in the middle of each field, one after the other.
func (e *Evidence) TamperAll(ctx context.Context) (out []Trial, err error) {
	_, ev, err := e.Script.Parts()
	if err != nil {
		return nil, err
	}
	for _, f := range fields(&ev) {
		if len(*f.at) == 0 {
			continue
		}
		t, err := e.Tamper(ctx, f.name, len(*f.at)*4)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// DiffEvidence says what differs between two attestations, a line each.
func DiffEvidence(a, b *Evidence) ([]string, error) {
	_, x, err := a.Script.Parts()
	if err != nil {
		return nil, err
	}
	_, y, err := b.Script.Parts()
	if err != nil {
		return nil, err
	}
	var out []string
	say := func(format string, v ...any) { out = append(out, fmt.Sprintf(format, v...)) }
	if a.Script.Subject != b.Script.Subject {
		say("machine: %s, then %s", a.Script.Subject, b.Script.Subject)
	}
	for _, f := range []struct {
		name string
		x, y []byte
	}{{"attestation key", x.AK, y.AK}, {"endorsement key", x.EK, y.EK}, {"signed manifest", x.Manifest, y.Manifest}, {"firmware log", x.Firmware, y.Firmware}, {"job key", x.JobKey, y.JobKey}} {
		if !bytes.Equal(f.x, f.y) {
			say("%s differs", f.name)
		}
	}
	was := map[uint8][]byte{}
	for _, p := range x.PCRs {
		was[p.Index] = p.Value
	}
	for _, p := range y.PCRs {
		if w, ok := was[p.Index]; !ok || !bytes.Equal(w, p.Value) {
			say("PCR %d: %.8x…, then %.8x…", p.Index, w, p.Value)
		}
	}
	out = append(out, firmwareDrift(a.Script, b.Script)...)
	l, err := eventlog.Parse(x.AppLog)
	if err != nil {
		return nil, err
	}
	m, err := eventlog.Parse(y.AppLog)
	if err != nil {
		return nil, err
	}
	return append(out, diffEvents(l, m)...), nil
}

func diffEvents(l, m []eventlog.Event) (out []string) {
	was := map[string][32]byte{}
	for _, e := range l {
		was[e.Name] = e.Digest
	}
	for _, e := range m {
		w, ok := was[e.Name]
		switch {
		case !ok:
			out = append(out, fmt.Sprintf("event %q is new", e.Name))
		case w != e.Digest:
			out = append(out, fmt.Sprintf("event %q: %.8x…, then %.8x…", e.Name, w[:], e.Digest[:]))
		}
		delete(was, e.Name)
	}
	for _, e := range l {
		if _, left := was[e.Name]; left {
			out = append(out, fmt.Sprintf("event %q is gone", e.Name))
		}
	}
	return out
}

// Lab flips one bit in the middle of each field of the newest exchange with a
// machine. Errors wrap ErrName when there was none.
func (a *App) Lab(ctx context.Context, name string) ([]Trial, error) {
	policy, err := a.policy(name)
	if err != nil {
		return nil, err
	}
	script := a.board.script(name)
	if script == nil {
		return nil, fmt.Errorf("%w: %s was not asked since this program started", ErrName, called(name))
	}
	e := &Evidence{V: evidenceVersion, Script: *script, Policy: save(policy)}
	e.Policy.Last = nil // what is known now is of this very exchange
	return e.TamperAll(ctx)
}
