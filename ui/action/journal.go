package action

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"strconv"
	"time"

	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/tlog"
	"cipherdeck/ui/app"
)

// notIndependent stands wherever witnesses are counted.
const notIndependent = "witnesses that you or the server's operator run are not independent: they agree with whoever runs them"

func journalActions() []*Action {
	server := Arg{Name: "server", Help: "name of the pinned server", Default: "main"}
	return []*Action{
		{ID: "journal.show", Title: "Look at a server's journal", Vault: true, Can: needsServer, Run: runJournalShow, Args: []Arg{server},
			Help: "A server writes each account, link, job and result that it accepts into a log that can only grow. This fetches the newest signed state, and demands that it continues the one seen here before and that promises which are due were kept. Every opening of a project does the same."},
		{ID: "journal.check", Title: "Read a server's journal and look for keys in your name", Vault: true, Can: needsServer, Run: runJournalCheck, Args: []Arg{server},
			Help: "Fetches every entry that is new since the last time, demands that they make up the tree that was signed, and lists those about your account. Exit code 4 when there are keys for your account that you did not make."},
		{ID: "journal.promises", Title: "List a server's promises that are not seen to be kept yet", Vault: true, Can: needsServer, Run: runPromises, Args: []Arg{server},
			Help: "A promise is the server's signature that what it accepted will be in its journal by a time. A broken one is evidence: --json has the signed bytes."},
		{ID: "journal.proof", Title: "Write a proof that a document is in a server's journal", Vault: true, Run: runJournalProof,
			Help: "Of the newest link of a project, or of your own account. The file is a C2SP tlog-proof: anybody can check it without the server, with journal verify and the journal's key.",
			Args: []Arg{{Name: "project", Help: "name or id of the project; without it, your own account"}, {Name: "out", Flag: "output", Short: "o", Help: "file to write, by custom NAME.tlog-proof", Need: true},
				{Name: "server", Flag: "server", Help: "name of the pinned server, for your account", Default: "main"}}},
		{ID: "journal.verify", Title: "Check a proof from a server's journal", Run: runJournalVerify,
			Help: "Needs no server and no vault.",
			Args: []Arg{{Name: "file", Help: "the proof", Need: true}, {Name: "key", Flag: "key", Help: "the journal's key, as journal show prints it", Need: true},
				{Name: "witness", Flag: "witness", Many: true, Help: "key of a witness that counts"}, {Name: "need", Flag: "need", Default: "0", Help: "how many of the witnesses must have signed"},
				{Name: "doc", Flag: "doc", Help: "file of the document that it shall be about"}}},
		{ID: "journal.witness", Title: "Be a witness of a server's journal", Vault: true, Can: needsServer, Run: runJournalWitness, Args: []Arg{server},
			Help: "Remembers the largest journal seen here, beside the vault, cosigns what continues it and brings the cosignature to the server, which hands it out. Every opening of a project does so from then on. The server's operator has to name the key in his configuration, without a url; teammates count it by server witness --add. For a witness that is there all day: node --witness, or witness. Never restore its folder from a backup: one that forgot could sign two histories."},
		{ID: "server.witness", Title: "Say which witnesses of a server's journal count for you", Vault: true, Run: runServerWitness,
			Help: "Keys of people are then taken only under a journal that enough of these witnesses have cosigned. Without any, the state is \"not witnessed\": a server could show you another journal than it shows others. Note: " + notIndependent + ".",
			Args: []Arg{{Name: "server", Help: "name of the pinned server", Need: true}, {Name: "add", Flag: "add", Many: true, Help: "key of a witness, as cipherdeck witness prints it"},
				{Name: "rm", Flag: "rm", Many: true, Help: "name or key of a witness"}, {Name: "need", Flag: "need", Help: "how many must have signed"}}},
		{ID: "witness", Title: "Cosign the journals of servers", Daemon: true, Run: runWitness,
			Help: "Remembers the largest journal of each server it was told of and signs what continues it (C2SP tlog-witness). It learns sizes and hashes only. Give its key to those who use the server, and its key and address to the server's operator: witnesses in the server's configuration. Run it where the operator has no say. Plain HTTP: what it says is signed.",
			Args: []Arg{{Name: "log", Help: "keys of journals, as journal show prints them", Many: true, Need: true}, {Name: "dir", Flag: "dir", Help: "folder of its key and memory", Need: true},
				{Name: "listen", Flag: "listen", Default: "127.0.0.1:7444", Help: "host:port"}, {Name: "name", Flag: "name", Help: "what it signs under; default: made of its key"}, untilEOF()}},
		{ID: "rebuild", Title: "Replay a server's journal into an empty store", Run: runRebuild,
			Help: "For a data folder whose store is lost: move DIR/store away first, and end the server. Accounts, projects and jobs come back; blobs lie in DIR/blobs and are not in the journal. A server that starts does the same for single documents by itself.",
			Args: []Arg{{Name: "config", Flag: "config", Help: "JSON file; fields not named have their defaults"}, {Name: "data", Flag: "data", Help: "folder of the server's state; overrides data_dir"}}},
	}
}

