package app

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/manifest"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/server"
)

// ManifestDraft is a golden manifest as people read and edit it: JSON, digests
// in hex, times in RFC 3339. Signing turns it into bytes.
type ManifestDraft struct {
	Product   string          `json:"product"`
	Version   uint64          `json:"version"`
	NotBefore time.Time       `json:"not_before"`
	NotAfter  time.Time       `json:"not_after"`
	Note      string          `json:"note"`
	Previous  string          `json:"previous"` // digest of the signed manifest before it
	Baselines []BaselineDraft `json:"baselines"`
	Deny      DenyDraft       `json:"deny"`
	Build     BuildDraft      `json:"build"`
	Models    []string        `json:"models"`
}

// BaselineDraft is one accepted state.
type BaselineDraft struct {
	Name       string       `json:"name"`
	SecureBoot bool         `json:"secure_boot"`
	Events     []EventDraft `json:"events"`
	PCRs       []PCRDraft   `json:"pcrs"`
	Reports    []string     `json:"reports"`
}

// EventDraft is what is demanded of one event of the application log.
type EventDraft struct {
	Name  string   `json:"name"`
	Any   []string `json:"any"`
	Bound bool     `json:"bound"`
}

// PCRDraft is what is demanded of one register.
type PCRDraft struct {
	Index  uint8    `json:"index"`
	Bank   string   `json:"bank"` // "sha256" or "sha384"
	Values []string `json:"values"`
	Events []string `json:"events"`
}

// DenyDraft is the deny list.
type DenyDraft struct {
	Version   uint64   `json:"version"`
	EKSerials []string `json:"ek_serials"`
	AKNames   []string `json:"ak_names"`
	Manifests []uint64 `json:"manifests"`
	Binaries  []string `json:"binaries"`
	Note      string   `json:"note"`
}

// BuildDraft is how the program was built.
type BuildDraft struct {
	Binary  string   `json:"binary"`
	Go      string   `json:"go"`
	Flags   []string `json:"flags"`
	Modules string   `json:"modules"`
	Commit  string   `json:"commit"`
}

func hexes(all [][]byte) []string {
	out := []string{}
	for _, b := range all {
		out = append(out, hex.EncodeToString(b))
	}
	return out
}

func hexID(i id.ID) string {
	if i.IsZero() {
		return ""
	}
	return hex.EncodeToString(i[:])
}

// Draft writes a manifest as people read it.
func Draft(m attest.Manifest) ManifestDraft {
	d := ManifestDraft{Product: m.Product, Version: m.Version, NotBefore: time.Unix(m.NotBefore, 0).UTC(), NotAfter: time.Unix(m.NotAfter, 0).UTC(),
		Note: m.Note, Previous: hexID(m.Previous), Baselines: []BaselineDraft{}, Models: []string{},
		Deny: DenyDraft{Version: m.Deny.Version, EKSerials: append([]string{}, m.Deny.EKSerials...), AKNames: hexes(m.Deny.AKNames),
			Manifests: append([]uint64{}, m.Deny.Manifests...), Binaries: hexes(m.Deny.Binaries), Note: m.Deny.Note},
		Build: BuildDraft{Binary: hex.EncodeToString(m.Build.Binary), Go: m.Build.Go, Flags: append([]string{}, m.Build.Flags...), Modules: hexID(m.Build.Modules), Commit: m.Build.Commit}}
	for _, i := range m.Models {
		d.Models = append(d.Models, hexID(i))
	}
	for _, b := range m.Baselines {
		out := BaselineDraft{Name: b.Name, SecureBoot: b.SecureBoot, Events: []EventDraft{}, PCRs: []PCRDraft{}, Reports: hexes(b.Reports)}
		for _, g := range b.Events {
			e := EventDraft{Name: g.Name, Bound: g.Bound, Any: []string{}}
			for _, a := range g.Any {
				e.Any = append(e.Any, hex.EncodeToString(a[:]))
			}
			out.Events = append(out.Events, e)
		}
		for _, r := range b.PCRs {
			out.PCRs = append(out.PCRs, PCRDraft{Index: r.Index, Bank: bankName(r.Bank), Values: hexes(r.Values), Events: hexes(r.Events)})
		}
		d.Baselines = append(d.Baselines, out)
	}
	return d
}

