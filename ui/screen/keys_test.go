package screen

import (
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"

	"cipherdeck/ui/action"
	"cipherdeck/ui/part"
)

func TestKeysReadTogetherAreSplit(t *testing.T) {
	runes := func(s string) tea.KeyMsg { return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(s)} }
	paste := runes("jj\nk")
	paste.Paste = true
	alt := runes("x")
	alt.Alt = true
	for _, c := range []struct {
		in   tea.KeyMsg
		want string // names, and texts after a slash
	}{
		{runes("jjj"), "j/j j/j j/j"},
		{runes("a b"), "a/a space/  b/b"},
		{runes("é字"), "é/é 字/字"},
		{paste, "/jj\nk"},
		{alt, "esc/ x/x"},
		{tea.KeyMsg{Type: tea.KeySpace, Runes: []rune(" ")}, "space/ "},
		{tea.KeyMsg{Type: tea.KeyEnter}, "enter/"},
		{tea.KeyMsg{Type: tea.KeyEsc, Alt: true}, "esc/ esc/"},
		{tea.KeyMsg{Type: tea.KeyCtrlN}, "ctrl+n/"},
	} {
		var got []string
		for _, k := range split(c.in) {
			got = append(got, k.Name+"/"+k.Text)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%v gives %q, want %q", c.in, s, c.want)
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("jjj", false)
	f.Add("a\x1b]52;c;aGk=\x07 字", true)
	f.Fuzz(func(t *testing.T, s string, paste bool) {
		ks := split(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(s), Paste: paste})
		var back strings.Builder
		for _, k := range ks {
			back.WriteString(k.Text)
		}
		if back.String() != string([]rune(s)) {
			t.Fatalf("%q became %q", s, back.String())
		}
		if paste && len(ks) != 1 || !paste && len(ks) != len([]rune(s)) {
			t.Fatalf("%q, paste %v: %d keys", s, paste, len(ks))
		}
	})
}

func TestJJJMovesThreeRows(t *testing.T) {
	r := unlocked(t, 80, 24)
	keys(r, "2", "enter")
	keys(r, "jjj")
	if at := r.screens[1].(*servers).links.At; at != 3 {
		t.Errorf("jjj moved to link %d, want 3", at)
	}
}

// TestEveryActionOfAScreenHasAKey holds the registry to what the screens can
// offer: an action that names a screen must have a key there that does not
// move anything, and no two the same.
func TestEveryActionOfAScreenHasAKey(t *testing.T) {
	for _, on := range []string{"projects", "servers", "jobs"} {
		seen := map[string]string{}
		for _, a := range action.All() {
			if a.Screen != on {
				continue
			}
			k := bound(a, on)
			if k == "" || seen[k] != "" || reserved(k) {
				t.Errorf("%s on %s: key %q (also of %q)", a.ID, on, k, seen[k])
			}
			seen[k] = a.ID
			if got := onKey(action.All(), on, k); got == nil || got.ID != a.ID {
				t.Errorf("key %q on %s does not start %s", k, on, a.ID)
			}
		}
	}
}

func TestPasteIntoAPassphraseKeepsNoNewline(t *testing.T) {
	var in part.Input
	in.Key(part.Key{Text: "eight random\nwords\r\n"})
	if got := in.Text(); got != "eight random words" {
		t.Errorf("pasted %q", got)
	}
}
