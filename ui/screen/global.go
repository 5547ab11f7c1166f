package screen

import (
	"github.com/charmbracelet/bubbles/key"

	"cipherdeck/ui/part"
)

// globalKey is a key that works on every screen: what it is, how help names
// it, and what it does.
type globalKey struct {
	key.Binding
	do func(*root) cmd
}

// globalKeys is the one table of them. A binding without help is named by the
// screens themselves.
func globalKeys() []globalKey {
	bind := func(title string, keys ...string) key.Binding {
		return key.NewBinding(key.WithKeys(keys...), key.WithHelp(keys[0], title))
	}
	return []globalKey{
		{bind("Projects", "1"), func(r *root) cmd { return r.turn(0) }},
		{bind("Servers", "2"), func(r *root) cmd { return r.turn(1) }},
		{bind("Jobs", "3"), func(r *root) cmd { return r.turn(2) }},
		{bind("All commands, by typing", ":", "ctrl+p"), func(r *root) cmd { return r.help("", nil) }},
		{bind("Help for this screen", "?"), func(r *root) cmd { return r.help(r.now().name(), r.now().hints()) }},
		{bind("Lock the vault now: wipe its keys from memory", "ctrl+l"), (*root).lock},
		{bind("Quit", "q"), func(r *root) cmd { return r.leave(false) }},
		{key.NewBinding(key.WithKeys("R")), func(r *root) cmd { return all(r.s.survey(), r.now().open()) }},
	}
}

// help opens the list of what can be done on a screen, "" for everywhere.
func (r *root) help(on string, moves []hint) cmd {
	r.over = append(r.over, newHelp(r.s, on, moves))
	return nil
}

// global does what a key means everywhere.
func (r *root) global(k part.Key) cmd {
	for _, g := range globalKeys() {
		if key.Matches(k, g.Binding) {
			return g.do(r)
		}
	}
	return nil
}

// globals are the rows of help for the keys that work on every screen.
func globals(s *session) []row {
	var rows []row
	for _, g := range globalKeys() {
		if h := g.Help(); h.Desc != "" {
			rows = append(rows, row{key: h.Key, title: h.Desc, where: "anywhere", press: part.Key{Name: h.Key}})
		}
	}
	if s.story != nil {
		rows = append(rows, row{key: nextKey, title: "Next act of the demonstration", where: "anywhere", press: part.Key{Name: nextKey}})
	}
	return rows
}
