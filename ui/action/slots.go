package action

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
	"cipherdeck/vault"
)

func slotActions() []*Action {
	replace := Arg{Name: "replace", Flag: "replace", Help: "id of the slot that it takes the place of, in one save"}
	return []*Action{
		{ID: "vault.slots", Title: "List the ways to unlock the vault", Run: runSlots,
			Help: "Each has an id. Any one of them opens the vault. Asks for nothing: the list is as the file says, and vault test ID tries one."},
		{ID: "vault.recovery", Title: "Add a recovery code and print the emergency kit", Vault: true, Run: runRecovery,
			Help: "Prints a page of text with a code of 130 bits that opens the vault. It is shown once: print it, put it away, and try it with vault test.", Args: []Arg{replace}},
		{ID: "vault.shares", Title: "Let several people open the vault together", Vault: true, Run: runShares,
			Help: "Prints a page for each person with one share (Shamir's secret sharing). Fewer than --need of them say nothing about the vault key.",
			Args: []Arg{{Name: "need", Flag: "need", Help: "how many must come together", Default: "2"}, {Name: "of", Flag: "of", Help: "how many there are", Default: "3"}, replace}},
		{ID: "vault.passphrase", Title: "Change the passphrase", Vault: true, Run: runPassphrase,
			Help: "Old copies of the vault's file still open with the old passphrase."},
		{ID: "vault.keyring", Title: "Let the OS keyring open the vault", Vault: true, Run: runKeyring,
			Help: "With --and-passphrase only the keyring and a passphrase together open this slot. Any program of the same user can read the keyring while it is unlocked.",
			Args: []Arg{{Name: "both", Flag: "and-passphrase", Switch: true, Help: "need a passphrase as well"}, replace}},
		{ID: "vault.tpm", Title: "Let this machine's TPM and a PIN open the vault", Vault: true, Run: runTPM,
			Help: "The chip counts wrong PINs and refuses all of them for a time after too many. Keep a passphrase or a recovery code beside it: a mainboard breaks. Open with --by tpm. Tested with swtpm; physical chips were not run.",
			Args: []Arg{{Name: "pcr7", Flag: "pcr7", Switch: true, Help: "open only while the state of Secure Boot (PCR 7) is as now; firmware updates change it"}, replace}},
		{ID: "vault.plugin", Title: "Let an age plugin open the vault", Vault: true, Run: runPlugin,
			Help: "For YubiKeys, FIDO2 tokens, Secure Enclave: whatever has a program age-plugin-NAME. TO is its recipient (age1NAME1…), or with --identity FILE the identity wraps too. Open with --by plugin --identity FILE. Run with a software plugin; physical devices were not.",
			Args: []Arg{{Name: "to", Help: "recipient of the plugin; left out: the one of --identity"}, replace}},
		{ID: "vault.pkcs11", Title: "Let a key in a PKCS#11 token open the vault", Vault: true, Run: runToken,
			Help: "Smart cards, USB tokens, HSMs, by the library of their vendor: --module /usr/lib/…/x.so, which the program cipherdeck-pkcs11 loads (make pkcs11). The RSA key stays in the token and opens the slot after its PIN. Tokens count wrong PINs. Run with SoftHSM and NSS; physical tokens were not.",
			Args: []Arg{{Name: "generate", Flag: "generate", Switch: true, Help: "make an RSA-3072 key pair in the token first"}, replace}},
		{ID: "vault.tokens", Title: "List the PKCS#11 tokens that a library shows", Run: runTokens,
			Help: "Asks for no PIN. Say which library with --module /usr/lib/…/x.so."},
		{ID: "vault.test", Title: "Try whether a slot opens the vault", Run: runTestSlot,
			Help: "Asks for what the slot with this id needs (passphrase, PIN, code, shares) and changes nothing. Try your emergency kit once a year.",
			Args: []Arg{{Name: "id", Help: "id of the slot", Need: true}}},
		{ID: "vault.rotate", Title: "Give the vault a new key", Vault: true, Danger: Confirm, Run: runRotate,
			Help: "After it, who kept an old copy of the file and an old secret opens nothing new. Each slot that stays needs its own secret once. What cannot be asked for now is left: run it again, at any time, from any machine that has the file; until the last slot is done the vault is used as before.",
			Args: []Arg{{Name: "drop", Flag: "drop", Many: true, Help: "id of a slot to take away instead"}, {Name: "status", Flag: "status", Switch: true, Help: "only say what is left"}, {Name: "cancel", Flag: "cancel", Switch: true, Help: "forget what was begun"}}},
		{ID: "vault.remember", Title: "Keep the vault's key in the kernel's keyring", Vault: true, Run: runRemember,
			Help: "For machines without a desktop: later commands of this user open the vault without asking, until the time is over or the last session ends. Every program of the same user can read it. Linux only.",
			Args: []Arg{{Name: "life", Flag: "life", Default: "8h", Help: "how long"}}},
		{ID: "vault.forget", Title: "Take the vault's key out of the kernel's keyring", Run: runForget,
			Help: "Ends what vault remember began."},
		{ID: "vault.remove-slot", Title: "Take a way to unlock the vault away", Vault: true, Danger: Confirm, Run: runRemoveSlot,
			Help: "The last one stays. The vault key does not change: who kept an old copy of the file can open it as before.",
			Args: []Arg{{Name: "id", Help: "id of the slot", Need: true}}},
		{ID: "vault.recover", Title: "Set a new passphrase by recovery code or shares", Run: runRecover,
			Help: "Asks for the code, or for as many shares as it takes, and then for a new passphrase. Without a terminal they come one a line from standard input, up to an empty line, or from --code-fd, and the passphrase from --new-fd."},
	}
}

