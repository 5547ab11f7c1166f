package action

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
	"cipherdeck/vault/account"
)

func deviceActions() []*Action {
	force := Arg{Name: "force", Flag: "force", Switch: true, Help: "replace the output if it exists"}
	device := Arg{Name: "device", Help: "its name or id, as device list shows it", Need: true}
	return []*Action{
		{ID: "device.request", Title: "Ask for this machine to belong to an account of yours", Run: runDeviceRequest,
			Help: "On the new machine. Makes a vault that holds the keys of this machine and nothing else yet, and a request to bring to a machine that has the account. The eight words are over the account and the request: the other machine shows the same, or the request was exchanged on its way.",
			Args: []Arg{{Name: "uid", Help: "user id of the account: account show, on the other machine", Need: true}, {Name: "name", Flag: "name", Help: "what this machine is called", Need: true},
				{Name: "out", Flag: "output", Short: "o", Help: "file for the request", Need: true}, {Name: "keyring", Flag: "keyring", Switch: true, Help: "let the OS keyring open the vault too"}},
			Can: func(f app.Facts) (bool, string) { return !f.HasVault, "there is a vault already" }},
		{ID: "device.show", Title: "Show this machine: its request and words, or its place in the account", Run: runDeviceShow,
			Help: "While it waits it writes the request once more with -o.",
			Args: []Arg{{Name: "out", Flag: "output", Short: "o", Help: "file for the request"}, force}},
		{ID: "device.approve", Title: "Let another machine of yours belong to your account", Vault: true, Run: runDeviceApprove,
			Help: "On a machine that has the account. Without --words it shows them and does nothing: compare with what the new machine shows. With them the machine is added to the account, the servers are told, and the answer is written: the account's keys, people, servers and projects, sealed to that machine alone. It may be repeated.",
			Args: []Arg{{Name: "file", Help: "the request", Need: true}, {Name: "words", Flag: "words", Help: "the eight words that the new machine shows"},
				{Name: "out", Flag: "output", Short: "o", Help: "file for the answer"}, force,
				{Name: "secrets", Flag: "secrets", Switch: true, Help: "hand over the secrets of this vault, too"},
				{Name: "without", Flag: "without", Many: true, Help: "leave out people, servers (and projects) or projects"}}},
		{ID: "device.finish", Title: "Take the answer of another machine of yours", Run: runDeviceFinish,
			Help: "On the new machine: it becomes a full one. On one that belongs to the account already: takes keys of the account that were made since (account rotate, device keys). Everything is verified first; what is for another machine, or was taken before, is refused.",
			Args: []Arg{{Name: "file", Help: "the answer", Need: true}}},
		{ID: "device.list", Title: "List the machines of your account", Vault: true, Run: runDeviceList,
			Help: "Reads the vault only. account sync asks the servers whether there are more."},
		{ID: "device.keys", Title: "Write the account's keys for another machine of yours", Vault: true, Run: runDeviceKeys,
			Help: "After account rotate: the other machines need the new keys. The file opens on that machine alone: device finish.",
			Args: []Arg{device, {Name: "out", Flag: "output", Short: "o", Help: "file to write", Need: true}, force}},
		{ID: "device.revoke", Title: "End another machine of yours", Danger: TypeName, Vault: true, Run: runDeviceRevoke,
			Help: "From now on it signs nothing for your account and no server lets it in. It still holds the account's keys, if somebody can open its vault: change them with account rotate.",
			Args: []Arg{device}},
		{ID: "account.sync", Title: "Ask the servers whether something was done in your name", Vault: true, Run: runAccountSync,
			Help: "Compares your account on every pinned server with the one in this vault. Links that this vault does not know are verified, shown and taken over: another machine of yours made them, or somebody who has its keys. Servers that lack links get them. It also happens at the first contact of every command.",
			Args: []Arg{{Name: "server", Flag: "server", Help: "this server only"}}},
		{ID: "account.rotate", Title: "Give your account new RSA and X-Wing keys", Danger: Confirm, Vault: true, Run: runAccountRotate,
			Help: "New keys for everything that is sealed to you; what was sealed to the old ones still opens. The link that says so is saved with the keys, given to the servers, and to every project, which gets a new key where you may make one. It can be interrupted at any time: the same command goes on. It ends with the proof for each server and project, and with another exit code while something is left. People who verified you will be asked to compare words again. An identity from a typed secret cannot: the next machine where it is typed would have the old keys; make a new identity instead.",
			Args: []Arg{{Name: "rsa", Flag: "rsa", Help: "bits of the RSA key: 3072, 4096 or 8192; default: as now"}, {Name: "status", Flag: "status", Switch: true, Help: "only look how far it is"}}},
	}
}

func requestLines(r app.Request) []string {
	return []string{"device  " + r.Name + "  " + r.Device, "account " + r.UID, "words   " + r.Words}
}