func bankName(b attest.Bank) string {
	if b == attest.SHA384 {
		return "sha384"
	}
	return "sha256"
}

// unhexer reads hex and remembers the first field that is none.
type unhexer struct{ err error }

func (u *unhexer) bytes(field, s string) []byte {
	if s == "" {
		return nil
	}
	b, err := hex.DecodeString(s)
	if err != nil && u.err == nil {
		u.err = fmt.Errorf("%w: %s: %q is not hex", ErrInput, field, s)
	}
	return b
}

func (u *unhexer) list(field string, all []string) (out [][]byte) {
	for _, s := range all {
		out = append(out, u.bytes(field, s))
	}
	return out
}

func (u *unhexer) id(field, s string) (i id.ID) {
	if s == "" {
		return i
	}
	b := u.bytes(field, s)
	if len(b) != len(i) && u.err == nil {
		u.err = fmt.Errorf("%w: %s: %d bytes, want %d", ErrInput, field, len(b), len(i))
	}
	copy(i[:], b)
	return i
}

// Manifest is the draft as it is signed. Errors wrap ErrInput and name the
// field.
func (d ManifestDraft) Manifest() (attest.Manifest, error) {
	u := &unhexer{}
	m := attest.Manifest{V: manifest.Version, Product: d.Product, Version: d.Version, NotBefore: d.NotBefore.Unix(), NotAfter: d.NotAfter.Unix(),
		Note: d.Note, Previous: u.id("previous", d.Previous),
		Deny: attest.Deny{Version: d.Deny.Version, EKSerials: some(d.Deny.EKSerials), AKNames: u.list("deny.ak_names", d.Deny.AKNames),
			Manifests: some(d.Deny.Manifests), Binaries: u.list("deny.binaries", d.Deny.Binaries), Note: d.Deny.Note},
		Build: attest.Build{Binary: u.bytes("build.binary", d.Build.Binary), Go: d.Build.Go, Flags: some(d.Build.Flags), Modules: u.id("build.modules", d.Build.Modules), Commit: d.Build.Commit}}
	for _, s := range d.Models {
		m.Models = append(m.Models, u.id("models", s))
	}
	for _, b := range d.Baselines {
		out := attest.Baseline{Name: b.Name, SecureBoot: b.SecureBoot, Reports: u.list("reports", b.Reports)}
		for _, e := range b.Events {
			g := attest.Golden{Name: e.Name, Bound: e.Bound}
			for _, s := range e.Any {
				v := u.bytes("events."+e.Name, s)
				if len(v) != 32 && u.err == nil {
					u.err = fmt.Errorf("%w: events.%s: %d bytes, want 32", ErrInput, e.Name, len(v))
				}
				var one [32]byte
				copy(one[:], v)
				g.Any = append(g.Any, one)
			}
			out.Events = append(out.Events, g)
		}
		for _, r := range b.PCRs {
			bank := attest.SHA256
			if r.Bank == "sha384" {
				bank = attest.SHA384
			} else if r.Bank != "sha256" && u.err == nil {
				u.err = fmt.Errorf("%w: pcrs: bank %q, want sha256 or sha384", ErrInput, r.Bank)
			}
			name := fmt.Sprintf("pcrs.%d", r.Index)
			out.PCRs = append(out.PCRs, attest.PCRRule{Index: r.Index, Bank: bank, Values: u.list(name, r.Values), Events: u.list(name, r.Events)})
		}
		m.Baselines = append(m.Baselines, out)
	}
	return m, u.err
}

