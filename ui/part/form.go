package part

import (
	"strings"

	"cipherdeck/ui/plain"
	"cipherdeck/ui/theme"
)

// Kind is how a field is filled.
type Kind uint8

// The kinds of field.
const (
	Line   Kind = iota // typed
	Secret             // typed, never shown
	Choice             // one of some
	Switch             // on or off
)

// Option is one choice: what is shown, and what it stands for.
type Option struct{ Label, Value string }

// Field is one thing asked for.
type Field struct {
	Name    string // of the argument it fills
	Label   string
	Help    string
	Kind    Kind
	Input   Input
	Options []Option
	At      int
	On      bool
	Need    bool
	typed   string // letters that chose an option
}

// Value is what the field holds, "" for a secret.
func (f *Field) Value() string {
	switch f.Kind {
	case Line:
		return strings.TrimSpace(f.Input.Text())
	case Choice:
		if f.At < len(f.Options) {
			return f.Options[f.At].Value
		}
	case Switch:
		if f.On {
			return "true"
		}
	}
	return ""
}

// Form asks for some fields, one after the other.
type Form struct {
	Title  string
	Intro  string // a sentence above the fields
	Fields []*Field
	Submit string // what enter on the last field does
	Fault  string // why it cannot be sent
	Check  func(*Form) string
	at     int
}

// Answer is what a key did to a form.
type Answer uint8

// The answers.
const (
	Stay Answer = iota
	Send
	Cancel
)

// Field finds a field by its name, or nil.
func (f *Form) Field(name string) *Field {
	for _, x := range f.Fields {
		if x.Name == name {
			return x
		}
	}
	return nil
}

// Focus puts the cursor into a field.
func (f *Form) Focus(name string) {
	for i, x := range f.Fields {
		if x.Name == name {
			f.at = i
		}
	}
}

// Wipe forgets all that was typed into secret fields.
func (f *Form) Wipe() {
	for _, x := range f.Fields {
		if x.Kind == Secret {
			x.Input.Wipe()
		}
	}
}

// Key edits the form and says whether it is done.
func (f *Form) Key(k Key) Answer {
	switch k.Name {
	case "esc":
		f.Wipe()
		return Cancel
	case "tab", "down":
		f.move(1)
		return Stay
	case "shift+tab", "up":
		f.move(-1)
		return Stay
	case "enter":
		if !f.last() {
			f.at++
			return Stay
		}
		return f.send()
	}
	if f.at < len(f.Fields) {
		f.Fault = ""
		f.Fields[f.at].key(k)
	}
	return Stay
}

// last reports whether nothing but switches is left below the cursor: enter
// sends then.
func (f *Form) last() bool {
	for _, x := range f.Fields[min(f.at+1, len(f.Fields)):] {
		if x.Kind != Switch {
			return false
		}
	}
	return true
}

func (f *Form) move(by int) {
	if n := len(f.Fields); n > 0 {
		f.at = (f.at + by + n) % n
	}
}

func (f *Form) send() Answer {
	for i, x := range f.Fields {
		if x.Need && x.Value() == "" && x.Input.Len() == 0 {
			f.Fault, f.at = x.Label+" is needed", i
			return Stay
		}
	}
	if f.Check != nil {
		if f.Fault = f.Check(f); f.Fault != "" {
			return Stay
		}
	}
	return Send
}

func (f *Field) key(k Key) {
	switch f.Kind {
	case Switch:
		if k.Name == "space" || k.Name == "left" || k.Name == "right" || k.Name == "x" {
			f.On = !f.On
		}
	case Choice:
		f.choose(k)
	default:
		f.Input.Key(k)
	}
}

func (f *Field) choose(k Key) {
	n := len(f.Options)
	if n == 0 {
		return
	}
	switch k.Name {
	case "left":
		f.At, f.typed = (f.At+n-1)%n, ""
	case "right", "space":
		f.At, f.typed = (f.At+1)%n, ""
	default:
		if k.Text != "" && !f.find(f.typed+k.Text, 0) {
			f.find(k.Text, 1)
		}
	}
}

// find chooses the next option that begins with what was typed, from the one
// skip places after the present.
func (f *Field) find(typed string, skip int) bool {
	for i := range f.Options {
		j := (f.At + i + skip) % len(f.Options)
		if strings.HasPrefix(strings.ToLower(f.Options[j].Label), strings.ToLower(typed)) {
			f.At, f.typed = j, typed
			return true
		}
	}
	return false
}

// Lines draws the form in w cells; the second value is the line with the
// cursor, so that a small window can show it.
func (f *Form) Lines(th theme.Theme, w int) (lines []string, at int) {
	for _, l := range Wrap(f.Intro, w-2) {
		lines = append(lines, " "+th.Paint(theme.Dim, l))
	}
	if f.Intro != "" {
		lines = append(lines, "")
	}
	col := 0
	for _, x := range f.Fields {
		col = max(col, Width(x.Label))
	}
	col = min(col, max(w/3, 8))
	for i, x := range f.Fields {
		on := i == f.at
		mark, label := "  ", th.Paint(theme.Dim, Fit(x.Label, col))
		if on {
			at = len(lines)
			mark, label = th.Bold(theme.Selection, "▌")+" ", th.Bold(theme.Text, Fit(x.Label, col))
		}
		lines = append(lines, mark+label+"  "+x.view(th, max(w-col-4, 4), on))
		if on && x.Help != "" {
			for _, l := range Wrap(x.Help, w-col-4) {
				lines = append(lines, strings.Repeat(" ", col+4)+th.Paint(theme.Faint, l))
			}
		}
	}
	if f.Fault != "" {
		lines = append(lines, "")
		for _, l := range Wrap("✗ "+plain.Text(f.Fault), w-2) {
			lines = append(lines, " "+th.Bold(theme.Bad, l))
		}
	}
	return lines, at
}

func (f *Field) view(th theme.Theme, w int, on bool) string {
	switch f.Kind {
	case Switch:
		if f.On {
			return th.Paint(theme.Text, "[x] yes")
		}
		return th.Paint(theme.Dim, "[ ] no")
	case Choice:
		if len(f.Options) == 0 {
			return th.Paint(theme.Faint, "nothing to choose from")
		}
		l := plain.Text(f.Options[f.At].Label)
		if !on {
			return Cut(l, w)
		}
		return th.Paint(theme.Key, "‹ ") + Cut(l, w-4) + th.Paint(theme.Key, " ›")
	}
	if !on && f.Input.Len() == 0 {
		if f.Need {
			return th.Paint(theme.Faint, "…")
		}
		return th.Paint(theme.Faint, "(optional)")
	}
	return f.Input.View(th, w, on)
}

// Hint is the keys of the form.
func (f *Form) Hint() [][2]string {
	var h [][2]string
	if len(f.Fields) > 1 {
		h = append(h, [2]string{"tab", "next field"})
	}
	if f.at < len(f.Fields) && f.Fields[f.at].Kind == Choice {
		h = append(h, [2]string{"←→", "choose"})
	}
	if f.at < len(f.Fields) && f.Fields[f.at].Kind == Switch {
		h = append(h, [2]string{"space", "switch"})
	}
	enter := f.Submit
	if !f.last() {
		enter = "next"
	}
	return append(h, [2]string{"enter", enter}, [2]string{"esc", "cancel"})
}
