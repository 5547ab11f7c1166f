package action

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/manifest"
	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
)

func manifestActions() []*Action {
	config := Arg{Name: "config", Flag: "config", Help: "JSON file of serve; fields not named have their defaults"}
	file := Arg{Name: "file", Help: "manifest: JSON of manifest build, or signed", Need: true}
	signer := Arg{Name: "signer", Flag: "signer", Many: true, Help: "public key of a signer"}
	return []*Action{
		{ID: "manifest.build", Title: "Write down what a server or a node may be",
			Help: "Measures a program (--binary, or --measurement of make release) and a configuration as serve will, or with --node the program alone as node will, and writes a manifest in JSON that nobody signed yet: read it, then manifest sign. --evidence of a machine that is known to be good gives the values of --pcr. --add-to keeps the older states accepted, so that machines can be updated one by one; it also counts version and deny list on. Example: manifest build -o draft.json --binary ./cipherdeck --add-to manifest.bin --baseline 1.4.",
			Args: []Arg{{Name: "out", Flag: "output", Short: "o", Help: "file to write", Need: true}, config, {Name: "node", Flag: "node", Switch: true, Help: "for compute nodes, which have no configuration"},
				{Name: "binary", Flag: "binary", Help: "program; default: this one"}, {Name: "measurement", Flag: "measurement", Help: "measurement.json of make release, instead of --binary"},
				{Name: "evidence", Flag: "evidence", Help: "file of attest export from a good machine"}, {Name: "pcr", Flag: "pcr", Many: true, Help: "register whose value in --evidence is demanded"},
				{Name: "baseline", Flag: "baseline", Help: "name of this state"}, {Name: "secure-boot", Flag: "secure-boot", Switch: true, Help: "demand that Secure Boot was on"},
				{Name: "add-to", Flag: "add-to", Help: "manifest that this one follows"}, {Name: "alone", Flag: "alone", Switch: true, Help: "do not keep the states of --add-to"},
				{Name: "version", Flag: "version", Default: "0", Help: "rises with every manifest; 0: the next"}, {Name: "days", Flag: "days", Default: "90", Help: "how long it is valid"}, {Name: "note", Flag: "note", Help: "a word for people"},
				{Name: "deny-ak", Flag: "deny-ak", Many: true, Help: "name of an attestation key that is not accepted any more, in hex"}, {Name: "deny-serial", Flag: "deny-serial", Many: true, Help: "serial of an EK certificate, in hex"},
				{Name: "deny-manifest", Flag: "deny-manifest", Many: true, Help: "version of a manifest"}, {Name: "deny-binary", Flag: "deny-binary", Many: true, Help: "SHA-256 of a program"}, {Name: "deny-note", Flag: "deny-note", Help: "why"}},
			Run: runManifestBuild},
		{ID: "manifest.sign", Title: "Sign a manifest, or add a signature to it",
			Help: "Shows what is signed, and signs. A file that others signed keeps their signatures: k people of n sign one after the other, each on his own machine. The key file is made when it is missing, and is as secret as the right to say what servers may run. Example: manifest sign draft.json --key mine.key -o manifest.bin.",
			Args: []Arg{file, {Name: "key", Flag: "key", Help: "file of the signer's key, made when missing", Need: true}, {Name: "out", Flag: "output", Short: "o", Help: "file to write", Need: true}},
			Run:  runManifestSign},
		{ID: "manifest.show", Title: "Show a manifest",
			Help: "In either form, as JSON that manifest build writes; nothing is verified. Example: manifest show manifest.bin.",
			Args: []Arg{file}, Run: runManifestShow},
		{ID: "manifest.diff", Title: "Compare two manifests",
			Help: "Says what the second accepts, demands and denies that the first does not. Example: manifest diff old.bin new.bin.",
			Args: []Arg{{Name: "old", Help: "manifest in either form", Need: true}, {Name: "new", Help: "manifest in either form", Need: true}}, Run: runManifestDiff},
		{ID: "manifest.verify", Title: "Check who signed a manifest",
			Help: "At least --threshold different keys of --signer must have signed, nobody else may have, and it must be in force. Exit code 4 when it is not so. Example: manifest verify manifest.bin --signer KEY1 --signer KEY2 --threshold 2.",
			Args: []Arg{file, signer, {Name: "threshold", Flag: "threshold", Help: "how many must have signed; without it, all"}}, Run: runManifestVerify},
	}
}

func runManifestBuild(_ context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	c, err := loadConfig(args)
	if err != nil {
		return Result{}, err
	}
	spec := app.BuildSpec{Config: c, Node: args.Has("node"), Binary: args.Get("binary"), Measurement: args.Get("measurement"), Evidence: args.Get("evidence"), Baseline: args.Get("baseline"),
		SecureBoot: args.Has("secure-boot"), AddTo: args.Get("add-to"), Alone: args.Has("alone"), Note: args.Get("note"),
		Deny: app.DenyDraft{EKSerials: args.All("deny-serial"), AKNames: args.All("deny-ak"), Binaries: args.All("deny-binary"), Note: args.Get("deny-note")}}
	var days int
	if _, err := fmt.Sscan(args.Get("version")+" "+args.Get("days"), &spec.Version, &days); err != nil || days < 1 {
		return Result{}, fmt.Errorf("%w: --version is a number, --days one from 1", app.ErrInput)
	}
	spec.Life = time.Duration(days) * 24 * time.Hour
	for _, p := range args.All("pcr") {
		n, err := strconv.ParseUint(p, 10, 8)
		if err != nil || n > 23 {
			return Result{}, fmt.Errorf("%w: --pcr %q: want 0 to 23", app.ErrInput, p)
		}
		spec.PCRs = append(spec.PCRs, uint8(n))
	}
	for _, v := range args.All("deny-manifest") {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return Result{}, fmt.Errorf("%w: --deny-manifest %q is no version", app.ErrInput, v)
		}
		spec.Deny.Manifests = append(spec.Deny.Manifests, n)
	}
	m, err := app.BuildManifest(spec, a.Now())
	if err != nil {
		return Result{}, err
	}
	d := app.Draft(m)
	raw, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return Result{}, err
	}
	if err := os.WriteFile(args.Get("out"), append(raw, '\n'), 0o644); err != nil {
		return Result{}, err
	}
	return Result{Data: d, Text: append(manifestLines(m), "not signed yet: manifest sign "+args.Get("out")+" --key FILE -o manifest.bin")}, nil
}

