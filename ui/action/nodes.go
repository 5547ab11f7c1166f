package action

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"strconv"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
)

func nodeActions() []*Action {
	uid := Arg{Name: "node", Help: "the node's user id, or its name once it is pinned", Need: true}
	return []*Action{
		{ID: "node.attest", Title: "Make a node prove what it runs", Vault: true, Can: needsProject, Run: runNodeAttest,
			Help: "The project's server carries a fresh challenge to the node and brings the answer, which the node signed; the server can withhold it, not change it. The verdict is about this node: none on the server covers it. The first time the node is held to --signer and --root, or else to what the project's server is held to; changing that later is refused. Exit code 4 when a link is broken. Example: node attest study UID --signer KEY --root vtpm.",
			Args: []Arg{projectArg(), uid, {Name: "signer", Flag: "signer", Many: true, Help: "public key whose manifests you accept"}, {Name: "threshold", Flag: "threshold", Help: "how many of them must have signed a manifest; without it, all"},
				{Name: "weakest-root", Flag: "root", Help: "weakest root you accept: hardware, vtpm or software (demo only)"}, {Name: "detail", Flag: "detail", Help: "link to show whole, e.g. node.answer; all for every one", Text: true},
				{Name: "pcrs", Flag: "pcrs", Switch: true, Help: "show the registers and their events", Text: true}}},
		{ID: "node.list", Title: "List the nodes that you hold to something", Vault: true, Run: runNodeList,
			Help: "The nodes that were attested from here, what they are held to, and whether their jobs are suspended. Nobody is asked. Example: node list --json."},
		{ID: "node.machine", Title: "Show the identity and the history of a node's machine", Vault: true, Run: runNodeMachine,
			Help: "Eight words to compare by voice, digits for the telephone, a picture to recognise; then every verdict at which something was new. Nobody is asked. Example: node machine UID.",
			Args: []Arg{uid}},
		{ID: "node.resume", Title: "Let jobs go to a node again", Vault: true, Danger: Confirm, Run: runNodeResume,
			Help: "A node that was good and is refused, or whose registers move under the same manifest, gets no job from this vault, whatever project grants it. Look at what changed first: node machine UID. Example: node resume UID.",
			Args: []Arg{uid}},
		{ID: "node.forget-machine", Title: "Accept another machine behind a node's account", Vault: true, Danger: TypeName, Run: runNodeForgetMachine,
			Help: "After a TPM or a machine was replaced: the next one that attests is taken for the right one. Compare its words with the operator by another channel before you grant it anything. Suspended jobs stay suspended. Example: node forget-machine UID.",
			Args: []Arg{uid}},
		{ID: "node.forget", Title: "Forget what a node is held to", Vault: true, Danger: TypeName, Run: runNodeForget,
			Help: "Its signers, its identity, its history, and that its jobs are suspended. The next node attest pins it anew; grants stay as they are. Example: node forget UID.",
			Args: []Arg{uid}},
	}
}

func nodeHold(args Args) (h app.NodeHold, err error) {
	var signers []ed25519.PublicKey
	for _, s := range args.All("signer") {
		k, err := app.ParseSigner(s)
		if err != nil {
			return h, err
		}
		signers = append(signers, k)
	}
	h.Signers = signers
	if t := args.Get("threshold"); t != "" {
		if h.Threshold, err = strconv.Atoi(t); err != nil || h.Threshold < 1 {
			return h, fmt.Errorf("%w: --threshold %q is not a number from 1", app.ErrInput, t)
		}
	}
	if r := args.Get("weakest-root"); r != "" {
		h.Root, err = parseRoot(r)
	}
	return h, err
}

func runNodeAttest(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	h, err := nodeHold(args)
	if err != nil {
		return Result{}, err
	}
	uid, err := a.NodeUID(args.Get("node"))
	if err != nil {
		return Result{}, err
	}
	p, err := a.Project(ctx, args.Get("project"))
	if err != nil {
		return Result{}, err
	}
	n, first, err := a.HoldNode(ctx, p, uid, h)
	if err != nil {
		return Result{}, err
	}
	v, err := a.AttestNode(ctx, p, uid)
	if v == nil {
		return Result{}, err
	}
	r, _, derr := judgedNow(a, app.NodeName(uid), v, args)
	if derr != nil {
		return r, derr
	}
	if first {
		r.Text = append(r.Text, "  "+heldTo(n, len(h.Signers) > 0))
	}
	return r, err
}

// heldTo says what a node was just pinned to.
func heldTo(n app.NodeInfo, said bool) string {
	by := "the signers of server " + n.Server
	if said {
		by = "the signers that you named"
	}
	return fmt.Sprintf("held from now on to %s: %d of %d, weakest root %s", by, n.Threshold, n.Signers, n.MinRoot)
}

// firstSeen says that a node was pinned on the way.
func firstSeen(first bool) []string {
	if !first {
		return nil
	}
	return []string{"  the first verdict on it from here: held from now on to this machine (node machine), and to whose manifests and which root node list shows"}
}

func runNodeList(_ context.Context, a *app.App, _ Args, _ progress.Sink) (Result, error) {
	all, err := a.Nodes()
	r := Result{Data: list(all)}
	for _, n := range all {
		state := n.Verdict
		if state == "" {
			state = "never attested"
		}
		r.Text = append(r.Text, fmt.Sprintf("%s  %s  %s", n.Name, n.UID, state),
			fmt.Sprintf("  manifest %d, weakest root %s, %d of %d signer(s); through project %s", n.Version, n.MinRoot, n.Threshold, n.Signers, n.Project))
		if n.Held != "" {
			r.Text = append(r.Text, "  ✗ jobs are suspended: "+n.Held)
		}
	}
	return r, err
}

func runNodeMachine(_ context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	uid, err := a.NodeUID(args.Get("node"))
	if err != nil {
		return Result{}, err
	}
	return showMachine(a, app.NodeName(uid))
}

func runNodeResume(_ context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	uid, err := a.NodeUID(args.Get("node"))
	if err != nil {
		return Result{}, err
	}
	return resume(a, app.NodeName(uid))
}

func runNodeForgetMachine(_ context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	uid, err := a.NodeUID(args.Get("node"))
	if err != nil {
		return Result{}, err
	}
	return Result{Data: map[string]string{"node": uid.String()}, Text: []string{"forgotten: the next machine that attests is taken for the right one; compare its words: node machine " + uid.String()}},
		a.ForgetMachine(app.NodeName(uid))
}

func runNodeForget(_ context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	uid, err := a.NodeUID(args.Get("node"))
	if err != nil {
		return Result{}, err
	}
	return Result{Data: map[string]string{"node": uid.String()}, Text: []string{"forgotten; the next node attest pins it anew"}}, a.ForgetNode(uid)
}