func runSlots(_ context.Context, a *app.App, _ Args, _ progress.Sink) (Result, error) {
	all, err := a.Slots()
	if err != nil {
		return Result{}, err
	}
	type slotView struct {
		ID      string `json:"id"`
		Kind    string `json:"kind"`
		Label   string `json:"label,omitempty"`
		Created string `json:"created"`
	}
	views := []slotView{}
	var r Result
	for _, s := range all {
		v := slotView{s.ID, s.Type.String(), s.Label, s.Created.UTC().Format("2006-01-02 15:04")}
		views = append(views, v)
		r.Text = append(r.Text, fmt.Sprintf("%s  %-24s %s  %s", v.ID, v.Kind, v.Created, v.Label))
	}
	r.Data = views
	return r, nil
}

func runRecovery(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	kit, err := a.AddRecovery(ctx, args.Get("replace"))
	if err != nil {
		return Result{}, err
	}
	return Result{Data: map[string]string{"kit": kit}, Text: strings.Split(strings.TrimRight(kit, "\n"), "\n")}, nil
}

func runShares(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	need, err := strconv.Atoi(args.Get("need"))
	if err != nil {
		return Result{}, fmt.Errorf("%w: --need is a number", app.ErrInput)
	}
	of, err := strconv.Atoi(args.Get("of"))
	if err != nil {
		return Result{}, fmt.Errorf("%w: --of is a number", app.ErrInput)
	}
	shares, err := a.AddShares(ctx, args.Get("replace"), need, of)
	if err != nil {
		return Result{}, err
	}
	r := Result{}
	pages := []string{}
	for _, s := range shares {
		page, err := a.SharePage(s)
		if err != nil {
			return Result{}, err
		}
		pages = append(pages, page)
		r.Text = append(append(r.Text, strings.Split(strings.TrimRight(page, "\n"), "\n")...), "", strings.Repeat("-", 72), "")
	}
	r.Data = map[string]any{"need": need, "shares": shares, "pages": pages}
	return r, nil
}

func runPassphrase(ctx context.Context, a *app.App, _ Args, _ progress.Sink) (Result, error) {
	pw, err := a.AskNew(ctx, "New passphrase")
	if err != nil {
		return Result{}, err
	}
	defer clear(pw)
	return slotResult(a.ChangePassphrase(ctx, pw))
}

func runKeyring(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	var pw []byte
	if args.Has("both") {
		var err error
		if pw, err = a.AskNew(ctx, "Passphrase to go with the keyring"); err != nil {
			return Result{}, err
		}
		defer clear(pw)
	}
	return slotResult(a.AddKeyring(ctx, args.Get("replace"), pw))
}

func runTPM(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	pin, err := a.AskNew(ctx, "New PIN")
	if err != nil {
		return Result{}, err
	}
	defer clear(pin)
	return slotResult(a.AddTPM(ctx, args.Get("replace"), pin, args.Has("pcr7")))
}

func runToken(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	pin, err := a.AskPIN(ctx, "PIN of the token")
	if err != nil {
		return Result{}, err
	}
	defer clear(pin)
	return slotResult(a.AddToken(ctx, args.Get("replace"), pin, args.Has("generate")))
}

// tokenView is a PKCS#11 token in JSON.
type tokenView struct {
	Label  string   `json:"label"`
	Serial string   `json:"serial"`
	Maker  string   `json:"manufacturer"`
	Model  string   `json:"model"`
	Keys   []string `json:"keys"`
}

func runTokens(ctx context.Context, a *app.App, _ Args, _ progress.Sink) (Result, error) {
	all, err := a.Tokens(ctx)
	if err != nil {
		return Result{}, err
	}
	views := []tokenView{}
	var r Result
	for _, t := range all {
		v := tokenView{t.Label, t.Serial, t.Manufacturer, t.Model, []string{}}
		for _, k := range t.Keys {
			v.Keys = append(v.Keys, k.Label)
		}
		views = append(views, v)
		r.Text = append(r.Text, fmt.Sprintf("%-24s serial %s, %s %s; keys: %s", v.Label, v.Serial, v.Maker, v.Model, cmp.Or(strings.Join(v.Keys, ", "), "none")))
	}
	r.Data = views
	return r, nil
}

