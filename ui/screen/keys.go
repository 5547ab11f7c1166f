package screen

import (
	tea "github.com/charmbracelet/bubbletea"

	"cipherdeck/ui/part"
)

// split turns one key message of the terminal library into keys. Keys that
// were read together arrive as one message ("jjj"); a screen must see three.
// Only a paste stays whole.
func split(m tea.KeyMsg) []part.Key {
	k := tea.Key(m)
	switch {
	case k.Paste:
		return []part.Key{{Text: string(k.Runes)}}
	case k.Type == tea.KeySpace:
		return []part.Key{{Name: "space", Text: " "}}
	case k.Alt && k.Type == tea.KeyEsc: // escape twice, read together
		return []part.Key{{Name: "esc"}, {Name: "esc"}}
	case k.Type != tea.KeyRunes:
		return []part.Key{{Name: m.String()}}
	}
	out := make([]part.Key, 0, len(k.Runes)+1)
	if k.Alt { // escape and a key, read together; alt itself is bound to nothing
		out = append(out, part.Key{Name: "esc"})
	}
	for _, r := range k.Runes {
		switch r {
		case ' ':
			out = append(out, part.Key{Name: "space", Text: " "})
		default:
			out = append(out, part.Key{Name: string(r), Text: string(r)})
		}
	}
	return out
}
