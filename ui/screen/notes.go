package screen

import (
	"fmt"
	"time"

	"cipherdeck/ui/app"
	"cipherdeck/ui/part"
	"cipherdeck/ui/plain"
	"cipherdeck/ui/theme"
	"cipherdeck/vault/project"
)

// note is a line above a project's items: something that waits to be done, or
// what the project was compared with. The command, if any, is what does it.
type note struct {
	Warn    bool
	Text    string
	Command string
}

// takeNotes gathers what is to be said about an opened project.
func takeNotes(a *app.App, p *project.Project, now time.Time) ([]note, error) {
	var out []note
	warn := func(text, command string) { out = append(out, note{true, text, command}) }
	if p.State().Due {
		warn("somebody outside may know the key", "project rotate")
	} else if p.EpochAge() > project.KeyAge {
		warn(fmt.Sprintf("the key is %d days old", int(p.EpochAge().Hours()/24)), "project rotate")
	}
	n, err := a.Unsent(p)
	if n > 0 {
		warn(fmt.Sprintf("%d made offline, not sent", n), "project sync")
	}
	if p.Offline() {
		warn("no server: this is as it was seen here last", "")
		return out, err
	}
	return append(out, compared(a, p, now)), err
}

// compared says against whom the server's answer was held: the witnesses of its
// journal, and other members.
func compared(a *app.App, p *project.Project, now time.Time) note {
	server, err := a.ServerOf(p)
	word := ""
	if err == nil {
		word = a.JournalWord(server)
	}
	if word == "" {
		word = "not looked at"
	}
	h, n := p.Heard(), note{Text: "journal " + word}
	switch {
	case len(p.State().Members) == 1:
	case len(h.Agree) == 0:
		n.Warn, n.Text = true, n.Text+" · no other member's word yet"
	case !h.Fresh(now):
		n.Warn, n.Text = true, n.Text+fmt.Sprintf(" · last word %d days ago", int(now.Sub(h.Newest).Hours()/24))
	default:
		n.Text += fmt.Sprintf(" · %d others see the same", len(h.Agree))
		if len(h.Agree) == 1 {
			n.Text = "journal " + word + " · 1 other sees the same"
		}
	}
	return n
}

// line is the note in w cells. The command stays whole as long as it can.
func (n note) line(th theme.Theme, w int) string {
	role, mark := theme.Dim, "· "
	if n.Warn {
		role, mark = theme.Warn, "! "
	}
	text := mark + plain.Text(n.Text)
	if n.Command == "" {
		return " " + th.Paint(role, part.Cut(text, w-2))
	}
	return " " + th.Paint(role, part.Cut(text, w-4-len(n.Command))) + th.Paint(theme.Dim, ": ") + th.Paint(theme.Key, n.Command)
}
