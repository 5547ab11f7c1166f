package cli

import (
	"fmt"
	"slices"
	"strings"

	"cipherdeck/ui/action"
)

// entry is a line of help in JSON.
type entry struct {
	Command string `json:"command"`
	Title   string `json:"title"`
}

// help lists all commands, or those that begin with one word, or explains the
// one that words name.
func help(list []*action.Action, words []string) (action.Result, error) {
	if len(words) == 0 {
		return everything(list), nil
	}
	if a, _ := find(list, words); a != nil {
		return explain(a), nil
	}
	var begin []*action.Action
	for _, a := range list {
		if len(words) == 1 && strings.HasPrefix(a.ID, words[0]+".") {
			begin = append(begin, a)
		}
	}
	if len(begin) == 0 {
		return action.Result{}, fmt.Errorf("%w: there is no command %q", ErrUsage, strings.Join(words, " "))
	}
	text, data := lines(begin)
	return action.Result{Data: data, Text: text}, nil
}

// everything is the list of all commands, under their headings.
func everything(list []*action.Action) action.Result {
	text := []string{
		"cipherdeck: compute on data nobody else can read, and prove it.",
		"",
		"  cipherdeck                     open the workstation (on a terminal)",
	}
	var data []entry
	for _, p := range action.Parts() {
		more, entries := lines(p.Of(list))
		text = append(append(text, "", p.Heading), more...)
		data = append(data, entries...)
	}
	text = append(text, "", "cipherdeck help COMMAND explains one of them; every command takes --json.")
	return action.Result{Data: data, Text: text}
}

func lines(list []*action.Action) (text []string, data []entry) {
	for _, a := range list {
		if a.Hidden {
			continue
		}
		text = append(text, fmt.Sprintf("  cipherdeck %-20s %s", a.Command(), a.Title))
		data = append(data, entry{a.Command(), a.Title})
	}
	return text, data
}

// explain is the help of one action.
func explain(a *action.Action) action.Result {
	text := []string{a.Title + ".", "", "  cipherdeck " + a.Usage(), ""}
	if a.Help != "" {
		text = append(text, wrap(a.Help, 78)...)
		text = append(text, "")
	}
	text = append(text, argLines(a.Args)...)
	if len(a.Args) > 0 {
		text = append(text, "")
	}
	text = append(append(text, "Every command also takes:"), argLines(globals())...)
	return action.Result{Data: map[string]string{"command": a.Command(), "usage": a.Usage(), "title": a.Title, "help": a.Help}, Text: text}
}

// argLines says what each argument is.
func argLines(args []action.Arg) []string {
	var out []string
	for _, g := range args {
		name := "--" + g.Flag
		if g.Flag == "" {
			name = strings.ToUpper(g.Name)
		}
		if g.Short != "" {
			name = "-" + g.Short + ", " + name
		}
		what := g.Help
		if g.Default != "" {
			what += " (default " + g.Default + ")"
		}
		lines := wrap(what, 58)
		out = append(out, fmt.Sprintf("  %-18s %s", name, lines[0]))
		for _, l := range lines[1:] {
			out = append(out, fmt.Sprintf("  %-18s %s", "", l))
		}
	}
	return out
}

// wrap breaks s into lines of at most width characters.
func wrap(s string, width int) []string {
	var out []string
	line := ""
	for _, w := range strings.Fields(s) {
		if line != "" && len(line)+1+len(w) > width {
			out = append(out, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += w
	}
	return append(out, line)
}

// topic is words without the flags that stand in any command.
func topic(words []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "--json" || w == "--quiet" || w == "-q" })
}
