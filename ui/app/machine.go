package app

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/channel"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
	"cipherdeck/vault"
)

// The errors about a machine that is not as it was.
var (
	// ErrIdentity is wrapped when a machine has another TPM or attestation key
	// than the first time: like another host key of SSH.
	ErrIdentity = errors.New("the machine has another identity")
	// ErrHeld is wrapped when no job goes to a machine until a person looked.
	ErrHeld = errors.New("jobs are suspended on this machine")
	// ErrUnnoticed is wrapped when evidence was changed and no link broke.
	ErrUnnoticed = errors.New("evidence was changed and nothing broke")
)

// again is how long nothing new is not written down for.
const again = time.Hour

// policyOf is what a pinned machine is held to; l is the journal that its
// manifests may have to be in.
func policyOf(p vault.Pinned, l vault.ServerLog) attest.Policy {
	m := p.Machine
	return attest.Policy{
		Product: p.Product, Signers: p.Signers, Threshold: p.Threshold, MinRoot: attest.RootKind(p.MinRoot),
		MinVersion: p.Version, MinDeny: m.Deny, Roots: m.Roots, Enrol: true,
		EK: m.EK, AKName: p.AKName, Enrolled: m.Enrolled, Last: m.Boot, Log: logPolicy(l),
	}
}

// logPolicy is what the journal must show for a manifest; nil while the
// journal's key is not pinned.
func logPolicy(l vault.ServerLog) *tlog.Policy {
	key, err := tlog.ParseKey(l.Key)
	if err != nil {
		return nil
	}
	p := &tlog.Policy{Log: key, Need: l.Need}
	for _, w := range l.Witnesses {
		if k, err := tlog.ParseKey(w); err == nil {
			p.Witnesses = append(p.Witnesses, k)
		}
	}
	return p
}

// learn is what a verdict changes of what is known of a machine. keep is false
// when nothing is worth writing down.
func learn(s vault.Pinned, v *attest.Verdict, t *channel.Transcript, now time.Time) (next vault.Pinned, keep bool) {
	s.Machine.History, s.Machine.Quiet = slices.Clone(s.Machine.History), maps.Clone(s.Machine.Quiet) // the vault's own stay as they are
	m := s.Machine
	e := vault.Judged{At: now.Unix(), Word: v.Word(), Resets: v.Boot.ResetCount, Version: v.Version}
	if !v.OK() {
		return refused(s, v, e)
	}
	notes := drift(s, v)
	e.Changed = changedPCRs(m.PCRs, v.PCRs)
	if hold := suspicious(s, v, e.Changed); hold != "" {
		m.Held = hold
		notes = append(notes, "jobs are suspended: "+hold)
	}
	if len(e.Changed) > 0 {
		notes = append(notes, named(m.Good, v)...)
	}
	if n := len(m.History); n > 0 && m.History[n-1].Broken != "" {
		notes = append(notes, "good again")
	}
	if len(s.AKName) == 0 {
		s.AKName, m.EK = bytes.Clone(v.AKName), bytes.Clone(v.EK)
		notes = append(notes, "first seen")
	}
	if t != nil && t.Enrolled != nil && (m.Enrolled == nil || t.Enrolled.At != m.Enrolled.At) {
		m.Enrolled = t.Enrolled
		notes = append(notes, "credential activated")
	}
	quiet := len(notes) == 0 && s.Version >= v.Version
	if quiet && recent(m, now) && (m.Held != "" || isGood(m.Good, v)) {
		return s, false
	}
	boot := v.Boot
	m.Boot, m.PCRs, m.Baseline, m.JobKey = &boot, values(v.PCRs), v.Baseline, bytes.Clone(channel.JobKeyOf(v))
	if v.Version >= s.Version {
		s.Version, m.Manifest = v.Version, v.Manifest
	}
	m.Deny = max(m.Deny, v.Deny)
	if m.Held == "" {
		m.Good = goodState(v, now)
	}
	e.Note = strings.Join(notes, "; ")
	s.Machine = entered(m, e, quiet)
	return s, true
}