func runPlugin(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	return slotResult(a.AddPlugin(ctx, args.Get("replace"), args.Get("to")))
}

func runTestSlot(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	s, err := a.TestSlot(ctx, args.Get("id"))
	if err != nil {
		return Result{}, err
	}
	return Result{Data: map[string]any{"id": s.ID, "kind": s.Type.String(), "opens": true}, Text: []string{fmt.Sprintf("✓ %s  %s opens the vault", s.ID, s.Type)}}, nil
}

// leftView is a slot that a rotation still needs, in JSON.
type leftView struct {
	ID   string `json:"id"`
	Kind string `json:"kind"`
}

func runRotate(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	if args.Has("cancel") {
		if err := a.CancelRotation(); err != nil {
			return Result{}, err
		}
		return Result{Data: map[string]bool{"cancelled": true}, Text: []string{"the vault keeps its key"}}, nil
	}
	if args.Has("status") {
		r, begun, err := a.RotationState()
		return rotated(r, begun, err)
	}
	r, err := a.RotateVaultKey(ctx, args.All("drop"))
	return rotated(r, true, err)
}

func rotated(r vault.Rotation, begun bool, err error) (Result, error) {
	if err != nil {
		return Result{}, err
	}
	left := []leftView{}
	out := Result{Text: []string{"✓ the vault has a new key; older copies of the file still open with what opened them, and show what was in them then"}}
	switch {
	case !begun:
		out.Text = []string{"no rotation is under way"}
	case !r.Done:
		out.Text = []string{"begun: the vault is used as before; still needed are the secrets of"}
		for _, s := range r.Left {
			left = append(left, leftView{s.ID, s.Type.String()})
			out.Text = append(out.Text, fmt.Sprintf("  %s  %s", s.ID, s.Type))
		}
		out.Text = append(out.Text, "run vault rotate again with them, or take them away with --drop")
	}
	out.Data = map[string]any{"done": r.Done, "begun": begun, "left": left}
	return out, nil
}

func runRemember(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	life, err := time.ParseDuration(args.Get("life"))
	if err != nil || life < time.Second {
		return Result{}, fmt.Errorf("%w: --life %q: want a time as 8h or 30m", app.ErrInput, args.Get("life"))
	}
	if err := a.Remember(ctx, life); err != nil {
		return Result{}, err
	}
	return Result{Data: map[string]string{"life": life.String()}, Text: []string{"remembered for " + life.String() + " at most"}}, nil
}

func runForget(ctx context.Context, a *app.App, _ Args, _ progress.Sink) (Result, error) {
	err := a.ForgetRemembered(ctx)
	if errors.Is(err, vault.ErrKeyringMissing) {
		return Result{Data: map[string]bool{"was": false}, Text: []string{"nothing was remembered"}}, nil
	}
	if err != nil {
		return Result{}, err
	}
	return Result{Data: map[string]bool{"was": true}, Text: []string{"forgotten"}}, nil
}

func slotResult(s vault.SlotInfo, err error) (Result, error) {
	if err != nil {
		return Result{}, err
	}
	return Result{Data: map[string]string{"id": s.ID, "kind": s.Type.String()}, Text: []string{fmt.Sprintf("%s  %s", s.ID, s.Type)}}, nil
}

func runRemoveSlot(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	if err := a.RemoveSlot(ctx, args.Get("id")); err != nil {
		return Result{}, err
	}
	return Result{Data: map[string]string{"removed": args.Get("id")}, Text: []string{"removed " + args.Get("id")}}, nil
}

// maxShareLines bounds what is read of a person's input.
const maxShareLines = 255

func runRecover(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	lines, err := onPaper(ctx, a, args)
	if err != nil {
		return Result{}, err
	}
	id, err := a.Recover(ctx, lines)
	if err != nil {
		return Result{}, err
	}
	pw, err := a.AskNew(ctx, "New passphrase")
	if err != nil {
		return Result{}, err
	}
	defer clear(pw)
	if _, err := a.ChangePassphrase(ctx, pw); err != nil {
		return Result{}, err
	}
	return identity(id, nil)
}

// onPaper gets a recovery code or shares: asked for and not shown, or from a
// pipe or file up to an empty line.
func onPaper(ctx context.Context, a *app.App, args Args) ([]string, error) {
	if args.Has("code-fd") || term.IsTerminal(int(os.Stdin.Fd())) {
		return a.AskPaper(ctx)
	}
	var lines []string
	in := bufio.NewScanner(os.Stdin)
	for len(lines) < maxShareLines && in.Scan() && strings.TrimSpace(in.Text()) != "" {
		lines = append(lines, strings.TrimSpace(in.Text()))
	}
	return lines, in.Err()
}