// some is all, or nil when there is nothing in it: what is not said has one
// form.
func some[T any](all []T) []T {
	if len(all) == 0 {
		return nil
	}
	return all
}

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
	Config      server.Config
	Binary      string // file of the server program; "": this one
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
	if b.Events, err = server.Golden(spec.Config); err != nil {
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

// DiffManifests says what differs between two manifests, a line each.
func DiffManifests(a, b attest.Manifest) (out []string) {
	say := func(format string, v ...any) { out = append(out, fmt.Sprintf(format, v...)) }
	if a.Product != b.Product {
		say("product: %q, then %q", a.Product, b.Product)
	}
	if a.Version != b.Version {
		say("version: %d, then %d", a.Version, b.Version)
	}
	if a.NotAfter != b.NotAfter {
		say("in force until: %s, then %s", day(a.NotAfter), day(b.NotAfter))
	}
	if a.Note != b.Note {
		say("note: %q, then %q", a.Note, b.Note)
	}
	for _, o := range a.Baselines {
		i := slices.IndexFunc(b.Baselines, func(n attest.Baseline) bool { return n.Name == o.Name })
		if i < 0 {
			say("baseline %q is gone: machines in that state are refused", o.Name)
			continue
		}
		out = append(out, diffBaseline(o, b.Baselines[i])...)
	}
	for _, n := range b.Baselines {
		if !slices.ContainsFunc(a.Baselines, func(o attest.Baseline) bool { return n.Name == o.Name }) {
			say("baseline %q is new: %d events, %d registers demanded", n.Name, len(n.Events), len(n.PCRs))
		}
	}
	return append(out, diffDeny(a.Deny, b.Deny)...)
}

func day(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.DateOnly) }

func diffBaseline(a, b attest.Baseline) (out []string) {
	x, y := Draft(attest.Manifest{Baselines: []attest.Baseline{a}}).Baselines[0], Draft(attest.Manifest{Baselines: []attest.Baseline{b}}).Baselines[0]
	say := func(format string, v ...any) {
		out = append(out, fmt.Sprintf("baseline %q: ", a.Name)+fmt.Sprintf(format, v...))
	}
	if x.SecureBoot != y.SecureBoot {
		say("Secure Boot demanded: %v, then %v", x.SecureBoot, y.SecureBoot)
	}
	events := func(d BaselineDraft) map[string]string {
		m := map[string]string{}
		for _, e := range d.Events {
			m["event "+e.Name] = strings.Join(e.Any, " ")
		}
		for _, r := range d.PCRs {
			m[fmt.Sprintf("PCR %d", r.Index)] = strings.Join(r.Values, " ") + strings.Join(r.Events, " ")
		}
		return m
	}
	m, n := events(x), events(y)
	var names []string
	for k := range m {
		names = append(names, k)
	}
	for k := range n {
		if _, ok := m[k]; !ok {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	for _, k := range names {
		o, had := m[k]
		w, has := n[k]
		switch {
		case !has:
			say("%s is not demanded any more", k)
		case !had:
			say("%s is demanded now: %.16s…", k, w)
		case o != w:
			say("%s: %.16s…, then %.16s…", k, o, w)
		}
	}
	return out
}

func diffDeny(a, b attest.Deny) (out []string) {
	if a.Version == b.Version {
		return nil
	}
	out = append(out, fmt.Sprintf("deny list: %d, then %d", a.Version, b.Version))
	x, y := Draft(attest.Manifest{Deny: a}).Deny, Draft(attest.Manifest{Deny: b}).Deny
	for _, l := range []struct {
		name string
		x, y []string
	}{{"certificate", x.EKSerials, y.EKSerials}, {"AK", x.AKNames, y.AKNames}, {"program", x.Binaries, y.Binaries}, {"manifest", texts(x.Manifests), texts(y.Manifests)}} {
		for _, s := range l.y {
			if !slices.Contains(l.x, s) {
				out = append(out, fmt.Sprintf("  denied now: %s %s", l.name, s))
			}
		}
		for _, s := range l.x {
			if !slices.Contains(l.y, s) {
				out = append(out, fmt.Sprintf("  not denied any more: %s %s", l.name, s))
			}
		}
	}
	return out
}

func texts(all []uint64) (out []string) {
	for _, v := range all {
		out = append(out, fmt.Sprint(v))
	}
	return out
}

// SignerID is the id of a signer, as a signed manifest has it.
func SignerID(k ed25519.PublicKey) string {
	i, err := doc.KeyIDOf(k)
	if err != nil {
		return ""
	}
	return i.String()
}