func runDeviceRequest(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	u, err := chain.ParseUID(args.Get("uid"))
	if err != nil {
		return Result{}, err
	}
	r, err := a.RequestDevice(ctx, u, args.Get("name"), args.Get("out"), args.Has("keyring"))
	if err != nil {
		return Result{}, err
	}
	return Result{Data: r, Text: append(requestLines(r), "next    on a machine that has the account: cipherdeck device approve "+r.File)}, nil
}

func runDeviceShow(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	r, err := a.ShowRequest(ctx, args.Get("out"), args.Has("force"))
	if !errors.Is(err, account.ErrMember) {
		return Result{Data: r, Text: append(requestLines(r), "waits for the answer: cipherdeck device finish ANSWER")}, err
	}
	if args.Has("out") {
		return Result{}, err
	}
	all, err := a.Devices()
	for _, d := range all {
		if d.This {
			return Result{Data: d, Text: []string{deviceLine(d)}}, err
		}
	}
	return Result{}, err
}

func deviceLine(d app.DeviceInfo) string {
	line := fmt.Sprintf("%-16s %s  since account link %d", d.Name, d.ID, d.Added)
	switch {
	case d.Revoked != 0:
		line += fmt.Sprintf("  ✗ revoked by link %d", d.Revoked)
	case d.This:
		line += "  ● this machine"
	}
	return line
}

func runDeviceApprove(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	v, err := a.ApproveDevice(ctx, app.Approve{File: args.Get("file"), Words: args.Get("words"), Out: args.Get("out"), Force: args.Has("force"),
		Without: args.All("without"), Secrets: args.Has("secrets")})
	r := Result{Data: v}
	if v.Words != "" {
		r.Text = requestLines(v.Request)
	}
	switch {
	case err != nil:
	case !v.Done:
		r.Text = append(r.Text, "nothing was done: read the words on the new machine; if they are these, say --words \"…\" -o ANSWER")
	default:
		r.Text = append(r.Text, fmt.Sprintf("✓ approved: account link %d", v.Link), "answer  "+v.Out+": "+strings.Join(v.Given, ", "))
		r.Text = append(r.Text, handedLines(v.Servers)...)
		r.Text = append(r.Text, "next    on the new machine: cipherdeck device finish "+v.Out)
	}
	return r, err
}

func handedLines(all []app.Handed) []string {
	var out []string
	for _, h := range all {
		if h.Has {
			out = append(out, "  ✓ server "+h.Server+" has it")
		} else {
			out = append(out, "  ✗ server "+h.Server+" does not: "+h.Cause+"; it gets it at the next contact, or by account sync")
		}
	}
	return out
}

func runDeviceFinish(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	return identity(a.FinishDevice(ctx, args.Get("file")))
}

func runDeviceList(_ context.Context, a *app.App, _ Args, _ progress.Sink) (Result, error) {
	all, err := a.Devices()
	r := Result{Data: list(all)}
	for _, d := range all {
		r.Text = append(r.Text, deviceLine(d))
	}
	return r, err
}

func runDeviceKeys(_ context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	d, err := a.HandKeys(args.Get("device"), args.Get("out"), args.Has("force"))
	if err != nil {
		return Result{}, err
	}
	return Result{Data: map[string]any{"device": d, "out": args.Get("out")},
		Text: []string{"keys for " + d.Name + " in " + args.Get("out"), "next    there: cipherdeck device finish " + args.Get("out")}}, nil
}

func runDeviceRevoke(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	v, err := a.RevokeDevice(ctx, args.Get("device"))
	if err != nil {
		return Result{}, err
	}
	text := append([]string{fmt.Sprintf("%s is revoked by account link %d", v.Device.Name, v.Link)}, handedLines(v.Servers)...)
	for _, p := range v.Left {
		text = append(text, "  ✗ project does not know it yet: "+p)
	}
	for _, p := range v.Due {
		text = append(text, "  ! project "+p+" needs a new key: that machine has the one in force")
	}
	text = append(text, "  ! whoever can open its vault still holds the keys of your account, and all that it had copied",
		"next    change the keys, here and in every project: cipherdeck account rotate")
	return Result{Data: v, Text: text}, nil
}

func runAccountSync(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	v, err := a.SyncAll(ctx, args.Get("server"))
	r := Result{Data: v}
	for _, h := range v.News {
		r.Text = append(r.Text, "! "+h.String())
	}
	if len(v.News) == 0 {
		r.Text = append(r.Text, "nothing was done in your name that this vault does not know")
	} else {
		r.Text = append(r.Text, "  if that was not you: revoke the device (device revoke) and change the keys (account rotate)")
	}
	r.Text = append(r.Text, handedLines(v.Servers)...)
	return r, err
}
