package action_test

import (
	"strings"
	"testing"
	"unicode"

	"cipherdeck/ui/action"
	"cipherdeck/ui/app"
	"cipherdeck/ui/plain"
)

func TestRegistryIsConsistent(t *testing.T) {
	if err := action.Check(action.All()); err != nil {
		t.Fatal(err)
	}
}

// Every command has its place in help, and only one.
func TestEveryActionHasAHeading(t *testing.T) {
	seen := map[string]int{}
	for _, p := range action.Parts() {
		of := p.Of(action.All())
		if len(of) == 0 {
			t.Errorf("nothing stands under %q", p.Heading)
		}
		for _, a := range of {
			seen[a.ID]++
		}
	}
	for _, a := range action.All() {
		if seen[a.ID] != 1 && !a.Hidden {
			t.Errorf("%s stands under %d headings", a.ID, seen[a.ID])
		}
	}
}

// Check itself must be able to say no.
func TestCheckRefuses(t *testing.T) {
	run := action.All()[0].Run
	ok := action.Action{ID: "a", Title: "A", Run: run}
	for name, list := range map[string][]*action.Action{
		"no id":        {{Title: "A", Run: run}},
		"no title":     {{ID: "a", Run: run}},
		"nothing runs": {{ID: "a", Title: "A"}},
		"id twice":     {&ok, {ID: "a", Title: "B", Run: run}},
		"key twice":    {{ID: "a", Title: "A", Run: run, Screen: "s", Keys: []string{"x"}}, {ID: "b", Title: "B", Run: run, Screen: "s", Keys: []string{"x"}}},
	} {
		if action.Check(list) == nil {
			t.Errorf("%s: not refused", name)
		}
	}
	if err := action.Check([]*action.Action{&ok, {ID: "b", Title: "B", Run: run, Screen: "t", Keys: []string{"x"}}}); err != nil {
		t.Errorf("two good ones: %v", err)
	}
}

func TestEveryActionExplainsItself(t *testing.T) {
	for _, a := range action.All() {
		t.Run(a.ID, func(t *testing.T) {
			if !unicode.IsUpper([]rune(a.Title)[0]) || strings.HasSuffix(a.Title, ".") || len(a.Title) > 70 {
				t.Errorf("title %q: want one short sentence, capital first, no full stop", a.Title)
			}
			if !strings.HasSuffix(a.Help, ".") {
				t.Errorf("help %q: want a sentence or more", a.Help)
			}
			if plain.Text(a.Help) != a.Help {
				t.Error("help has characters that are not plainly visible")
			}
			if len(a.Keys) > 0 && a.Screen == "" {
				t.Errorf("keys %v on no screen", a.Keys)
			}
			checkArgs(t, a)
		})
	}
}

// checkArgs demands what the parser of the command line relies on.
func checkArgs(t *testing.T, a *action.Action) {
	t.Helper()
	names, flags := map[string]bool{}, map[string]bool{"home": true, "json": true, "quiet": true, "help": true, "passphrase-fd": true, "no-keyring": true, "q": true, "h": true}
	optional := false
	for _, g := range a.Args {
		if g.Name == "" || names[g.Name] || g.Help == "" {
			t.Errorf("argument %q: needs a name of its own and a help", g.Name)
		}
		names[g.Name] = true
		for _, f := range []string{g.Flag, g.Short} {
			if f != "" && flags[f] {
				t.Errorf("flag %q is there twice, or is one that every command has", f)
			}
			flags[f] = true
		}
		if g.Flag != "" {
			continue
		}
		if g.Switch || g.Short != "" {
			t.Errorf("%s is positional and cannot be a switch", g.Name)
		}
		if optional && g.Need {
			t.Errorf("%s is needed but stands after an optional one", g.Name)
		}
		optional = optional || !g.Need
	}
}

func TestBlockedSaysWhy(t *testing.T) {
	all := action.All()
	for _, c := range []struct {
		id    string
		facts app.Facts
		why   string
	}{
		{"project.new", app.Facts{}, "the vault is locked"},
		{"project.new", app.Facts{Unlocked: true}, "no server is pinned yet"},
		{"project.new", app.Facts{Unlocked: true, Servers: 1}, ""},
		{"share", app.Facts{Unlocked: true, Servers: 1}, "there is no project yet"},
		{"share", app.Facts{Unlocked: true, Servers: 1, Projects: 1}, ""},
		{"vault.init", app.Facts{HasVault: true}, "there is a vault already"},
		{"vault.init", app.Facts{}, ""},
		{"plan", app.Facts{}, ""},
	} {
		if got := action.Find(all, c.id).Blocked(c.facts); got != c.why {
			t.Errorf("%s with %+v: %q, want %q", c.id, c.facts, got, c.why)
		}
	}
}
