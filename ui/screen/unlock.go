package screen

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/words"
	"cipherdeck/ui/app"
	"cipherdeck/ui/part"
	"cipherdeck/ui/plain"
	"cipherdeck/ui/theme"
)

// unlock creates a vault, or opens the one that is there: by the OS keyring
// when it can, else by the passphrase.
type unlock struct {
	s    *session
	form *part.Form
	busy string // what is being done
	err  error
	why  string // why and when it was locked; the keyring must not open it at once again
	made string
	gen  int
}

func newUnlock(s *session) *unlock { return &unlock{s: s} }

func (u *unlock) name() string               { return "unlock" }
func (u *unlock) cuts(int) []int             { return nil }
func (u *unlock) pick(string) (string, bool) { return "", false }

func (u *unlock) title() string {
	if u.s.story != nil {
		return "Demonstration"
	}
	if u.s.data.facts.HasVault {
		return "Unlock"
	}
	return "Create your vault"
}

func (u *unlock) hints() []hint {
	switch {
	case u.s.story != nil:
		return []hint{{"q", "quit"}}
	case u.busy != "" || u.form == nil:
		return []hint{{"ctrl+c", "quit"}}
	case u.s.data.facts.HasVault:
		return []hint{{"enter", "unlock"}, {"ctrl+k", "try the OS keyring"}, {"ctrl+c", "quit"}}
	}
	return []hint{{"tab", "next field"}, {"ctrl+g", "make a passphrase"}, {"enter", "create"}, {"ctrl+c", "quit"}}
}

// entered is what became of an attempt to open or create.
type entered struct {
	gen     int
	id      app.Identity
	err     error
	keyring bool
}

// errAsk is what the keyring attempt ends with when a passphrase is needed.
var errAsk = errors.New("a passphrase is needed")

func (u *unlock) open() cmd {
	u.gen++
	u.err, u.busy, u.made = nil, "", ""
	if u.s.story != nil {
		return nil
	}
	if !u.s.data.facts.HasVault {
		u.form = createForm()
		return nil
	}
	u.form = &part.Form{Submit: "unlock", Fields: []*part.Field{{Name: "pass", Label: u.asks(), Kind: part.Secret, Input: part.Input{Mask: true}, Need: true}}}
	if u.why != "" {
		return nil
	}
	return u.byKeyring()
}

// asks is the label of what is to be typed.
func (u *unlock) asks() string {
	if u.s.data.asks != "" {
		return u.s.data.asks
	}
	return "Passphrase"
}

func createForm() *part.Form {
	secret := func(name, label, help string) *part.Field {
		return &part.Field{Name: name, Label: label, Help: help, Kind: part.Secret, Input: part.Input{Mask: true}, Need: true}
	}
	return &part.Form{Submit: "create", Fields: []*part.Field{
		{Name: "name", Label: "Your name", Help: "as teammates will see it", Need: true},
		secret("pass", "Passphrase", "eight random words are good: ctrl+g makes some"),
		secret("again", "Again", ""),
		{Name: "keyring", Label: "OS keyring", Kind: part.Switch, Help: "let it open the vault too; any program of your user can then read that key while the keyring is unlocked"},
	}, Check: checkCreate}
}

func checkCreate(f *part.Form) string {
	if err := chain.CheckName(f.Field("name").Value()); err != nil {
		return err.Error()
	}
	a, b := f.Field("pass").Input.Bytes(), f.Field("again").Input.Bytes()
	defer clear(a)
	defer clear(b)
	if !bytes.Equal(a, b) {
		return "the two passphrases are not the same"
	}
	return ""
}

func (u *unlock) byKeyring() cmd {
	u.busy = "asking the OS keyring; if it shows a prompt, answer it there"
	gen, a, ctx := u.gen, u.s.app(), u.s.ctx
	return func() msg {
		id, err := a.Unlock(ctx, func(context.Context) ([]byte, error) { return nil, errAsk })
		return entered{gen, id, err, true}
	}
}

