package screen

import (
	"errors"
	"fmt"
	"strings"

	"cipherdeck/attest"
	"cipherdeck/ui/app"
	"cipherdeck/ui/part"
	"cipherdeck/ui/plain"
	"cipherdeck/ui/theme"
)

// stopOver takes the whole screen when a machine is not the one it was, like
// another host key of SSH. There is nothing to accept here: leaving is what every
// key does but one, and that one leads to the command that asks for the name.
type stopOver struct {
	s  *session
	is *app.IdentityError
}

func (o *stopOver) title() string {
	return "STOP: another machine answers for " + plain.Text(briefName(o.is.Name))
}
func (o *stopOver) whole() bool { return true }
func (o *stopOver) hints() []hint {
	return []hint{{"esc", "leave; nothing was sent"}, {"f", "forget the old machine, by typing its name"}}
}

func (o *stopOver) key(k part.Key, _ int) (cmd, bool) {
	switch k.Name {
	case "f":
		for _, a := range o.s.actions {
			if a.ID == o.command() {
				return func() msg { return perform{a} }, true
			}
		}
	case "esc", "enter", "q", "space":
		return nil, true
	}
	return nil, false
}

// command is the one that accepts the machine.
func (o *stopOver) command() string {
	if app.IsNode(o.is.Name) {
		return "node.forget-machine"
	}
	return "server.forget-machine"
}

func (o *stopOver) view(w, h int) []string {
	th := o.s.th
	out := []string{""}
	say := func(role theme.Role, text string) {
		for _, l := range part.Wrap(text, w-3) {
			out = append(out, " "+th.Paint(role, l))
		}
	}
	say(theme.Bad, "✗ The TPM behind this address is another one than before. Somebody replaced the machine, or somebody else answers in its place. Nothing was sent to it.")
	out = append(out, "")
	was := "it was"
	if !o.is.Since.IsZero() {
		was = "it was, since " + o.is.Since.Local().Format("2006-01-02 15:04")
	}
	out = append(out, o.faces(w, h-len(out)-6, was)...)
	out = append(out, "")
	say(theme.Text, "Ask its operator by another channel whether the machine or its TPM was replaced, and compare the words above with his. If it was not, this is an attack: send nothing.")
	say(theme.Dim, "It stays refused until you forget the old machine:")
	out = append(out, "   "+part.Cut(strings.Replace(o.command(), ".", " ", 1)+" "+plain.Text(strings.TrimPrefix(o.is.Name, app.NodePrefix)), w-4))
	return out
}

// faces are both identities, beside each other where there is room.
func (o *stopOver) faces(w, h int, was string) []string {
	half := (w - 3) / 2
	if w < 76 {
		half = w - 2
	}
	words := func(id attest.Identity) []string { return part.Wrap(app.Words(id), half-3) }
	same := max(len(words(o.is.Was)), len(words(o.is.Is))) // so that what belongs together stands side by side
	left, right := o.face(was, theme.Text, o.is.Was, same, half, h), o.face("it is now", theme.Bad, o.is.Is, same, half, h)
	if half == w-2 {
		return append(append(left, ""), right...)
	}
	n := max(len(left), len(right))
	return part.Beside(" ", part.Exactly(left, half, n), part.Exactly(right, half, n))
}

// face is one identity: words, digits, and the picture when there is room.
func (o *stopOver) face(head string, role theme.Role, id attest.Identity, same, w, h int) []string {
	th := o.s.th
	out := []string{" " + th.Bold(role, head)}
	words := part.Wrap(app.Words(id), w-3)
	words = append(words, make([]string, same-len(words))...)
	for _, l := range append(words, part.Wrap(app.Digits(id), w-3)...) {
		out = append(out, "   "+th.Paint(role, l))
	}
	if art := app.Art(id); len(out)+len(art) <= h {
		for _, l := range art {
			out = append(out, "   "+th.Paint(theme.Dim, l))
		}
	}
	return out
}

// stopped puts the stop in front, once for each time that it was found.
func (r *root) stopped(j app.Judged) {
	var e *app.IdentityError
	if !errors.As(j.Err, &e) {
		return
	}
	key := fmt.Sprintf("%s %d", j.Server, j.At.UnixNano())
	if r.stops[key] {
		return
	}
	r.stops[key] = true
	r.over = append(r.over, &stopOver{r.s, e})
}
