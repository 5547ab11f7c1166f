package screen

import (
	"slices"
	"strings"

	"cipherdeck/ui/action"
	"cipherdeck/ui/part"
)

// reserved are keys that move in every list and so cannot start an action; a
// test holds the registry to it.
func reserved(k string) bool {
	return slices.Contains([]string{"j", "k", "h", "l", "g", "G", "q", "R", "1", "2", "3", "?", ":", "tab", "esc"}, k)
}

// bound is the key of an action on a screen, "" if it has none there.
func bound(a *action.Action, on string) string {
	if a.Screen == on && len(a.Keys) > 0 {
		return a.Keys[0]
	}
	return ""
}

// isKey reports whether name is one of a's keys on a screen.
func isKey(a *action.Action, on, name string) bool {
	return a.Screen == on && slices.Contains(a.Keys, name)
}

// onKey finds the action of a key on a screen, or nil.
func onKey(list []*action.Action, on, name string) *action.Action {
	for _, a := range list {
		if isKey(a, on, name) {
			return a
		}
	}
	return nil
}

// offered reports whether an action can be started from the workstation at
// all. Those of the unlock screen are that screen's own.
func offered(a *action.Action) bool {
	return a.Screen != "unlock" && (a.Screen != "" || a.Vault || a.ID == "words")
}

// actionHints are the keys of a screen's actions that can run now, with a
// short word each.
func (s *session) actionHints(on string) []hint {
	var out []hint
	for _, a := range s.actions {
		if k := bound(a, on); k != "" && offered(a) && a.Blocked(s.data.facts) == "" {
			out = append(out, hint{k, short(a)})
		}
	}
	slices.SortStableFunc(out, func(x, y hint) int { return rank(x[0]) - rank(y[0]) })
	return out
}

// rank puts what is done most at the left, where it is not cut off.
func rank(k string) int {
	i := strings.Index("nearpsxmiN", k)
	if i < 0 {
		return 99
	}
	return i
}

// short is an action in a word, for the bottom line.
func short(a *action.Action) string {
	switch a.ID {
	case "project.new":
		return "new"
	case "project.add":
		return "seal"
	case "project.join":
		return "invitations"
	case "people.add":
		return "meet"
	case "server.add":
		return "add"
	case "attest":
		return "attest"
	}
	w := a.ID[strings.LastIndexByte(a.ID, '.')+1:]
	return w
}

// filter keeps the rows that hold all words of q: of key, title or command. Titles
// that begin with q go first.
func filter(q string, rows []row) []row {
	words := strings.Fields(strings.ToLower(q))
	var out []row
	for _, r := range rows {
		hay := strings.ToLower(r.key + " " + r.title + " " + r.where)
		if r.a != nil { // who knows the command line looks for its words
			hay += " " + r.a.Command()
		}
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(hay, w) }) {
			out = append(out, r)
		}
	}
	begins := func(r row) int {
		if q != "" && strings.HasPrefix(strings.ToLower(r.title), strings.ToLower(q)) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(out, func(x, y row) int { return begins(x) - begins(y) })
	return out
}

// row is one line of help.
type row struct {
	key, title, where string
	why               string // it cannot run now
	a                 *action.Action
	press             part.Key // for a global: what to press
}