// manifestLines is what a manifest says, for a person who is to sign it.
func manifestLines(m attest.Manifest) []string {
	out := []string{fmt.Sprintf("%s, manifest %d, until %s", m.Product, m.Version, time.Unix(m.NotAfter, 0).UTC().Format(time.DateOnly))}
	for _, b := range m.Baselines {
		boot := ""
		if b.SecureBoot {
			boot = ", Secure Boot"
		}
		out = append(out, fmt.Sprintf("  accepts %q: %d events, %d registers%s", b.Name, len(b.Events), len(b.PCRs), boot))
		for _, e := range b.Events {
			what := "bound to the connection"
			if len(e.Any) > 0 {
				what = fmt.Sprintf("%x", e.Any[0][:])
			}
			out = append(out, fmt.Sprintf("    %-10s %s", e.Name, what))
		}
		for _, r := range b.PCRs {
			out = append(out, fmt.Sprintf("    PCR %-6d %d values, %d events", r.Index, len(r.Values), len(r.Events)))
		}
	}
	if n := len(m.Deny.EKSerials) + len(m.Deny.AKNames) + len(m.Deny.Manifests) + len(m.Deny.Binaries); n > 0 {
		out = append(out, fmt.Sprintf("  denies %d things (deny list %d): %s", n, m.Deny.Version, m.Deny.Note))
	}
	return out
}

func runManifestSign(_ context.Context, _ *app.App, args Args, _ progress.Sink) (Result, error) {
	m, _, err := app.ReadManifest(args.Get("file"))
	if err != nil {
		return Result{}, err
	}
	key, err := app.LoadSigner(args.Get("key"))
	if err != nil {
		return Result{}, err
	}
	raw, err := app.SignManifest(args.Get("file"), key)
	if err != nil {
		return Result{}, err
	}
	if err := os.WriteFile(args.Get("out"), raw, 0o644); err != nil {
		return Result{}, err
	}
	ids, err := manifest.Signers(raw)
	signer := app.SignerText(key.Public().(ed25519.PublicKey))
	return Result{Data: map[string]any{"out": args.Get("out"), "signer": signer, "signatures": ids, "version": m.Version},
		Text: append(manifestLines(m), fmt.Sprintf("signed by %s; %d signatures on it now", signer, len(ids)))}, err
}

func runManifestShow(_ context.Context, _ *app.App, args Args, _ progress.Sink) (Result, error) {
	m, signed, err := app.ReadManifest(args.Get("file"))
	if err != nil {
		return Result{}, err
	}
	r := Result{Data: app.Draft(m), Text: manifestLines(m)}
	if signed != nil {
		ids, err := manifest.Signers(signed)
		if err != nil {
			return r, err
		}
		r.Text = append(r.Text, "signatures, not verified: "+strings.Join(ids, ", "))
	}
	return r, nil
}

func runManifestDiff(_ context.Context, _ *app.App, args Args, _ progress.Sink) (Result, error) {
	a, _, err := app.ReadManifest(args.Get("old"))
	if err != nil {
		return Result{}, err
	}
	b, _, err := app.ReadManifest(args.Get("new"))
	if err != nil {
		return Result{}, err
	}
	lines := app.DiffManifests(a, b)
	r := Result{Data: map[string]any{"differences": list(lines)}, Text: lines}
	if len(lines) == 0 {
		r.Text = []string{"they say the same"}
	}
	return r, nil
}

func runManifestVerify(_ context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	var signers []ed25519.PublicKey
	for _, s := range args.All("signer") {
		k, err := app.ParseSigner(s)
		if err != nil {
			return Result{}, err
		}
		signers = append(signers, k)
	}
	if len(signers) == 0 {
		return Result{}, fmt.Errorf("%w: say whose signatures count: --signer KEY", app.ErrInput)
	}
	threshold, err := thresholdOf(args, len(signers))
	if err != nil {
		return Result{}, err
	}
	o, err := app.VerifyManifest(args.Get("file"), signers, threshold, a.Now())
	if err != nil {
		return Result{}, err
	}
	return Result{Data: map[string]any{"version": o.Version, "signers": o.Signers, "digest": o.Digest.String()},
		Text: append(manifestLines(o.Manifest), fmt.Sprintf("signed by %d of %d, %d needed", len(o.Signers), len(signers), threshold))}, nil
}

// thresholdOf reads --threshold; without one, all must have signed.
func thresholdOf(args Args, signers int) (int, error) {
	t := args.Get("threshold")
	if t == "" {
		return signers, nil
	}
	n, err := strconv.Atoi(t)
	if err != nil || n < 1 || n > signers {
		return 0, fmt.Errorf("%w: --threshold %q: want 1 to %d, the number of signers", app.ErrInput, t, signers)
	}
	return n, nil
}
