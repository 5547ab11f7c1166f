package app

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cipherdeck/attest"
)

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
