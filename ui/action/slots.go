package action

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
	"cipherdeck/vault"
)

func slotActions() []*Action {
	return []*Action{
		{ID: "vault.slots", Title: "List the ways to unlock the vault", Vault: true, Run: runSlots,
			Help: "Each has an id. Any one of them opens the vault."},
		{ID: "vault.recovery", Title: "Add a recovery code and print the emergency kit", Vault: true, Run: runRecovery,
			Help: "Prints a page of text with a code of 130 bits that opens the vault. It is shown once: print it, put it away, and try it with vault recover."},
		{ID: "vault.shares", Title: "Let several people open the vault together", Vault: true, Run: runShares,
			Help: "Prints one share for each person (Shamir's secret sharing). Fewer than --need of them say nothing about the vault key.",
			Args: []Arg{{Name: "need", Flag: "need", Help: "how many must come together", Default: "2"}, {Name: "of", Flag: "of", Help: "how many there are", Default: "3"}}},
		{ID: "vault.passphrase", Title: "Change the passphrase", Vault: true, Run: runPassphrase,
			Help: "Old copies of the vault's file still open with the old passphrase."},
		{ID: "vault.keyring", Title: "Let the OS keyring open the vault", Vault: true, Run: runKeyring,
			Help: "With --and-passphrase only the keyring and a passphrase together open this slot. Any program of the same user can read the keyring while it is unlocked.",
			Args: []Arg{{Name: "both", Flag: "and-passphrase", Switch: true, Help: "need a passphrase as well"}}},
		{ID: "vault.remove-slot", Title: "Take a way to unlock the vault away", Vault: true, Danger: Confirm, Run: runRemoveSlot,
			Help: "The last one stays. The vault key does not change: who kept an old copy of the file can open it as before.",
			Args: []Arg{{Name: "id", Help: "id of the slot", Need: true}}},
		{ID: "vault.recover", Title: "Set a new passphrase by recovery code or shares", Run: runRecover,
			Help: "Reads the code, or one share a line, from standard input up to an empty line, then asks for a new passphrase."},
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

func runRecovery(ctx context.Context, a *app.App, _ Args, _ progress.Sink) (Result, error) {
	kit, err := a.AddRecovery(ctx)
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
	shares, err := a.AddShares(ctx, need, of)
	if err != nil {
		return Result{}, err
	}
	r := Result{Data: map[string]any{"need": need, "shares": shares}}
	for i, s := range shares {
		r.Text = append(r.Text, fmt.Sprintf("share %d of %d, any %d open the vault:", i+1, of, need), "  "+s)
	}
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
	return slotResult(a.AddKeyring(ctx, pw))
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

func runRecover(ctx context.Context, a *app.App, _ Args, _ progress.Sink) (Result, error) {
	var lines []string
	in := bufio.NewScanner(os.Stdin)
	for len(lines) < maxShareLines && in.Scan() && strings.TrimSpace(in.Text()) != "" {
		lines = append(lines, strings.TrimSpace(in.Text()))
	}
	if err := in.Err(); err != nil {
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