// entered adds an entry. One that says nothing new is counted with the entry
// before it, so that a machine that is left alone for a year does not push out
// what happened before.
func entered(m vault.Machine, e vault.Judged, quiet bool) vault.Machine {
	n := len(m.History)
	switch {
	case !quiet || n == 0 || m.History[n-1].Word != e.Word:
		m.History = append(m.History, e)
	case !recent(m, time.Unix(e.At, 0)):
		if m.Quiet == nil {
			m.Quiet = map[int64]vault.Quiet{}
		}
		at := m.History[n-1].At
		m.Quiet[at] = vault.Quiet{Times: m.Quiet[at].Times + 1, Last: e.At}
	}
	return trimmed(m)
}

// refused writes a failed verdict down, and suspends the jobs of a machine
// that was good before.
func refused(s vault.Pinned, v *attest.Verdict, e vault.Judged) (vault.Pinned, bool) {
	m := s.Machine
	if b := v.Broken(); b != nil {
		e.Broken, e.Note = b.ID, b.Found
	}
	if n := len(m.History); n > 0 && m.History[n-1].Broken == e.Broken && m.History[n-1].Note == e.Note && recent(m, time.Unix(e.At, 0)) {
		return s, false
	}
	if m.Boot != nil && m.Held == "" {
		m.Held = fmt.Sprintf("%s broke: %s", e.Broken, e.Note)
	}
	m.History = append(m.History, e)
	s.Machine = trimmed(m)
	return s, true
}

func recent(m vault.Machine, now time.Time) bool {
	if len(m.History) == 0 {
		return false
	}
	at := m.History[len(m.History)-1].At
	return now.Sub(time.Unix(max(at, m.Quiet[at].Last), 0)) < again
}

// trimmed bounds the history. How it began is never forgotten.
func trimmed(m vault.Machine) vault.Machine {
	if n := len(m.History) - vault.MaxHistory; n > 0 {
		for _, e := range m.History[1 : 1+n] {
			delete(m.Quiet, e.At)
		}
		m.History = append(m.History[:1:1], m.History[1+n:]...)
	}
	return m
}

// drift is what a person wants to know of the difference to the last good
// verdict. None of it breaks the verdict.
func drift(s vault.Pinned, v *attest.Verdict) (notes []string) {
	m := s.Machine
	if m.Boot == nil {
		return nil
	}
	if m.Boot.ResetCount != v.Boot.ResetCount {
		notes = append(notes, fmt.Sprintf("rebooted: reset count %d, was %d", v.Boot.ResetCount, m.Boot.ResetCount))
	}
	if key := channel.JobKeyOf(v); !bytes.Equal(m.JobKey, key) {
		notes = append(notes, fmt.Sprintf("its program restarted: job key %s, was %s", attest.Short(key), attest.Short(m.JobKey)))
	}
	if m.Boot.Firmware != v.Boot.Firmware {
		notes = append(notes, fmt.Sprintf("TPM firmware %x, was %x", v.Boot.Firmware, m.Boot.Firmware))
	}
	if s.Version != v.Version {
		notes = append(notes, fmt.Sprintf("manifest %d, was %d", v.Version, s.Version))
	}
	if m.Baseline != v.Baseline {
		notes = append(notes, fmt.Sprintf("baseline %q, was %q", v.Baseline, m.Baseline))
	}
	if c := changedPCRs(m.PCRs, v.PCRs); len(c) > 0 {
		notes = append(notes, fmt.Sprintf("PCR %s changed", joinPCRs(c)))
	}
	return notes
}

// suspicious is why a person should look before the next job: registers that
// moved although the manifest and its baseline did not, or another manifest
// under the number of one seen before. An update that its signers signed is
// neither.
func suspicious(s vault.Pinned, v *attest.Verdict, changed []uint8) string {
	m := s.Machine
	switch {
	case m.Boot == nil:
		return ""
	case v.Version == s.Version && !m.Manifest.IsZero() && v.Manifest != m.Manifest:
		return fmt.Sprintf("another manifest of version %d than before", v.Version)
	case len(changed) > 0 && v.Manifest == m.Manifest && v.Baseline == m.Baseline:
		return fmt.Sprintf("PCR %s changed under the same manifest", joinPCRs(changed))
	}
	return ""
}

