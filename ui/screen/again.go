package screen

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cipherdeck/ui/app"
	"cipherdeck/ui/plain"
)

// askAgain is how old a verdict may be while the workstation is open.
const askAgain = 10 * time.Minute

// briefName is what a machine is called where there is little room.
func briefName(name string) string {
	if uid, ok := strings.CutPrefix(name, app.NodePrefix); ok {
		return "node " + uid[:min(8, len(uid))]
	}
	return name
}

// asked is that a server was asked again.
type asked struct{ server string }

// askOld asks every server that proved something in this session, and whose
// proof is old, again. It is no work that a person waits for: nothing shows but
// what comes of it. A locked vault asks nobody.
func (r *root) askOld() cmd {
	a := r.s.app()
	if a == nil || !r.s.data.facts.Unlocked || r.s.story != nil {
		return nil
	}
	var cs []cmd
	for name, j := range r.s.data.verdicts {
		if r.asking[name] || r.s.now().Sub(j.At) < askAgain || j.Verdict == nil {
			continue
		}
		r.asking[name] = true
		ask := r.ask
		cs = append(cs, func() msg {
			ask(a, name)
			return asked{name}
		})
	}
	return all(cs...)
}

// asked takes the answer: the board has the verdict, the vault what it changed.
func (r *root) asked(m asked) cmd {
	delete(r.asking, m.server)
	if !r.s.data.facts.Unlocked {
		return nil
	}
	return r.s.survey()
}

// drifted says on every screen, once, that a server is not as it was.
func (r *root) drifted(j app.Judged) {
	if slices.Equal(r.drifts[j.Server], j.Drift.Lines) {
		return
	}
	r.drifts[j.Server] = j.Drift.Lines
	if n := len(j.Drift.Lines); n > 0 {
		more := ""
		if n > 1 {
			more = fmt.Sprintf(" and %d more", n-1)
		}
		r.say(sayNote, plain.Text(briefName(j.Server))+" is not as with its last good verdict: "+plain.Text(j.Drift.Lines[0])+more+"; Servers, p shows it")
	}
}
