package action

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"time"

	"cipherdeck/attest"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/secmem"
	"cipherdeck/fhe/job"
	"cipherdeck/remote/api"
	"cipherdeck/remote/server"
	"cipherdeck/ui/app"
)

func serverActions() []*Action {
	config := Arg{Name: "config", Flag: "config", Help: "JSON file; fields not named have their defaults"}
	return []*Action{
		{ID: "server.add", Title: "Pin a server by its pairing code", Keys: []string{"n"}, Screen: "servers", Vault: true,
			Help: "The code is host:port#key, as serve prints it; carry it by a channel that the server does not control. With --signer the server must prove what it runs before a job is sent; without, it is good for storing project ciphertext only. A later change of what is pinned is refused.",
			Args: []Arg{{Name: "code", Help: "pairing code", Need: true}, {Name: "name", Flag: "name", Default: "main", Help: "your name for it"},
				{Name: "signer", Flag: "signer", Many: true, Help: "public key whose manifests you accept"},
				{Name: "threshold", Flag: "threshold", Help: "how many of them must have signed a manifest; without it, all"},
				{Name: "root", Flag: "root", Default: "hardware", Help: "weakest root you accept: hardware, vtpm or software (demo only)"}},
			Run: runServerAdd},
		{ID: "server.list", Title: "List pinned servers", Vault: true,
			Help: "Reads the vault only; no server is asked.",
			Run:  runServerList},
		{ID: "manifest.make", Title: "Sign a golden manifest for a server or a node",
			Help: "Measures this program (or --binary) and a configuration as serve will, or with --node the program alone as node will, and signs the result. Put the file into the server's data_dir, or the node's --dir, as manifest.bin before it starts; hand the signer's public key to users.",
			Args: []Arg{{Name: "out", Flag: "output", Short: "o", Help: "file to write", Need: true}, {Name: "key", Flag: "key", Help: "file of the signer's key, made when missing", Need: true}, config, {Name: "node", Flag: "node", Switch: true, Help: "for compute nodes, which have no configuration"},
				{Name: "binary", Flag: "binary", Help: "program; default: this one"}, {Name: "version", Flag: "version", Default: "1", Help: "rises with every manifest"},
				{Name: "days", Flag: "days", Default: "90", Help: "how long it is valid"}, {Name: "note", Flag: "note", Help: "a word about the signer"}},
			Run: runManifest},
		{ID: "serve", Title: "Run a server", Daemon: true,
			Help: "Stores ciphertext and hands jobs to nodes. It measures itself into a TPM, by default one in software, which proves the protocol and nothing about the machine. Prints its pairing code.",
			Args: []Arg{config, {Name: "data", Flag: "data", Help: "folder of its state; overrides data_dir"}, {Name: "listen", Flag: "listen", Help: "host:port; overrides listen"},
				{Name: "tpm", Flag: "tpm", Help: "soft (the default, a demonstration), swtpm, or a path such as /dev/tpmrm0; overrides tpm"},
				{Name: "sftp", Flag: "sftp", Help: "host:port of a door for SFTP clients, which takes and gives ciphertext only; off without it"},
				{Name: "nats", Flag: "nats", Many: true, Help: "nats:// or tls:// URL of a cluster that keeps documents and jobs; overrides nats_servers"},
				{Name: "nats-creds", Flag: "nats-creds", Help: "file with its credentials or NKEY seed; overrides nats_credentials"},
				{Name: "nats-system-creds", Flag: "nats-system-creds", Help: "the same of its system account, which says whether its servers flush; overrides nats_system_credentials"},
				{Name: "nats-ca", Flag: "nats-ca", Help: "PEM file that its certificates are checked with; overrides nats_ca"},
				{Name: "nats-replicas", Flag: "nats-replicas", Help: "copies of everything: 1, 3 or 5; overrides nats_replicas"},
				{Name: "unsafe-nats-sync", Flag: "unsafe-nats-sync", Switch: true, Help: "run also on servers that may lose what they acknowledged, or where that is not known"}, untilEOF()},
			Run: runServe},
		{ID: "node", Title: "Run a compute node", Daemon: true,
			Help: "Leases jobs from a server and evaluates them on ciphertext. Prints its user id; an owner lets it work with: grant PROJECT UID. Before it asks for work it measures itself into a TPM, by default one in software, which proves the protocol and nothing about the machine; clients ask it for that proof by way of the server, and manifest.bin in --dir says what it should be (manifest make --node). Jobs run in the node's own process: there is no sandbox yet.",
			Args: nodeArgs(),
			Run:  runNode},
	}
}

