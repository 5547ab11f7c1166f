package screen

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"

	"cipherdeck/attest"
	"cipherdeck/ui/clip"
)

// copied is that a value is in the clipboard, or why not.
type copied struct {
	what  string
	n     int
	where string
	err   error
}

// toClipboard is where values go; tests have their own.
func toClipboard(value []byte) (where string, err error) {
	c, err := clip.Find(os.Getenv)
	if err != nil {
		return "", err
	}
	return c.Name, c.Set(context.Background(), value)
}

// copy puts what is chosen into the clipboard: it is evidence, no secret, so it
// stays there.
func (v *servers) copy() cmd {
	what, value := v.copyable()
	if value == "" {
		return func() msg { return copied{what: what} }
	}
	put := v.put
	return func() msg {
		where, err := put([]byte(value))
		return copied{what, len(value), where, err}
	}
}

// copyable is what y copies and what it is; no value, and why there is none.
func (v *servers) copyable() (what, value string) {
	e, ok := v.chosen()
	if !ok {
		return "no server is chosen", ""
	}
	m := v.s.data.machines[e.name]
	if v.page == pageMachine {
		if m.Words == "" {
			return "this machine was never attested", ""
		}
		return "identity of " + e.name, m.Words + "\n" + m.Digits + "\n"
	}
	if e.judged == nil || e.judged.Verdict == nil {
		return "there is no proof yet: a asks the server", ""
	}
	switch rows := e.judged.Verdict.PCRs; {
	case v.page == pagePCRs && len(rows) > 0:
		r := rows[min(v.row.At, len(rows)-1)]
		return fmt.Sprintf("PCR %d", r.Index), hex.EncodeToString(r.Value)
	case v.page == pageLab:
		return "the tamper lab shows nothing to keep; c shows the chain", ""
	case v.page == pagePCRs:
		return "no register was shown", ""
	}
	l := e.judged.Verdict.Links[min(v.links.At, v.count()-1)]
	return "link " + l.ID, linkText(l)
}

// linkText is a link whole, with all of its evidence.
func linkText(l attest.Link) string {
	out := fmt.Sprintf("%s: %s\n%s\nrule: %s\nfound: %s\ndoes not prove: %s\n", l.ID, l.State, l.Claim, l.Rule, l.Found, l.NotProven)
	for _, d := range l.Data {
		out += fmt.Sprintf("%s: %x\n", d.Name, d.Value)
	}
	return out
}

// said tells what became of it.
func (r *root) copied(m copied) {
	switch {
	case m.err != nil:
		r.say(sayBad, "not copied: "+m.err.Error())
	case m.n == 0:
		r.say(sayNote, "nothing to copy: "+m.what)
	default:
		r.say(sayGood, fmt.Sprintf("copied %s, %d bytes, to the clipboard (%s)", m.what, m.n, m.where))
	}
}
