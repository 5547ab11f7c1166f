package action

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/ek"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
)

func attestActions() []*Action {
	name := Arg{Name: "server", Help: "name of the pinned server", Default: "main"}
	pinned := name
	pinned.Help += ", or node:UID of a node that was attested before"
	file := Arg{Name: "file", Help: "file of attest export", Need: true}
	return []*Action{
		{ID: "attest", Title: "Make a server prove what it runs", Keys: []string{"a"}, Screen: "servers", Vault: true,
			Help: "Opens a connection, sends a fresh challenge and nothing else, and checks each link of the answer. --detail LINK shows one link whole: claim, evidence, rule, what it does not prove. --pcrs shows each register. Exit code 4 when a link is broken.",
			Args: []Arg{pinned, {Name: "detail", Flag: "detail", Help: "link to show whole, e.g. quote.binding; all for every one", Text: true}, {Name: "pcrs", Flag: "pcrs", Switch: true, Help: "show the registers and their events", Text: true}},
			Can:  needsServer, Run: runAttest},
		{ID: "attest.export", Title: "Save an attestation, to be judged again", Vault: true,
			Help: "Attests a server now and writes challenge, evidence and your policy into a file that attest verify judges without the server, anywhere. A refused attestation is written too. A node is written with node:UID. Example: attest export main main.evidence.",
			Args: []Arg{{Name: "server", Help: pinned.Help, Need: true}, file}, Can: needsServer, Run: runAttestExport},
		{ID: "attest.verify", Title: "Judge a saved attestation again",
			Help: "Needs no vault and no server. It is held against the policy in the file unless --signer, --threshold or --root say otherwise, as of the time it was made unless --now. What a file cannot show you is that the challenge was fresh: that is the word of whoever saved it. Exit code 4 when a link is broken. Example: attest verify main.evidence --root vtpm.",
			Args: []Arg{file, {Name: "signer", Flag: "signer", Many: true, Help: "public key whose manifests you accept"}, {Name: "threshold", Flag: "threshold", Help: "how many of them must have signed; without it, all"},
				{Name: "root", Flag: "root", Help: "weakest root you accept: hardware, vtpm or software (demo only)"}, {Name: "now", Flag: "now", Switch: true, Help: "as of now: has anything ended since?"},
				{Name: "detail", Flag: "detail", Help: "link to show whole; all for every one", Text: true}, {Name: "pcrs", Flag: "pcrs", Switch: true, Help: "show the registers and their events", Text: true}},
			Run: runAttestVerify},
		{ID: "attest.report", Title: "Judge a report of SEV-SNP, TDX or SGX in a file",
			Help: "Needs no vault, no server and no network: the chip's certificate, or Intel's collateral (TCB info, QE identity, their signer, both revocation lists), comes with --with, and what each file is, is seen from its content. Pinned roots, signatures, revocation, debugging and firmware are checked in any case; the binding and the measurement only when you say what they must be, and without that no report is ever good. Exit code 4 when a link is broken or was not checked. Example: attest report quote.bin --with tcb.json --with qe.json --with signer.pem --with pck.crl --with root.crl --bind HEX --manifest manifest.bin --signer KEY.",
			Args: []Arg{{Name: "file", Help: "report or quote, as the environment gave it", Need: true}, {Name: "with", Flag: "with", Many: true, Help: "file that goes with it"},
				{Name: "bind", Flag: "bind", Help: "32 bytes in hex that its free data must begin with; zeros must follow"}, {Name: "manifest", Flag: "manifest", Help: "signed manifest that names its measurement"},
				{Name: "signer", Flag: "signer", Many: true, Help: "public key whose manifests you accept"}, {Name: "threshold", Flag: "threshold", Help: "how many of them must have signed; without it, all"},
				{Name: "at", Flag: "at", Help: "as of this time, RFC 3339; default: now"},
				{Name: "detail", Flag: "detail", Help: "link to show whole; all for every one", Text: true}},
			Run: runAttestReport},
		{ID: "attest.diff", Title: "Compare a server with its last good verdict, or two saved attestations",
			Help: "With the name of a server it is attested now, and each register that is not as with the last good verdict is named with the first event that differs; the last good one stays the same while jobs are suspended. With two files, which need no vault, it says what differs: keys, registers, events of firmware and program. Exit code 0 whether or not something does. Example: attest diff main; attest diff before.evidence after.evidence.",
			Args: []Arg{{Name: "before", Help: "name of a pinned server, node:UID, or file of attest export", Need: true}, {Name: "after", Help: "file of attest export"}}, Run: runAttestDiff},
		{ID: "attest.tamper", Title: "Flip bits of a saved attestation and see what breaks",
			Help: "The tamper lab: without --field, one bit in the middle of every field is flipped, one field after the other; with it, the bit that you name. The file stays as it is. Exit code 1 if a flipped bit was not noticed. Example: attest tamper main.evidence --field quote --bit 40.",
			Args: []Arg{file, {Name: "field", Flag: "field", Help: "field to change"}, {Name: "bit", Flag: "bit", Help: "which bit of it, from 0"}}, Run: runAttestTamper},
		{ID: "attest.watch", Title: "Attest a server again and again", Vault: true, Daemon: true,
			Help: "Prints a line for each verdict. It ends at the first one that is refused, with exit code 4, and with --strict also when anything changed. Example: attest watch main --every 10m --count 6.",
			Args: []Arg{pinned, {Name: "every", Flag: "every", Default: "10m", Help: "how long to wait in between"}, {Name: "count", Flag: "count", Default: "0", Help: "verdicts after which it ends; 0: never"}, {Name: "strict", Flag: "strict", Switch: true, Help: "end at any change"}},
			Can:  needsServer, Run: runAttestWatch},
		{ID: "attest.roots", Title: "List the TPM makers that are accepted",
			Help: "The roots inside this program, by maker, with the SHA-256 of their certificates, and the makers whose roots could not be had. server root adds one for a server. Example: attest roots --json.",
			Run:  runAttestRoots},
		{ID: "server.machine", Title: "Show the identity and the history of a server's machine", Vault: true,
			Help: "Eight words to compare by voice, digits for the telephone, a picture to recognise; then every verdict at which something was new. No server is asked. Example: server machine main.",
			Args: []Arg{name}, Can: needsServer, Run: runMachine},
		{ID: "server.resume", Title: "Let jobs go to a server again", Vault: true, Danger: Confirm,
			Help: "Jobs are suspended when a machine that was good is refused, or its registers move under the same manifest. Look at what changed first: server machine. Example: server resume main.",
			Args: []Arg{name}, Can: needsServer, Run: runResume},
		{ID: "server.forget-machine", Title: "Accept another machine behind a server's address", Vault: true, Danger: TypeName,
			Help: "After a TPM or a machine was replaced: the next one that attests is taken for the right one. Compare its words with the operator by another channel before you send anything. Suspended jobs stay suspended. Example: server forget-machine main.",
			Args: []Arg{name}, Can: needsServer, Run: runForgetMachine},
		{ID: "server.root", Title: "Accept another TPM maker for a server", Vault: true,
			Help: "Adds a root certificate in PEM, for chips (--kind hardware), for TPMs of a hypervisor (--kind vtpm), or for a program beside the server such as swtpm (--kind software: the verdict is a demo). A certificate that our own software TPM made is refused. --remove takes all added ones away. Example: server root main maker.pem --kind hardware.",
			Args: []Arg{{Name: "server", Help: pinned.Help, Need: true}, {Name: "file", Help: "certificate in PEM"}, {Name: "kind", Flag: "kind", Help: "hardware, vtpm or software"}, {Name: "remove", Flag: "remove", Switch: true, Help: "take the added ones away"}},
			Can:  needsServer, Run: runServerRoot},
	}
}

