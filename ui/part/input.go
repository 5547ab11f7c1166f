package part

import (
	"strings"
	"unicode/utf8"

	"cipherdeck/ui/plain"
	"cipherdeck/ui/theme"
)

// Input is one line of text being typed. A masked one never shows what it
// holds, and Take wipes it.
type Input struct {
	Mask  bool
	runes []rune
	at    int
}

// maxInput bounds what can be typed or pasted, in characters.
const maxInput = 4096

// Set replaces the text.
func (i *Input) Set(s string) { i.runes, i.at = []rune(s), utf8.RuneCountInString(s) }

// Text is what was typed. It is not for secrets: see Take.
func (i *Input) Text() string { return string(i.runes) }

// Len is how many characters were typed.
func (i *Input) Len() int { return len(i.runes) }

// Bytes is a copy of what was typed, for the caller to clear.
func (i *Input) Bytes() []byte {
	var b []byte
	for _, r := range i.runes {
		b = utf8.AppendRune(b, r)
	}
	return b
}

// Wipe forgets what was typed.
func (i *Input) Wipe() {
	clear(i.runes[:cap(i.runes)])
	i.runes, i.at = nil, 0
}

// Take is Bytes and Wipe.
func (i *Input) Take() []byte {
	b := i.Bytes()
	i.Wipe()
	return b
}

// Key edits; false means the key is not one of editing.
func (i *Input) Key(k Key) bool {
	switch k.Name {
	case "left", "ctrl+b":
		i.at = max(i.at-1, 0)
	case "right", "ctrl+f":
		i.at = min(i.at+1, len(i.runes))
	case "home", "ctrl+a":
		i.at = 0
	case "end", "ctrl+e":
		i.at = len(i.runes)
	case "backspace", "ctrl+h":
		i.drop(i.at-1, i.at)
	case "delete":
		i.drop(i.at, i.at+1)
	case "ctrl+u":
		i.drop(0, i.at)
	case "ctrl+w":
		i.drop(i.word(), i.at)
	default:
		if k.Text == "" {
			return false
		}
		i.insert(k.Text)
	}
	return true
}

// insert adds s as one line: a pasted passphrase keeps no newline.
func (i *Input) insert(s string) {
	s = strings.TrimRight(s, "\r\n")
	add := []rune(strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ").Replace(s))
	if len(i.runes)+len(add) > maxInput {
		return
	}
	next := make([]rune, 0, len(i.runes)+len(add))
	next = append(append(append(next, i.runes[:i.at]...), add...), i.runes[i.at:]...)
	clear(i.runes)
	i.runes, i.at = next, i.at+len(add)
}

func (i *Input) drop(from, to int) {
	if from < 0 || to > len(i.runes) || from >= to {
		return
	}
	n := len(i.runes)
	i.runes = append(i.runes[:from], i.runes[to:]...)
	clear(i.runes[len(i.runes):n])
	i.at = from
}

// word is where the word before the cursor begins.
func (i *Input) word() int {
	at := i.at
	for at > 0 && i.runes[at-1] == ' ' {
		at--
	}
	for at > 0 && i.runes[at-1] != ' ' {
		at--
	}
	return at
}

// View shows the text in w cells, with the cursor in it when focused.
func (i *Input) View(th theme.Theme, w int, focused bool) string {
	show := func(from, to int) string {
		if i.Mask {
			return strings.Repeat("•", max(to-from, 0))
		}
		return plain.Text(string(i.runes[from:to]))
	}
	if !focused {
		return Cut(show(0, len(i.runes)), w)
	}
	from := max(0, i.at-max(w-2, 1))
	under, rest := " ", ""
	if i.at < len(i.runes) {
		under, rest = show(i.at, i.at+1), show(i.at+1, len(i.runes))
	}
	return Cut(show(from, i.at)+th.Cursor(under)+rest, w)
}
