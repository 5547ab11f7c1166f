package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cipherdeck/ui/action"
	"cipherdeck/ui/app"
)

// ErrUsage is wrapped when the command line cannot be understood.
var ErrUsage = app.ErrUsage

// globals are the flags that every command takes.
func globals() []action.Arg {
	return []action.Arg{
		{Name: "home", Flag: "home", Help: "folder of the vault and settings (default: $CIPHERDECK_HOME, else the user's data folder)"},
		{Name: "json", Flag: "json", Switch: true, Help: "print one JSON object"},
		{Name: "quiet", Flag: "quiet", Short: "q", Switch: true, Help: "no progress"},
		{Name: "help", Flag: "help", Short: "h", Switch: true, Help: "explain this command"},
		{Name: "passphrase-fd", Flag: "passphrase-fd", Help: "read the passphrase from this file descriptor"},
		{Name: "new-fd", Flag: "new-fd", Help: "read a new passphrase or secret from this file descriptor"},
		{Name: "pin-fd", Flag: "pin-fd", Help: "read the PIN of a device from this file descriptor"},
		{Name: "code-fd", Flag: "code-fd", Help: "read a recovery code, or shares one a line, from this file descriptor"},
		{Name: "by", Flag: "by", Help: "how to open the vault: " + strings.Join(app.Ways(), ", ")},
		{Name: "tpm", Flag: "tpm", Help: "TPM to use (default: /dev/tpmrm0)"},
		{Name: "identity", Flag: "identity", Help: "file with the identity of an age plugin"},
		{Name: "module", Flag: "module", Help: "library of a PKCS#11 token (.so), if not as in the slot"},
		{Name: "token", Flag: "token", Help: "label of the token, if there are several"},
		{Name: "token-key", Flag: "token-key", Help: "label of the key in it, if there are several"},
		{Name: "unlock-time", Flag: "unlock-time", Help: "how long checking a new passphrase shall take (default: $CIPHERDECK_UNLOCK_TIME, else 750ms)"},
		{Name: "no-agent", Flag: "no-agent", Switch: true, Help: "do not ask the unlock agent, nor the kernel's keyring"},
		{Name: "no-keyring", Flag: "no-keyring", Switch: true, Help: "do not ask the OS keyring"},
	}
}

// find picks the action that the first words name, the longest name first.
func find(list []*action.Action, words []string) (*action.Action, []string) {
	for n := min(2, len(words)); n > 0; n-- {
		if a := action.Find(list, strings.Join(words[:n], ".")); a != nil && !strings.HasPrefix(words[n-1], "-") {
			return a, words[n:]
		}
	}
	return nil, words
}

// globalsLast moves flags of every command that stand before the command to the
// end, so that cipherdeck --json words is understood.
func globalsLast(words []string) []string {
	for n := 0; n < len(words) && strings.HasPrefix(words[n], "-"); {
		g, err := flagNamed(globals(), words[n])
		if err != nil {
			break
		}
		if n++; !g.Switch {
			n++
		}
		if n < len(words) && !strings.HasPrefix(words[n], "-") {
			return append(slices.Clone(words[n:]), words[:n]...)
		}
	}
	return words
}

// noCommand says that words name no command, and what was perhaps meant.
func noCommand(list []*action.Action, words []string) string {
	said := fmt.Sprintf("there is no command %q", words[0])
	near := ""
	best := 3 // a letter more, less, or another one, twice
	for _, a := range list {
		if strings.HasPrefix(a.ID, words[0]+".") {
			said = fmt.Sprintf("%q needs one more word", words[0])
			if len(words) > 1 && !strings.HasPrefix(words[1], "-") {
				said = fmt.Sprintf("there is no command %q", words[0]+" "+words[1])
			}
			near = cmp.Or(near, "see: cipherdeck help "+words[0])
		}
		n := strings.Count(a.ID, ".") + 1
		if d := app.Typos(strings.Join(words[:min(n, len(words))], " "), a.Command()); d < best && !a.Hidden {
			best, near = d, "did you mean: cipherdeck "+a.Command()
		}
	}
	return said + "; " + cmp.Or(near, "try: cipherdeck help")
}

// parse reads words as the arguments of a. Flags may stand anywhere; "--"
// ends them. Errors wrap ErrUsage.
func parse(a *action.Action, words []string) (action.Args, error) {
	all := append(globals(), a.Args...)
	got := action.Args{}
	var loose []string
	for len(words) > 0 {
		w := words[0]
		words = words[1:]
		if w == "--" {
			loose = append(loose, words...)
			break
		}
		if len(w) < 2 || w[0] != '-' {
			loose = append(loose, w)
			continue
		}
		name, value, inline := strings.Cut(w, "=")
		g, err := flagNamed(all, name)
		if err != nil {
			return nil, err
		}
		switch {
		case g.Switch && inline:
			return nil, fmt.Errorf("%w: %s takes no value", ErrUsage, name)
		case g.Switch:
			value = "true"
		case !inline && len(words) == 0:
			return nil, fmt.Errorf("%w: %s needs a value", ErrUsage, name)
		case !inline:
			value, words = words[0], words[1:]
		}
		if got.Has(g.Name) && !g.Many {
			return nil, fmt.Errorf("%w: %s is given twice", ErrUsage, name)
		}
		got[g.Name] = append(got[g.Name], value)
	}
	if got.Has("help") {
		return got, nil
	}
	return got, positional(a, got, loose)
}

func flagNamed(all []action.Arg, name string) (action.Arg, error) {
	for _, g := range all {
		if g.Flag != "" && name == "--"+g.Flag || g.Short != "" && name == "-"+g.Short {
			return g, nil
		}
	}
	return action.Arg{}, fmt.Errorf("%w: there is no flag %s here", ErrUsage, name)
}

func positional(a *action.Action, got action.Args, loose []string) error {
	for _, g := range a.Args {
		switch {
		case g.Flag == "" && g.Many:
			got[g.Name], loose = loose, nil
		case g.Flag == "" && len(loose) > 0:
			got[g.Name], loose = loose[:1], loose[1:]
		case !got.Has(g.Name) && g.Default != "":
			got[g.Name] = []string{g.Default}
		}
		if g.Need && !got.Has(g.Name) {
			return fmt.Errorf("%w: %s is missing", ErrUsage, argName(g))
		}
	}
	if len(loose) > 0 {
		return fmt.Errorf("%w: %q is one argument too many", ErrUsage, loose[0])
	}
	return nil
}

func argName(g action.Arg) string {
	if g.Flag != "" {
		return "--" + g.Flag
	}
	return strings.ToUpper(g.Name)
}