// judged shows a verdict as args want it.
func judged(v *attest.Verdict, args Args) (Result, error) {
	r := Result{Data: viewVerdict(v), Text: VerdictLines(v)}
	if d := args.Get("detail"); d != "" {
		lines, err := detailLines(v, d)
		if err != nil {
			return r, err
		}
		r.Text = append(r.Text, lines...)
	}
	if args.Has("pcrs") {
		r.Text = append(r.Text, PCRLines(v)...)
	}
	return r, nil
}

func detailLines(v *attest.Verdict, want string) (out []string, err error) {
	for _, l := range v.Links {
		if want != "all" && l.ID != want {
			continue
		}
		out = append(out, "", l.State.Glyph()+" "+l.State.String()+"  "+l.ID, "  claim            "+l.Claim, "  rule             "+l.Rule, "  found            "+l.Found,
			"  does NOT prove   "+l.NotProven, "  why it matters   "+l.Why)
		for _, d := range l.Data {
			out = append(out, hexLines("  evidence         ", d.Name, d.Value)...)
		}
	}
	if out == nil {
		return nil, fmt.Errorf("%w: no link %q", app.ErrInput, want)
	}
	return out, nil
}

// hexLines writes bytes, 32 a line; long ones are cut, --json has them whole.
func hexLines(head, name string, b []byte) []string {
	out := []string{fmt.Sprintf("%s%s, %d bytes", head, name, len(b))}
	const most = 8
	for i := 0; i < len(b); i += 32 {
		if i/32 == most {
			return append(out, fmt.Sprintf("      … %d bytes more, whole with --json", len(b)-i))
		}
		out = append(out, "      "+hex.EncodeToString(b[i:min(i+32, len(b))]))
	}
	return out
}