func runServerAdd(_ context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	code, err := api.ParseCode(args.Get("code"))
	if err != nil {
		return Result{}, err
	}
	root, err := parseRoot(args.Get("root"))
	if err != nil {
		return Result{}, err
	}
	var signers []ed25519.PublicKey
	for _, s := range args.All("signer") {
		k, err := app.ParseSigner(s)
		if err != nil {
			return Result{}, err
		}
		signers = append(signers, k)
	}
	threshold := 0
	if len(signers) > 0 {
		if threshold, err = thresholdOf(args, len(signers)); err != nil {
			return Result{}, err
		}
	}
	i, err := a.AddServer(args.Get("name"), code, signers, threshold, root)
	if err != nil {
		return Result{}, err
	}
	return Result{Data: i, Text: serverLines(i)}, nil
}

func parseRoot(s string) (attest.RootKind, error) {
	switch s {
	case "hardware":
		return attest.RootHardware, nil
	case "vtpm":
		return attest.RootVTPM, nil
	case "software":
		return attest.RootSoftware, nil
	}
	return 0, fmt.Errorf("%w: --root %q: want hardware, vtpm or software", app.ErrInput, s)
}

func serverLines(s app.ServerInfo) []string {
	use := fmt.Sprintf("jobs after attestation, weakest root %s, %d of %d accepted signer(s)", s.MinRoot, s.Threshold, s.Signers)
	if s.Signers == 0 {
		use = "storage of ciphertext only; no signer is pinned"
	}
	return []string{fmt.Sprintf("%s  %s", s.Name, s.Addr), "  key  " + s.Pin, "  for  " + use}
}

func runServerList(_ context.Context, a *app.App, _ Args, _ progress.Sink) (Result, error) {
	all, err := a.Servers()
	r := Result{Data: list(all)}
	for _, s := range all {
		r.Text = append(r.Text, serverLines(s)...)
	}
	return r, err
}

// verdictView is a verdict in JSON.
type verdictView struct {
	Word     string     `json:"verdict"`
	Root     string     `json:"root"`
	Subject  string     `json:"subject"`
	Version  uint64     `json:"manifest_version"`
	NotAfter time.Time  `json:"not_after"`
	Evidence id.ID      `json:"evidence"`
	MayLose  bool       `json:"may_lose_writes"` // by the server's own word: not a link of the proof
	Links    []linkView `json:"links"`
	Maker    string     `json:"maker"`
	Baseline string     `json:"baseline"`
	PCRs     []pcrView  `json:"pcrs"`
	Since    string     `json:"last_good"` // what drift is measured from, RFC 3339; "" when there is nothing
	Drift    []string   `json:"drift"`     // a register a line, with the first event that differs
}

type pcrView struct {
	Index   uint8       `json:"index"`
	Meaning string      `json:"meaning"`
	Value   string      `json:"value"`
	Want    []string    `json:"want"`
	State   string      `json:"state"`
	Diff    string      `json:"diff"`
	Events  []eventView `json:"events"`
}

type eventView struct {
	Type    string `json:"type"`
	Text    string `json:"text"`
	Digest  string `json:"digest"`
	Covered bool   `json:"covered"`
	First   bool   `json:"first_stray"`
}

type datumView struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type linkView struct {
	ID        string `json:"id"`
	State     string `json:"state"`
	Claim     string `json:"claim"`
	Rule      string `json:"rule"`
	Found     string `json:"found"`
	NotProven string `json:"not_proven"`

	Why      string      `json:"why"`
	Evidence []datumView `json:"evidence"`
}

