package action

import (
	"context"
	"fmt"
	"os"
	"strings"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/words"
	"cipherdeck/ui/app"
)

func vaultActions() []*Action {
	return []*Action{
		initAction(),
		{ID: "vault.unlock", Title: "Check that the vault opens, and say whose it is", Keys: []string{"enter"}, Screen: "unlock", Vault: true,
			Help: "Opens the vault and prints the identity in it. With the unlock agent (help agent) later commands do not ask again.",
			Run:  runWhoAmI},
		{ID: "vault.forget-keyring", Title: "Remove the vault's entry from the OS keyring", Vault: true,
			Help: "After it only the passphrase opens the vault.",
			Run: func(ctx context.Context, a *app.App, _ Args, _ progress.Sink) (Result, error) {
				return Result{Text: []string{"entry removed"}}, a.ForgetKeyring(ctx)
			}},
		{ID: "words", Title: "Make a passphrase of random words",
			Help: "Words of the EFF large list, 12.9 bits each, drawn here. Write them down before you use them.",
			Args: []Arg{{Name: "count", Help: "how many words", Default: "8"}},
			Run: func(_ context.Context, _ *app.App, args Args, _ progress.Sink) (Result, error) {
				var n int
				if _, err := fmt.Sscan(args.Get("count"), &n); err != nil {
					return Result{}, fmt.Errorf("%w: COUNT is a number", app.ErrInput)
				}
				p, err := words.Passphrase(rand(), n)
				if err != nil {
					return Result{}, err
				}
				return Result{Data: map[string]string{"passphrase": p}, Text: []string{p}}, nil
			}},
		{ID: "people.add", Title: "Meet a person: fetch her keys and compare words", Keys: []string{"m"}, Screen: "projects", Vault: true,
			Help: "Fetches the account of UID from a server and prints eight words. The other person runs the same command with your UID and must see the same words: compare them by voice, then give them with --words. A server that exchanged keys shows other words. Other keys than you accepted before, or a name that somebody else has here, stop it: old and new are shown, nothing is stored, and only the words of the new keys accept them. An SSH signature over the user id is kept as a hint; it does not replace the words.",
			Args: []Arg{{Name: "uid", Help: "the person's user id", Need: true}, serverFlag(), {Name: "words", Flag: "words", Help: "the eight words that the other person sees"},
				{Name: "ssh-signature", Flag: "ssh-signature", Help: "file that ssh-keygen -Y sign -n cipherdeck made of the person's user id; needs --ssh-key"},
				{Name: "ssh-key", Flag: "ssh-key", Help: "file of the SSH public key that you know the person by"}},
			Run: runMeet},
		{ID: "people.hint", Title: "Keep beside a person the keys that an SSH or age file names", Vault: true, Run: runHint,
			Help: "FILE is authorized_keys, allowed_signers, a .pub file, or a list of age recipients. Its keys are shown beside the person by type and fingerprint. They help you to recognise somebody and verify nothing.",
			Args: []Arg{{Name: "uid", Help: "the person's user id", Need: true}, {Name: "file", Help: "file with public keys", Need: true}}},
		{ID: "people.list", Title: "List people and whether their keys are verified", Vault: true,
			Help: "Reads the vault only; no server is asked.",
			Run:  runPeople},
	}
}

func runWhoAmI(_ context.Context, a *app.App, _ Args, _ progress.Sink) (Result, error) {
	return identity(a.WhoAmI())
}

func identity(id app.Identity, err error) (Result, error) {
	if err != nil {
		return Result{}, err
	}
	return Result{Data: id, Text: []string{
		"name   " + id.Name,
		"uid    " + id.UID,
		"vault  " + id.Vault,
		"opens  by " + strings.Join(id.Slots, ", "),
	}}, nil
}

func runMeet(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	uid, err := chain.ParseUID(args.Get("uid"))
	if err != nil {
		return Result{}, err
	}
	hint := ""
	if args.Has("ssh-signature") != args.Has("ssh-key") {
		return Result{}, fmt.Errorf("%w: --ssh-signature and --ssh-key go together", app.ErrInput)
	}
	if args.Has("ssh-key") { // before anything is stored
		if hint, err = a.SSHHint(uid, args.Get("ssh-signature"), args.Get("ssh-key")); err != nil {
			return Result{}, err
		}
	}
	p, err := a.Meet(ctx, args.Get("server"), uid, args.Get("words"))
	if err != nil {
		if p.Changed == nil {
			return Result{}, err
		}
		return Result{Data: p, Text: changedLines(p)}, err
	}
	if hint != "" {
		if p, err = a.MeetSigned(uid, hint, p); err != nil {
			return Result{}, err
		}
	}
	return Result{Data: p, Text: personLines(p)}, nil
}

// changedLines shows the keys that were accepted and those that are shown now.
func changedLines(p app.Person) []string {
	line := func(when string, k app.Print) []string {
		return []string{when + "  " + k.UID, "     rsa    " + k.RSA, "     x-wing " + k.XWing, "     words  " + k.Words}
	}
	out := append([]string{"✗ " + p.Name + ": these are not the keys that you accepted"}, line("was", p.Changed.Was)...)
	return append(append(out, line("now", p.Changed.Now)...), "  nothing was stored. Ask the person by voice; if the keys are really new, give the words of \"now\" with --words")
}

func runHint(_ context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	uid, err := chain.ParseUID(args.Get("uid"))
	if err != nil {
		return Result{}, err
	}
	p, err := a.Hint(uid, args.Get("file"))
	if err != nil {
		return Result{}, err
	}
	return Result{Data: p, Text: personLines(p)}, nil
}

func personLines(p app.Person) []string {
	state := p.Trust.Says()
	if p.Trust != app.TrustWords {
		state += ": compare the words by voice"
	}
	out := []string{p.Name + "  " + p.UID, "  words  " + p.Words, "  " + state}
	if p.Journal != nil {
		out = append(out, "  keys   "+p.Journal.Text())
	}
	for _, h := range p.Hints {
		out = append(out, "  hint   "+h)
	}
	for _, n := range p.News {
		out = append(out, "  ● "+n)
	}
	return out
}

func runPeople(_ context.Context, a *app.App, _ Args, _ progress.Sink) (Result, error) {
	all, err := a.People()
	r := Result{Data: list(all)}
	for _, p := range all {
		r.Text = append(r.Text, personLines(p)...)
	}
	return r, err
}

func serverFlag() Arg {
	return Arg{Name: "server", Flag: "server", Help: "name of the pinned server", Default: "main"}
}

// stdio is standard input and output, for "-".
func stdio() (*os.File, *os.File) { return os.Stdin, os.Stdout }