// PCRLines is the table of registers, for a person.
func PCRLines(v *attest.Verdict) []string {
	out := []string{"", "PCR  state    value        meaning"}
	for _, r := range v.PCRs {
		out = append(out, fmt.Sprintf("%3d  %-7s  %s  %s", r.Index, r.State, Short(r.Value), r.Meaning))
		if r.Diff != "" {
			out = append(out, "       "+r.Diff)
		}
		for _, e := range r.Events {
			mark := " "
			if e.First {
				mark = ">"
			}
			note := ""
			if !e.Covered {
				note = "  (unverified text)"
			}
			out = append(out, fmt.Sprintf("     %s %s  %s%s", mark, e.Type, e.Text, note))
		}
	}
	return out
}

// Short is enough of a register's value to see that it changed.
func Short(b []byte) string {
	if len(b) < 6 {
		return hex.EncodeToString(b)
	}
	return fmt.Sprintf("%x…%x", b[:3], b[len(b)-2:])
}

func runAttest(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	name := args.Get("server")
	v, err := a.Attest(ctx, name)
	if v == nil {
		return Result{}, err
	}
	r, view, derr := judgedNow(a, name, v, args)
	if derr != nil {
		return r, derr
	}
	if err == nil && !app.IsNode(name) {
		var may bool
		if may, err = a.MayLose(ctx, name); may {
			view.MayLose = true
			r.Data = view
			r.Text = append(r.Text, "  ! its store may lose what it acknowledged: its operator runs it with --unsafe-nats-sync; keep your own copies")
		}
	}
	return r, err
}

// judgedNow is judged with how the machine differs from its last good verdict.
func judgedNow(a *app.App, name string, v *attest.Verdict, args Args) (Result, verdictView, error) {
	r, err := judged(v, args)
	d := a.Drift(name)
	view := withDrift(viewVerdict(v), d)
	r.Data, r.Text = view, append(r.Text, driftLines(d)...)
	return r, view, err
}

func runAttestExport(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	v, err := a.ExportEvidence(ctx, args.Get("server"), args.Get("file"))
	if v == nil {
		return Result{}, err
	}
	return Result{Data: viewVerdict(v), Text: append(VerdictLines(v), "written to "+args.Get("file"))}, err
}