func viewVerdict(v *attest.Verdict) verdictView {
	out := verdictView{Word: v.Word(), Root: v.Root.String(), Subject: v.Subject, Version: v.Version, NotAfter: v.NotAfter, Evidence: v.Digest, Maker: v.Maker, Baseline: v.Baseline, Drift: []string{}, PCRs: []pcrView{}}
	for _, l := range v.Links {
		view := linkView{ID: l.ID, State: l.State.String(), Claim: l.Claim, Rule: l.Rule, Found: l.Found, NotProven: l.NotProven, Why: l.Why, Evidence: []datumView{}}
		for _, d := range l.Data {
			view.Evidence = append(view.Evidence, datumView{d.Name, hex.EncodeToString(d.Value)})
		}
		out.Links = append(out.Links, view)
	}
	for _, r := range v.PCRs {
		row := pcrView{Index: r.Index, Meaning: r.Meaning, Value: hex.EncodeToString(r.Value), State: r.State.String(), Diff: r.Diff, Want: []string{}, Events: []eventView{}}
		for _, w := range r.Want {
			row.Want = append(row.Want, hex.EncodeToString(w))
		}
		for _, e := range r.Events {
			row.Events = append(row.Events, eventView{e.Type, e.Text, hex.EncodeToString(e.Digest), e.Covered, e.First})
		}
		out.PCRs = append(out.PCRs, row)
	}
	return out
}

// VerdictLines is the chain of links, for a person.
func VerdictLines(v *attest.Verdict) []string {
	out := []string{fmt.Sprintf("%s  %s  root: %s", v.Subject, v.Word(), v.Root)}
	for _, l := range v.Links {
		out = append(out, fmt.Sprintf("  %s %-11s %-19s %s", l.State.Glyph(), l.State, l.ID, l.Claim))
		if l.State == attest.Fail || l.State == attest.Warn {
			out = append(out, "      "+l.Found)
		}
	}
	return out
}

func loadConfig(args Args) (server.Config, error) {
	c := server.DefaultConfig()
	if path := args.Get("config"); path != "" {
		var err error
		if c, err = server.LoadConfig(path); err != nil {
			return c, err
		}
	}
	if d := args.Get("data"); d != "" {
		c.DataDir = d
	}
	if l := args.Get("listen"); l != "" {
		c.Listen = l
	}
	if err := clusterFlags(&c, args); err != nil {
		return c, err
	}
	if s := args.Get("sftp"); s != "" {
		c.SFTP = s
	}
	if s := args.Get("tpm"); s != "" {
		c.TPM = s
	}
	return c, c.Check()
}

// clusterFlags takes what is said of a cluster over what the file says.
func clusterFlags(c *server.Config, args Args) error {
	if all := args.All("nats"); len(all) > 0 {
		c.NATSServers = all
	}
	for name, field := range map[string]*string{"nats-creds": &c.NATSCredentials, "nats-system-creds": &c.NATSSystem, "nats-ca": &c.NATSCA} {
		if v := args.Get(name); v != "" {
			*field = v
		}
	}
	if v := args.Get("nats-replicas"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			return fmt.Errorf("%w: --nats-replicas %q: want 1, 3 or 5", app.ErrInput, v)
		}
		c.NATSReplicas = n
	}
	c.UnsafeNATSSync = c.UnsafeNATSSync || args.Has("unsafe-nats-sync")
	return nil
}

func runServe(ctx context.Context, _ *app.App, args Args, sink progress.Sink) (Result, error) {
	c, err := loadConfig(args)
	if err != nil {
		return Result{}, err
	}
	log := logger()
	lockMemory(log)
	return Result{}, app.Serve(lifetime(ctx, args), c, log, sink)
}

func runNode(ctx context.Context, _ *app.App, args Args, sink progress.Sink) (Result, error) {
	return NodeWith(nil)(ctx, nil, args, sink)
}

