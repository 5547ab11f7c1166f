package app

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/manifest"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/server"
)

// ReadManifest reads a manifest of either form: JSON of manifest build, or
// signed. signed is nil for the first. Nothing is verified.
func ReadManifest(file string) (m attest.Manifest, signed []byte, err error) {
	info, err := os.Stat(file)
	if err != nil {
		return m, nil, err
	}
	if info.Size() > 4*manifest.MaxBytes {
		return m, nil, fmt.Errorf("%s: %w: %d bytes", file, manifest.ErrShape, info.Size())
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return m, nil, err
	}
	if !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		if m, err = manifest.Peek(raw); err != nil {
			return m, nil, fmt.Errorf("%s: %w", file, err)
		}
		return m, raw, nil
	}
	var d ManifestDraft
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return m, nil, fmt.Errorf("%s: %w: %v", file, ErrInput, err)
	}
	if m, err = d.Manifest(); err != nil {
		return m, nil, fmt.Errorf("%s: %w", file, err)
	}
	return m, nil, nil
}

// BuildSpec says what a new manifest is made of.
type BuildSpec struct {
	Node        bool // for nodes, which have no configuration
	Config      server.Config
	Binary      string // file of the program; "": this one
	Measurement string // file of make release, instead of Binary
	Evidence    string // file of attest export, whose registers are taken
	PCRs        []uint8
	Baseline    string
	SecureBoot  bool
	AddTo       string // manifest that it follows: its baselines and deny list are taken over
	Alone       bool   // but not its baselines
	Version     uint64 // 0: one more than that of AddTo, or 1
	Life        time.Duration
	Note        string
	Deny        DenyDraft // added to the one taken over; Version is counted up by itself
}

// Measurement is what make release says of a program.
type Measurement struct {
	Binary  string   `json:"binary_sha256"`
	Go      string   `json:"go"`
	Flags   []string `json:"flags"`
	Modules string   `json:"go_sum_sha256"`
	Commit  string   `json:"commit"`
	Target  string   `json:"target"`
}

// BuildManifest makes a manifest that nobody signed yet.
func BuildManifest(spec BuildSpec, now time.Time) (attest.Manifest, error) {
	m := attest.Manifest{V: manifest.Version, Product: spec.Config.Product, Version: max(spec.Version, 1), Note: spec.Note,
		NotBefore: now.Add(-time.Minute).Unix(), NotAfter: now.Add(spec.Life).Unix()}
	if spec.AddTo != "" {
		old, signed, err := ReadManifest(spec.AddTo)
		if err != nil {
			return m, err
		}
		m.Deny, m.Models = old.Deny, old.Models
		if !spec.Alone {
			m.Baselines = old.Baselines
		}
		if spec.Version == 0 {
			m.Version = old.Version + 1
		}
		if signed != nil {
			m.Previous = id.Of(signed)
		}
	}
	b, err := spec.baseline(&m)
	if err != nil {
		return m, err
	}
	if slices.ContainsFunc(m.Baselines, func(o attest.Baseline) bool { return o.Name == b.Name }) {
		return m, fmt.Errorf("%w: --add-to has a baseline %q already", ErrInput, b.Name)
	}
	m.Baselines = append(m.Baselines, b)
	return m, spec.deny(&m)
}