func journalLines(i app.JournalInfo) []string {
	out := []string{
		fmt.Sprintf("%s  %d leaves, %s", i.Server, i.Size, i.State),
		"  key   " + i.Key,
		"  root  " + i.Root.String(),
	}
	for _, w := range i.Witnesses {
		out = append(out, fmt.Sprintf("  seen by %s at %s", w.Name, w.At.UTC().Format(time.RFC3339)))
	}
	if len(i.Policy) > 0 {
		out = append(out, "  note: "+notIndependent)
	}
	if i.Promises > 0 {
		out = append(out, fmt.Sprintf("  %d promise(s) not seen to be kept yet: see journal promises", i.Promises))
	}
	if i.Alerts > 0 {
		out = append(out, fmt.Sprintf("! the server says that it mended damage %d time(s) since its start: ask its operator", i.Alerts))
	}
	return out
}

func runJournalShow(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	i, err := a.Journal(ctx, args.Get("server"))
	if err != nil {
		return Result{}, err
	}
	return Result{Data: i, Text: journalLines(i)}, nil
}

func runJournalCheck(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
	c, err := a.CheckJournal(ctx, args.Get("server"), sink)
	if c.Key == "" {
		return Result{}, err
	}
	r := Result{Data: c, Text: append(journalLines(c.JournalInfo), fmt.Sprintf("  read %d new leaves; they make up the tree that was signed", c.Read))}
	for _, m := range c.Mine {
		whose := "an event"
		switch {
		case m.Own:
			whose = "made by you"
		case m.Action == tlog.ActAccount || m.Action == tlog.ActAccountLink:
			whose = "NOT made by you"
		}
		r.Text = append(r.Text, fmt.Sprintf("  your account: leaf %d, %s, %s: %s", m.Index, m.Time, m.Action, whose))
	}
	return r, err
}

// promiseView is a promise in JSON.
type promiseView struct {
	Action string    `json:"action"`
	Due    time.Time `json:"due"`
	Raw    string    `json:"raw"` // the signed bytes, base64
}

func runPromises(_ context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	all, err := a.Promises(args.Get("server"))
	out := []promiseView{}
	r := Result{Text: []string{fmt.Sprintf("%d promise(s) of %s not seen to be kept yet", len(all), args.Get("server"))}}
	for _, p := range all {
		v := promiseView{p.Leaf.Action, p.Due.UTC(), base64.StdEncoding.EncodeToString(p.Raw)}
		out = append(out, v)
		r.Text = append(r.Text, fmt.Sprintf("  %s, due %s", v.Action, v.Due.Format(time.RFC3339)))
	}
	r.Data = out
	return r, err
}

func runJournalProof(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	var r app.Recorded
	var err error
	if p := args.Get("project"); p != "" {
		r, err = a.ProveHead(ctx, p, args.Get("out"))
	} else {
		r, err = a.ProveAccount(ctx, args.Get("server"), args.Get("out"))
	}
	if err != nil {
		return Result{}, err
	}
	return Result{Data: r, Text: []string{args.Get("out") + ": " + r.Text()}}, nil
}

// proofView is a checked proof in JSON.
type proofView struct {
	app.Recorded
	Action string    `json:"action"`
	Time   time.Time `json:"time"`
	Doc    string    `json:"doc"` // tag of the document
}