// NodeWith is the node command with another runner than the honest one.
func NodeWith(runner job.Runner) func(context.Context, *app.App, Args, progress.Sink) (Result, error) {
	return func(ctx context.Context, _ *app.App, args Args, sink progress.Sink) (Result, error) {
		return serveNode(ctx, args, runner, sink)
	}
}

func serveNode(ctx context.Context, args Args, runner job.Runner, sink progress.Sink) (Result, error) {
	code, err := api.ParseCode(args.Get("code"))
	if err != nil {
		return Result{}, err
	}
	if err := secmem.Harden(); err != nil {
		sink.Note("not-hardened", "cause", err.Error()) // it has its key and ciphertexts, and nothing that opens them
	}
	log := logger()
	lockMemory(log)
	return Result{}, app.Node(lifetime(ctx, args), app.NodeSpec{Code: code, Dir: args.Get("dir"), Name: args.Get("name"), Witness: args.Has("witness"), TPM: args.Get("tpm"), FirmwareLog: args.Get("firmware-log")}, runner, log, sink)
}

// lockMemory keeps the keys of a server or node from swap, where the system lets
// it; where it does not, the operator is told.
func lockMemory(log *slog.Logger) {
	if err := secmem.LockAll(); err != nil {
		log.Warn("keys may be written to swap", "cause", err.Error(), "cure", "LimitMEMLOCK=infinity in the service, or no swap")
	}
}

// logger writes what an operator needs to standard error: no payload, no key.
func logger() *slog.Logger { return slog.New(slog.NewJSONHandler(os.Stderr, nil)) }

// lifetime ends with ctx and, when --until-eof is given, with standard input,
// so that a program does not outlive the one that started it.
func lifetime(ctx context.Context, args Args) context.Context {
	if !args.Has("until-eof") {
		return ctx
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		io.Copy(io.Discard, os.Stdin)
	}()
	return ctx
}

func untilEOF() Arg {
	return Arg{Name: "until-eof", Flag: "until-eof", Switch: true, Help: "stop when standard input ends"}
}

// nodeArgs are the arguments of a node.
func nodeArgs() []Arg {
	return []Arg{{Name: "code", Help: "the server's pairing code", Need: true}, {Name: "dir", Flag: "dir", Help: "folder of the node's identity", Need: true}, {Name: "name", Flag: "name", Default: "node", Help: "name of the node"},
		{Name: "witness", Flag: "witness", Switch: true, Help: "cosign the server's journal too; prints the key, for witnesses in the server's configuration and for: server witness"},
		{Name: "tpm", Flag: "tpm", Default: "soft", Help: "soft (a demonstration), swtpm, or a path such as /dev/tpmrm0"}, {Name: "firmware-log", Flag: "firmware-log", Help: "file with the firmware's event log; default: the kernel's, with a TPM of the machine"}, untilEOF()}
}

func runManifest(_ context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	c, err := loadConfig(args)
	if err != nil {
		return Result{}, err
	}
	key, err := app.LoadSigner(args.Get("key"))
	if err != nil {
		return Result{}, err
	}
	spec := app.ManifestSpec{Binary: args.Get("binary"), Node: args.Has("node"), Config: c, Note: args.Get("note"), Key: key}
	var days int
	if _, err := fmt.Sscan(args.Get("version")+" "+args.Get("days"), &spec.Version, &days); err != nil || days < 1 {
		return Result{}, fmt.Errorf("%w: --version and --days are numbers from 1", app.ErrInput)
	}
	spec.Life = time.Duration(days) * 24 * time.Hour
	raw, err := app.MakeManifest(spec, a.Now())
	if err != nil {
		return Result{}, err
	}
	if err := os.WriteFile(args.Get("out"), raw, 0o644); err != nil {
		return Result{}, err
	}
	signer := app.SignerText(key.Public().(ed25519.PublicKey))
	return Result{Data: map[string]string{"out": args.Get("out"), "signer": signer}, Text: []string{"signer " + signer}}, nil
}