func (u *unlock) key(k part.Key) (cmd, bool) {
	switch {
	case u.s.story != nil:
		return nil, false
	case u.form == nil || u.busy != "":
		return nil, true
	case k.Name == "ctrl+k" && u.s.data.facts.HasVault:
		return u.byKeyring(), true
	case k.Name == "ctrl+g" && !u.s.data.facts.HasVault:
		return u.propose(), true
	case k.Name == "esc":
		u.form.Wipe()
		u.err = nil
		return nil, true
	}
	if u.form.Key(k) == part.Send {
		return u.enter(), true
	}
	return nil, true
}

// proposed is a passphrase of random words.
type proposed struct {
	words string
	err   error
}

func (u *unlock) propose() cmd {
	return func() msg {
		w, err := words.Passphrase(randomness(), 8)
		return proposed{w, err}
	}
}

func (u *unlock) enter() cmd {
	u.gen++
	u.err = nil
	gen, a, ctx := u.gen, u.s.app(), u.s.ctx
	pass := u.form.Field("pass").Input.Take()
	if u.s.data.facts.HasVault {
		u.busy = "opening the vault"
		return func() msg {
			defer clear(pass)
			id, err := a.UnlockTyped(ctx, pass)
			return entered{gen, id, err, false}
		}
	}
	u.busy = "making your keys and the vault"
	u.form.Field("again").Input.Wipe()
	name, keyring := u.form.Field("name").Value(), u.form.Field("keyring").On
	return func() msg {
		defer clear(pass)
		id, err := a.InitVault(ctx, name, pass, keyring)
		return entered{gen, id, err, false}
	}
}

func (u *unlock) event(m msg) cmd {
	switch m := m.(type) {
	case proposed:
		u.err = m.err
		u.made = m.words
	case entered:
		if m.gen != u.gen {
			return nil
		}
		u.busy, u.made = "", ""
		if m.err == nil {
			u.form = nil
			return u.s.survey()
		}
		if !m.keyring || !errors.Is(m.err, errAsk) {
			u.err = m.err
		}
		if u.form != nil {
			u.form.Focus("pass")
		}
	}
	return nil
}

func (u *unlock) view(w, h int) []string {
	th := u.s.th
	if u.s.story != nil {
		return part.Exactly(u.s.story.welcome(w, h), w, h)
	}
	if !u.s.data.known {
		return part.Exactly(nil, w, h)
	}
	var out []string
	add := func(ls ...string) { out = append(out, ls...) }
	add("")
	if u.s.data.facts.HasVault {
		add("  "+th.Bold(theme.Text, "The vault is locked."), "")
		if u.why != "" {
			add("  " + th.Paint(theme.Warn, u.why))
		}
		add("  " + th.Paint(theme.Dim, plain.Text(u.s.app().Home())))
	} else {
		add("  "+th.Bold(theme.Text, "There is no vault here yet."), "")
		for _, l := range part.Wrap("It will hold your keys, the servers you trust and the people you know, in one encrypted file in "+plain.Text(u.where())+". Nobody can reset the passphrase: write it down.", min(w-4, 76)) {
			add("  " + th.Paint(theme.Dim, l))
		}
	}
	add("")
	if u.form != nil {
		lines, _ := u.form.Lines(th, min(w-2, 80))
		for _, l := range lines {
			add(" " + l)
		}
	}
	if u.made != "" {
		add("", "  "+th.Paint(theme.Dim, "Write this down, then type it twice:"))
		for _, l := range part.Wrap(u.made, w-6) {
			add("    " + th.Bold(theme.Text, l))
		}
	}
	if u.busy != "" {
		add("", "  "+th.Bold(theme.Info, "▸ ")+u.busy+"…")
	}
	if u.err != nil {
		add("")
		here := plain.Text(filepath.Join(u.where(), app.VaultFile)) + ": "
		for _, l := range faultLines(th, u.err) {
			l = strings.Replace(l, here, "", 1) // it is said above
			for _, x := range part.Wrap(l, w-4) {
				add("  " + x)
			}
		}
	}
	return part.Exactly(out, w, h)
}

func (u *unlock) where() string {
	if a := u.s.app(); a != nil {
		return a.Home()
	}
	return "your data folder"
}