func runJournalVerify(_ context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	raw, err := readSmall(args.Get("file"))
	if err != nil {
		return Result{}, err
	}
	p, err := policy(args)
	if err != nil {
		return Result{}, err
	}
	var document []byte
	if path := args.Get("doc"); path != "" {
		if document, err = readSmall(path); err != nil {
			return Result{}, err
		}
	}
	l, r, err := app.VerifyProof(raw, p, document, a)
	if err != nil {
		return Result{}, err
	}
	v := proofView{r, l.Action, time.UnixMilli(l.Time).UTC(), l.Doc.String()}
	text := []string{fmt.Sprintf("%s, accepted %s: leaf %d of %d, %s", v.Action, v.Time.Format(time.RFC3339), r.Index, r.Size, r.State)}
	if document == nil {
		text = append(text, "  which document it is about was not checked: say --doc FILE")
	}
	if len(p.Witnesses) > 0 {
		text = append(text, "  note: "+notIndependent)
	}
	return Result{Data: v, Text: text}, nil
}

// maxProofFile bounds what is read of a proof or a document.
const maxProofFile = 1 << 20

func readSmall(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxProofFile {
		return nil, fmt.Errorf("%w: %s is no file of at most %d bytes", app.ErrInput, path, maxProofFile)
	}
	return os.ReadFile(path)
}

func policy(args Args) (p tlog.Policy, err error) {
	if p.Log, err = tlog.ParseKey(args.Get("key")); err != nil {
		return p, err
	}
	if p.Witnesses, err = parseKeys(args.All("witness")); err != nil {
		return p, err
	}
	p.Need, err = parseNeed(args.Get("need"))
	return p, err
}

func parseKeys(all []string) (out []tlog.Key, err error) {
	for _, s := range all {
		k, err := tlog.ParseKey(s)
		if err != nil {
			return nil, err
		}
		out = append(out, k)
	}
	return out, nil
}

// parseNeed reads how many witnesses are needed; -1 when it is not said.
func parseNeed(s string) (int, error) {
	if s == "" {
		return -1, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: --need %q: want a number from 0", app.ErrInput, s)
	}
	return n, nil
}

func runServerWitness(_ context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	add, err := parseKeys(args.All("add"))
	if err != nil {
		return Result{}, err
	}
	need, err := parseNeed(args.Get("need"))
	if err != nil {
		return Result{}, err
	}
	l, err := a.SetWitnesses(args.Get("server"), add, args.All("rm"), need)
	if err != nil {
		return Result{}, err
	}
	r := Result{Data: map[string]any{"witnesses": append([]string{}, l.Witnesses...), "need": l.Need},
		Text: []string{fmt.Sprintf("%s: %d of %d witnesses must have signed its journal", args.Get("server"), l.Need, len(l.Witnesses))}}
	for _, w := range l.Witnesses {
		r.Text = append(r.Text, "  "+w)
	}
	r.Text = append(r.Text, "  note: "+notIndependent)
	return r, nil
}

func runJournalWitness(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	w, err := a.Cosign(ctx, args.Get("server"))
	if err != nil {
		return Result{}, err
	}
	r := Result{Data: w, Text: []string{fmt.Sprintf("%s: %d leaves cosigned", w.Server, w.Size), "  key   " + w.Key, "  root  " + w.Root.String()}}
	if !w.Taken {
		r.Text = append(r.Text, `! the server was not told of this witness; its operator adds to the configuration: "witnesses": [{"key": "`+w.Key+`"}]`)
	}
	return r, nil
}

func runWitness(ctx context.Context, _ *app.App, args Args, sink progress.Sink) (Result, error) {
	logs, err := parseKeys(args.All("log"))
	if err != nil {
		return Result{}, err
	}
	return Result{}, app.RunWitness(lifetime(ctx, args), app.WitnessSpec{Dir: args.Get("dir"), Listen: args.Get("listen"), Name: args.Get("name"), Logs: logs}, logger(), sink)
}

func runRebuild(ctx context.Context, _ *app.App, args Args, _ progress.Sink) (Result, error) {
	c, err := loadConfig(args)
	if err != nil {
		return Result{}, err
	}
	rep, err := app.Rebuild(ctx, c, logger())
	if err != nil {
		return Result{}, err
	}
	r := Result{Data: rep, Text: []string{fmt.Sprintf("%d document(s) put back from the journal", rep.Restored)}}
	for _, l := range rep.Lost {
		r.Text = append(r.Text, "! lost: "+l)
	}
	return r, nil
}
