package app

import (
	"encoding/hex"
	"fmt"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/manifest"
	"cipherdeck/crypto/id"
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