func (spec BuildSpec) baseline(m *attest.Manifest) (attest.Baseline, error) {
	b := attest.Baseline{Name: spec.Baseline, SecureBoot: spec.SecureBoot}
	if b.Name == "" {
		b.Name = fmt.Sprintf("release %d", m.Version)
	}
	var err error
	if b.Events, err = golden(spec.Node, spec.Config); err != nil {
		return b, err
	}
	sum := b.Events[0].Any[0]
	switch {
	case spec.Measurement != "":
		raw, err := os.ReadFile(spec.Measurement)
		if err != nil {
			return b, err
		}
		var x Measurement
		if err := json.Unmarshal(raw, &x); err != nil {
			return b, fmt.Errorf("%s: %w: %v", spec.Measurement, ErrInput, err)
		}
		u := &unhexer{}
		m.Build = attest.Build{Binary: u.bytes("binary_sha256", x.Binary), Go: x.Go, Flags: x.Flags, Modules: u.id("go_sum_sha256", x.Modules), Commit: x.Commit}
		if u.err != nil || len(m.Build.Binary) != 32 {
			return b, fmt.Errorf("%s: %w: binary_sha256 is not 32 bytes of hex", spec.Measurement, ErrInput)
		}
		sum = [32]byte(m.Build.Binary)
	case spec.Binary != "":
		if sum, err = hashFile(spec.Binary); err != nil {
			return b, err
		}
		m.Build.Binary = sum[:]
	default:
		m.Build.Binary = sum[:]
	}
	b.Events[0].Any = [][32]byte{sum}
	return b, spec.registers(&b)
}

// registers takes the values of a machine that is known to be good.
func (spec BuildSpec) registers(b *attest.Baseline) error {
	if spec.Evidence == "" {
		if len(spec.PCRs) > 0 {
			return fmt.Errorf("%w: --pcr takes its values from --evidence FILE", ErrInput)
		}
		return nil
	}
	e, err := LoadEvidence(spec.Evidence)
	if err != nil {
		return err
	}
	c, ev, err := e.Script.Parts()
	if err != nil {
		return err
	}
	for _, want := range spec.PCRs {
		i := slices.IndexFunc(ev.PCRs, func(p attest.PCRValue) bool { return p.Index == want })
		if i < 0 {
			return fmt.Errorf("%w: %s has no PCR %d", ErrInput, spec.Evidence, want)
		}
		b.PCRs = append(b.PCRs, attest.PCRRule{Index: want, Bank: c.Bank, Values: [][]byte{ev.PCRs[i].Value}})
	}
	return nil
}

func (spec BuildSpec) deny(m *attest.Manifest) error {
	d, u := spec.Deny, &unhexer{}
	if len(d.EKSerials)+len(d.AKNames)+len(d.Manifests)+len(d.Binaries) == 0 {
		return nil
	}
	m.Deny.Version++
	m.Deny.EKSerials = some(append(slices.Clone(m.Deny.EKSerials), d.EKSerials...))
	m.Deny.AKNames = append(slices.Clone(m.Deny.AKNames), u.list("--deny-ak", d.AKNames)...)
	m.Deny.Manifests = some(append(slices.Clone(m.Deny.Manifests), d.Manifests...))
	m.Deny.Binaries = append(slices.Clone(m.Deny.Binaries), u.list("--deny-binary", d.Binaries)...)
	if d.Note != "" {
		m.Deny.Note = d.Note
	}
	return u.err
}

// SignManifest signs a file of manifest build, or adds a signature to a signed
// one. Who signed before keeps his signature: the bytes are the same.
func SignManifest(file string, key ed25519.PrivateKey) ([]byte, error) {
	m, signed, err := ReadManifest(file)
	if err != nil {
		return nil, err
	}
	mine, err := manifest.Sign(m, key)
	if err != nil || signed == nil {
		return mine, err
	}
	return manifest.Join(signed, mine)
}

// VerifyManifest checks who signed a file, and that it is in force.
func VerifyManifest(file string, signers []ed25519.PublicKey, threshold int, now time.Time) (manifest.Opened, error) {
	m, signed, err := ReadManifest(file)
	if err != nil {
		return manifest.Opened{}, err
	}
	if signed == nil {
		return manifest.Opened{}, fmt.Errorf("%s: %w: nobody signed it", file, manifest.ErrSigners)
	}
	p := attest.Policy{Product: m.Product, Threshold: threshold}
	for _, s := range signers {
		p.Signers = append(p.Signers, s)
	}
	o, err := manifest.Open(signed, p)
	if err != nil {
		return o, fmt.Errorf("%s: %w", file, err)
	}
	if err := manifest.Valid(o.Manifest, p, now); err != nil {
		return o, fmt.Errorf("%s: %w", file, err)
	}
	return o, nil
}