func changedPCRs(old []attest.PCRValue, now []attest.PCRRow) (out []uint8) {
	for _, o := range old {
		for _, n := range now {
			if n.Index == o.Index && !bytes.Equal(n.Value, o.Value) {
				out = append(out, n.Index)
			}
		}
	}
	return out
}

func joinPCRs(list []uint8) string {
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprint(list)), ", "), "[]")
}

func values(rows []attest.PCRRow) (out []attest.PCRValue) {
	for _, r := range rows {
		out = append(out, attest.PCRValue{Index: r.Index, Value: bytes.Clone(r.Value)})
	}
	return out
}

// noteVerdict writes down what a verdict showed. When that changes what a
// server is held to, its connections end: new ones know it.
func (a *App) noteVerdict(name string, v *attest.Verdict, t *channel.Transcript) error {
	a.board.scripted(name, t)
	keep := false
	now := a.Now()
	if err := a.view(func(s vault.State) {
		if old, _, err := pinOf(s, name); err == nil {
			a.board.drifted(name, driftOf(old.Machine.Good, v))
			_, keep = learn(old, v, t, now)
		}
	}); err != nil || !keep {
		return err
	}
	err := a.changePin(name, func(p *vault.Pinned) { *p, _ = learn(*p, v, t, now) })
	if err == nil {
		a.retire(clientKey{name, true})
	}
	return err
}

// IdentityError says that a machine is another one than the first time. It wraps
// ErrIdentity.
type IdentityError struct {
	Name    string // of the pinned server, or of a node
	Was, Is attest.Identity
	Since   time.Time // when it was first attested; zero when that is not known
}

// Error names both by their words.
func (e *IdentityError) Error() string {
	return fmt.Sprintf("%v: %s was %s, now %s", ErrIdentity, called(e.Name), Words(e.Was), Words(e.Is))
}

// Unwrap leads to ErrIdentity.
func (e *IdentityError) Unwrap() error { return ErrIdentity }

// identityChanged names both identities when a verdict broke on them.
func (a *App) identityChanged(name string, v *attest.Verdict) error {
	if v == nil || v.Broken() == nil || v.Broken().ID != attest.LinkEnrol {
		return nil
	}
	p, _, err := a.pin(name)
	if err != nil {
		return nil
	}
	if len(p.AKName) == 0 || bytes.Equal(p.AKName, v.AKName) && bytes.Equal(p.Machine.EK, v.EK) {
		return nil
	}
	e := &IdentityError{Name: name, Was: IdentityOf(p.Machine.EK, p.AKName, p.Signers), Is: IdentityOf(v.EK, v.AKName, p.Signers)}
	if h := p.Machine.History; len(h) > 0 {
		e.Since = time.Unix(h[0].At, 0)
	}
	return e
}

// IdentityOf is the face of a machine: see attest.Identity.
func IdentityOf(ek, akName []byte, signers [][]byte) attest.Identity {
	parts := [][]byte{ek, akName}
	sorted := append([][]byte(nil), signers...)
	sort.Slice(sorted, func(i, j int) bool { return bytes.Compare(sorted[i], sorted[j]) < 0 })
	return attest.IdentityOf(append(parts, sorted...)...)
}

// MachineInfo is what is known of a pinned machine.
type MachineInfo struct {
	Server   string    `json:"server"` // its name; of a node as NodeName
	Words    string    `json:"words"`
	Digits   string    `json:"digits"`
	Art      []string  `json:"art"`
	EK       string    `json:"endorsement_key_sha256"`
	AK       string    `json:"attestation_key_name"`
	Enrolled string    `json:"enrolled"`
	Held     string    `json:"suspended"`
	Good     string    `json:"last_good"` // when it showed what drift is measured from, RFC 3339; "" for never
	History  []History `json:"history"`
}