func runAttestVerify(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	e, err := app.LoadEvidence(args.Get("file"))
	if err != nil {
		return Result{}, err
	}
	p, err := e.Held()
	if err != nil {
		return Result{}, err
	}
	if err := policyFlags(&p, args); err != nil {
		return Result{}, err
	}
	var now time.Time
	if args.Has("now") {
		now = a.Now()
	}
	v, err := e.Judge(ctx, p, now)
	if v == nil {
		return Result{}, err
	}
	r, derr := judged(v, args)
	if derr != nil {
		return r, derr
	}
	at := time.Unix(e.Script.At, 0).UTC().Format("2006-01-02 15:04:05 UTC")
	r.Text = append(r.Text, "  saved "+at+"; that the challenge was fresh then is the word of whoever saved it")
	return r, err
}

// policyFlags takes what is said over what the file says.
func policyFlags(p *attest.Policy, args Args) error {
	if all := args.All("signer"); len(all) > 0 {
		p.Signers, p.Threshold = nil, len(all)
		for _, s := range all {
			k, err := app.ParseSigner(s)
			if err != nil {
				return err
			}
			p.Signers = append(p.Signers, k)
		}
	}
	if t := args.Get("threshold"); t != "" {
		n, err := strconv.Atoi(t)
		if err != nil || n < 1 || n > len(p.Signers) {
			return fmt.Errorf("%w: --threshold %q: want 1 to %d, the number of signers", app.ErrInput, t, len(p.Signers))
		}
		p.Threshold = n
	}
	if r := args.Get("root"); r != "" {
		kind, err := parseRoot(r)
		if err != nil {
			return err
		}
		p.MinRoot = kind
	}
	return nil
}

// driftLines is what differs from the last good verdict, for a person.
func driftLines(d app.Drift) (out []string) {
	if len(d.Lines) == 0 {
		return nil
	}
	out = append(out, "  ! not as with the last good verdict, "+d.Since.UTC().Format("2006-01-02 15:04:05 UTC")+":")
	for _, l := range d.Lines {
		out = append(out, "      "+l)
	}
	return out
}

// withDrift adds the difference to the last good verdict to a view.
func withDrift(view verdictView, d app.Drift) verdictView {
	view.Drift = list(d.Lines)
	if !d.Since.IsZero() {
		view.Since = d.Since.UTC().Format(time.RFC3339)
	}
	return view
}

// runDrift attests a server and compares it with its last good verdict.
func runDrift(ctx context.Context, a *app.App, name string) (Result, error) {
	if _, err := a.UnlockAsking(ctx); err != nil {
		return Result{}, err
	}
	v, err := a.Attest(ctx, name)
	if v == nil {
		return Result{}, err
	}
	d := a.Drift(name)
	r := Result{Data: map[string]any{"server": name, "verdict": v.Word(), "last_good": withDrift(verdictView{}, d).Since, "differences": list(d.Lines)}}
	switch {
	case d.Since.IsZero():
		r.Text = []string{name + "  " + v.Word(), "  there is no good verdict before this one to compare with"}
	case len(d.Lines) == 0:
		r.Text = []string{name + "  " + v.Word(), "  every register is as with the last good verdict, " + d.Since.UTC().Format("2006-01-02 15:04:05 UTC")}
	default:
		r.Text = append([]string{name + "  " + v.Word()}, driftLines(d)...)
	}
	return r, err
}

func runAttestDiff(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	if args.Get("after") == "" {
		return runDrift(ctx, a, args.Get("before"))
	}
	x, err := app.LoadEvidence(args.Get("before"))
	if err != nil {
		return Result{}, err
	}
	y, err := app.LoadEvidence(args.Get("after"))
	if err != nil {
		return Result{}, err
	}
	lines, err := app.DiffEvidence(x, y)
	r := Result{Data: map[string]any{"differences": list(lines)}, Text: lines}
	if len(lines) == 0 {
		r.Text = []string{"the same, but for nonce, connection and quote"}
	}
	return r, err
}