// History is one verdict of the past.
type History struct {
	At      time.Time `json:"at"`
	Word    string    `json:"verdict"`
	Broken  string    `json:"broken"`
	Resets  uint32    `json:"reset_count"`
	Version uint64    `json:"manifest_version"`
	Changed []uint8   `json:"changed_pcrs"`
	Note    string    `json:"note"`
	Times   uint32    `json:"quiet_times"` // verdicts after it that said nothing new, one an hour at most
	Last    time.Time `json:"quiet_until,omitzero"`
}

// Machine is what is known of the machine behind a pinned server, or of a node.
// Nobody is asked.
func (a *App) Machine(name string) (MachineInfo, error) {
	p, _, err := a.pin(name)
	if err != nil {
		return MachineInfo{}, err
	}
	m := p.Machine
	out := MachineInfo{Server: name, Held: m.Held, History: []History{}, Art: []string{}}
	if len(p.AKName) > 0 {
		f := IdentityOf(m.EK, p.AKName, p.Signers)
		ek := id.Of(m.EK)
		out.Words, out.Digits, out.Art = Words(f), Digits(f), Art(f)
		out.EK, out.AK = fmt.Sprintf("%x", ek[:]), fmt.Sprintf("%x", p.AKName)
	}
	if e := m.Enrolled; e != nil {
		out.Enrolled = time.Unix(e.At, 0).UTC().Format(time.RFC3339)
	}
	if g := m.Good; g != nil {
		out.Good = time.Unix(g.At, 0).UTC().Format(time.RFC3339)
	}
	for _, h := range m.History {
		e := History{At: time.Unix(h.At, 0).UTC(), Word: h.Word, Broken: h.Broken, Resets: h.Resets, Version: h.Version, Changed: append([]uint8{}, h.Changed...), Note: h.Note}
		if q, ok := m.Quiet[h.At]; ok {
			e.Times, e.Last = q.Times, time.Unix(q.Last, 0).UTC()
		}
		out.History = append(out.History, e)
	}
	return out, nil
}

// changeMachine changes what is known of a machine, and ends its connections.
func (a *App) changeMachine(name string, change func(*vault.Pinned)) error {
	err := a.changePin(name, change)
	if err == nil {
		a.forget(name)
	}
	return err
}

// Resume lets jobs go to a machine again, after a person looked at what changed.
func (a *App) Resume(name string) (why string, err error) {
	err = a.changeMachine(name, func(p *vault.Pinned) {
		why, p.Machine.Held = p.Machine.Held, ""
		if why == "" {
			return
		}
		p.Machine.History = append(p.Machine.History, vault.Judged{At: a.Now().Unix(), Word: "resumed", Note: "a person resumed it: " + why})
		p.Machine = trimmed(p.Machine)
	})
	return why, err
}

// ForgetMachine takes the next machine behind a pin for the right one: after a
// TPM was replaced, and its new identity compared by another channel.
func (a *App) ForgetMachine(name string) error {
	return a.changeMachine(name, func(p *vault.Pinned) {
		old := p.Machine
		m := vault.Machine{Deny: old.Deny, Manifest: old.Manifest, Roots: old.Roots, Held: old.Held, History: old.History, Quiet: old.Quiet}
		m.History = append(m.History, vault.Judged{At: a.Now().Unix(), Word: "forgotten", Note: "a person forgot its identity"})
		p.AKName, p.Machine = nil, trimmed(m)
	})
}

// held refuses a job for a machine whose jobs are suspended.
func (a *App) held(name string) error {
	p, _, err := a.pin(name)
	if err != nil {
		return err
	}
	if p.Machine.Held != "" {
		return fmt.Errorf("%w: %s: %s", ErrHeld, called(name), p.Machine.Held)
	}
	return nil
}

// SetRoots accepts one more maker for a machine, or with nil only the shipped
// ones.
func (a *App) SetRoots(name string, r *attest.Root) error {
	return a.changeMachine(name, func(p *vault.Pinned) {
		if r == nil {
			p.Machine.Roots = nil
			return
		}
		p.Machine.Roots = append(p.Machine.Roots, *r)
	})
}