func runAttestTamper(ctx context.Context, _ *app.App, args Args, _ progress.Sink) (Result, error) {
	e, err := app.LoadEvidence(args.Get("file"))
	if err != nil {
		return Result{}, err
	}
	all, err := e.TamperAll(ctx)
	if f := args.Get("field"); f != "" {
		bit := 0
		if b := args.Get("bit"); b != "" {
			if bit, err = strconv.Atoi(b); err != nil {
				return Result{}, fmt.Errorf("%w: --bit %q is no number", app.ErrInput, b)
			}
		}
		var one app.Trial
		one, err = e.Tamper(ctx, f, bit)
		all = []app.Trial{one}
	}
	if err != nil {
		return Result{}, err
	}
	r := Result{Data: list(all)}
	for _, t := range all {
		if t.Found == app.NotPinned {
			r.Text = append(r.Text, fmt.Sprintf("%-14s %6d bytes  bit %-7d ? %s", t.Field, t.Bytes, t.Bit, t.Found))
			continue
		}
		if t.Link == "" {
			return r, fmt.Errorf("%w: bit %d of %s", app.ErrUnnoticed, t.Bit, t.Field)
		}
		r.Text = append(r.Text, fmt.Sprintf("%-14s %6d bytes  bit %-7d ✗ %-19s %s", t.Field, t.Bytes, t.Bit, t.Link, t.Found))
	}
	return r, nil
}

func runAttestWatch(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
	every, err := time.ParseDuration(args.Get("every"))
	if err != nil || every < time.Second {
		return Result{}, fmt.Errorf("%w: --every %q: want a time of a second or more, such as 10m", app.ErrInput, args.Get("every"))
	}
	count, err := strconv.Atoi(args.Get("count"))
	if err != nil || count < 0 {
		return Result{}, fmt.Errorf("%w: --count %q: want a number from 0", app.ErrInput, args.Get("count"))
	}
	wait := time.NewTimer(0)
	defer wait.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return Result{}, nil
		case <-wait.C:
		}
		before, err := a.Machine(args.Get("server"))
		if err != nil {
			return Result{}, err
		}
		v, err := a.Attest(ctx, args.Get("server"))
		if v == nil {
			return Result{}, err
		}
		after, merr := a.Machine(args.Get("server"))
		if merr != nil {
			return Result{}, merr
		}
		note := news(before, after)
		sink.Note("verdict", "at", a.Now().UTC().Format(time.RFC3339), "word", v.Word(), "root", v.Root.String(), "manifest", v.Version, "new", note)
		if err != nil {
			return Result{Data: viewVerdict(v), Text: VerdictLines(v)}, err
		}
		if args.Has("strict") && note != "" && len(before.History) > 0 {
			return Result{}, fmt.Errorf("%w: %s", app.ErrHeld, note)
		}
		if n == count {
			return Result{Data: viewVerdict(v)}, nil
		}
		wait.Reset(every)
	}
}

// news is what a verdict wrote into the history.
func news(before, after app.MachineInfo) string {
	// The history is bounded: a full one is as long after as before, so the
	// newest entries are compared and not the lengths.
	last := func(m app.MachineInfo) (h app.History) {
		if n := len(m.History); n > 0 {
			h = m.History[n-1]
		}
		return h
	}
	was, is := last(before), last(after)
	if is.At.Equal(was.At) && is.Note == was.Note {
		return ""
	}
	return is.Note
}

type rootView struct {
	Maker  string `json:"maker"`
	Kind   string `json:"kind"`
	SHA256 string `json:"sha256"`
}

func runAttestRoots(context.Context, *app.App, Args, progress.Sink) (Result, error) {
	all, err := ek.Shipped()
	if err != nil {
		return Result{}, err
	}
	var views []rootView
	var text []string
	for _, r := range all {
		sum := id.Of(r.Cert)
		views = append(views, rootView{r.Name, r.Kind.String(), hex.EncodeToString(sum[:])})
		text = append(text, fmt.Sprintf("%-20s %-13s %x", r.Name, r.Kind, sum[:]))
	}
	text = append(text, "", "missing, because they could not be had: "+strings.Join(ek.Missing(), "; "))
	return Result{Data: map[string]any{"roots": views, "missing": ek.Missing()}, Text: text}, nil
}
