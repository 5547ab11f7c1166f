package action

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
	"cipherdeck/ui/clip"
	"cipherdeck/vault/journal"
	"cipherdeck/vault/secret"
)

func secretActions() []*Action {
	name := Arg{Name: "name", Help: "name of the secret", Need: true}
	return []*Action{
		{ID: "secret.put", Title: "Store a secret in the vault", Vault: true, Run: runSecretPut,
			Help: "Kinds: git (host, password), aws (access_key_id, secret_access_key), login (username, password), api (key), note (text), file (content), totp (secret). Fields that are no secret may be given by --set; one is read from standard input with --stdin; what is still missing is asked on the terminal.",
			Args: []Arg{name, {Name: "kind", Flag: "kind", Need: true, Help: "git, aws, login, api, note, file or totp"}, {Name: "set", Flag: "set", Many: true, Help: "FIELD=VALUE, for what is no secret: a command line can be read by others"},
				{Name: "stdin", Flag: "stdin", Help: "field to read from standard input; otpauth for the text of a QR code (otpauth://totp/…), with --kind totp"}, {Name: "rotate", Flag: "rotate", Help: "day from which it is to be renewed, 2027-01-31"}}},
		{ID: "secret.list", Title: "List the secrets, without their values", Vault: true, Run: runSecretList,
			Help: "Names, kinds, which fields there are, and what is due for renewal."},
		{ID: "secret.show", Title: "Print one value of a secret", Vault: true, Run: runSecretShow,
			Help: "On a terminal it is shown for a time, and then it is gone from the screen and from what can be scrolled back to; into a pipe or file it goes as it is, a file to its last byte. Of a totp secret the field code is the code of this moment. The vault's journal notes it.",
			Args: []Arg{name, {Name: "field", Help: "field to print", Need: true}, {Name: "for", Flag: "for", Default: "20s", Help: "how long it is shown on a terminal"}}},
		{ID: "secret.copy", Title: "Lend one value of a secret to the clipboard", Vault: true, Run: runSecretCopy,
			Help: "Takes it back when the time is over, if it is still there. A clipboard manager may have kept it. Over SSH the terminal's own clipboard is used (OSC 52), which some terminals refuse without a word. The vault's journal notes it.",
			Args: []Arg{name, {Name: "field", Help: "field to copy", Need: true}, {Name: "for", Flag: "for", Default: "30s", Help: "how long it stays"}}},
		{ID: "secret.journal", Title: "List what was shown, copied or given to a program", Vault: true, Run: runJournal,
			Help: "Names and times, never values. Deliveries of one secret to one command within an hour are one entry. The journal is in the vault: who has the vault's key could change it.",
			Args: []Arg{{Name: "name", Help: "name of one secret"}}},
		{ID: "secret.rm", Title: "Forget a secret", Vault: true, Danger: TypeName, Args: []Arg{name}, Help: "The vault's .bak file still has it until the next save.",
			Run: func(_ context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
				if err := a.RemoveSecret(args.Get("name")); err != nil {
					return Result{}, err
				}
				return Result{Data: map[string]string{"removed": args.Get("name")}, Text: []string{"removed " + args.Get("name")}}, nil
			}},
		{ID: "secret.exec", Title: "Run a command with secrets in its environment", Vault: true, Run: runSecretExec,
			Help: "secret exec --env TOKEN=cipherdeck://ci/password -- make deploy. Only the child gets the values; it can pass them on. Ends with the exit code of the command.",
			Args: []Arg{{Name: "env", Flag: "env", Many: true, Need: true, Help: "NAME=cipherdeck://SECRET/FIELD"}, {Name: "command", Many: true, Need: true, Help: "command and its arguments, after --"}}},
		{ID: "secret.fill", Title: "Fill references to secrets in a text", Vault: true, Run: runSecretFill,
			Help: `Reads a text with {{secret "name" "field"}} or cipherdeck://name/field from the file IN, or from standard input, and prints it with the values.`,
			Args: []Arg{{Name: "in", Help: "text to fill; left out or -: standard input"}}},
		{ID: "secret.git", Title: "Answer git as its credential helper", Vault: true, Run: runSecretGit,
			Help: "In ~/.gitconfig: [credential] helper = \"!cipherdeck secret git\". Needs a passphrase that does not come from standard input.",
			Args: []Arg{{Name: "operation", Help: "get, store or erase, as git says", Need: true}}},
		{ID: "secret.aws", Title: "Answer AWS tools as their credential_process", Vault: true, Run: runSecretAWS,
			Help: "In ~/.aws/config: credential_process = cipherdeck secret aws NAME.", Args: []Arg{name}},
	}
}

func runSecretPut(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	s := secret.Secret{Kind: secret.Kind(args.Get("kind")), Fields: map[string][]byte{}}
	required, _, ok := s.Kind.Shape()
	if !ok {
		return Result{}, fmt.Errorf("%w: kind %q; one of: git, aws, login, api, note, file, totp", secret.ErrInvalid, args.Get("kind"))
	}
	for _, kv := range args.All("set") {
		k, v, ok := strings.Cut(kv, "=")
		if !ok {
			return Result{}, fmt.Errorf("%w: --set wants FIELD=VALUE", app.ErrInput)
		}
		s.Fields[k] = []byte(v)
	}
	if f := args.Get("stdin"); f != "" {
		v, err := io.ReadAll(io.LimitReader(os.Stdin, secret.MaxField+1))
		if err != nil {
			return Result{}, err
		}
		s.Fields[f] = v
		if s.Kind != secret.File {
			s.Fields[f] = bytes.TrimRight(v, "\r\n")
		}
	}
	if text := string(s.Fields["otpauth"]); text != "" && s.Kind == secret.TOTP {
		var err error
		if s, err = secret.ParseOTPAuth(text); err != nil {
			return Result{}, err
		}
	}
	for _, f := range required {
		if _, ok := s.Fields[f]; ok {
			continue
		}
		ask := a.AskNew
		if s.Kind.Public(f) {
			ask = a.AskText
		}
		v, err := ask(ctx, f+" of "+args.Get("name"))
		if err != nil {
			return Result{}, err
		}
		s.Fields[f] = v
	}
	if day := args.Get("rotate"); day != "" {
		t, err := time.Parse(time.DateOnly, day)
		if err != nil {
			return Result{}, fmt.Errorf("%w: --rotate %q: want a day as 2027-01-31", app.ErrInput, day)
		}
		s.Rotate = t.Unix()
	}
	return put(a, args.Get("name"), s)
}

// put stores s and says what it took the place of: a value that is not given
// again is lost.
func put(a *app.App, name string, s secret.Secret) (Result, error) {
	all, err := a.Secrets()
	if err != nil {
		return Result{}, err
	}
	kind, fields := s.Kind, slices.Collect(maps.Keys(s.Fields)) // PutSecret wipes s
	if err := a.PutSecret(name, s); err != nil {
		return Result{}, err
	}
	type view struct {
		Name     string   `json:"name"`
		Kind     string   `json:"kind"`
		Replaced bool     `json:"replaced"`
		Lost     []string `json:"lost,omitempty"` // fields that the one before had
	}
	v := view{Name: name, Kind: string(kind)}
	text := []string{"stored " + name}
	if i := slices.IndexFunc(all, func(o app.SecretInfo) bool { return o.Name == name }); i >= 0 {
		v.Replaced = true
		text[0] = "replaced " + name
		for _, f := range all[i].Fields {
			if !slices.Contains(fields, f) {
				v.Lost = append(v.Lost, f)
			}
		}
	}
	if len(v.Lost) > 0 {
		text = append(text, "! it has no more: "+strings.Join(v.Lost, ", ")+"; put gives all fields anew")
	}
	return Result{Data: v, Text: text}, nil
}

func runSecretList(_ context.Context, a *app.App, _ Args, _ progress.Sink) (Result, error) {
	all, err := a.Secrets()
	if err != nil {
		return Result{}, err
	}
	if all == nil {
		all = []app.SecretInfo{}
	}
	r := Result{Data: all}
	if len(all) == 0 {
		r.Text = []string{"no secrets yet; store one: cipherdeck secret put NAME --kind KIND"}
	}
	for _, s := range all {
		line := fmt.Sprintf("%-24s %-6s %s", s.Name, s.Kind, strings.Join(s.Fields, ", "))
		if s.Due {
			line += "  ! due for renewal since " + s.Rotate
		}
		r.Text = append(r.Text, line)
	}
	return r, nil
}

func runSecretShow(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	life, err := lifetimeOf(args, "for")
	if err != nil {
		return Result{}, err
	}
	v, err := a.SecretField(args.Get("name"), args.Get("field"), journal.Shown, "secret show")
	if err != nil {
		return Result{}, err
	}
	defer clear(v)
	data := map[string]string{"value": string(v)}
	if !utf8.Valid(v) { // JSON would change it
		data = map[string]string{"base64": base64.StdEncoding.EncodeToString(v)}
	}
	if !args.Has("json") && !term.IsTerminal(int(os.Stdout.Fd())) {
		return Result{}, exact(args.Get("field"), v)
	}
	return Result{Data: data, Text: strings.Split(string(v), "\n"), Brief: life}, nil
}

// exact writes a value for a program: nothing in it is made harmless, and what
// was a file stays that file.
func exact(field string, v []byte) error {
	if _, err := os.Stdout.Write(v); err != nil || field == "content" {
		return err
	}
	_, err := os.Stdout.WriteString("\n")
	return err
}

func lifetimeOf(args Args, name string) (time.Duration, error) {
	d, err := time.ParseDuration(args.Get(name))
	if err != nil || d < time.Second || d > time.Hour {
		return 0, fmt.Errorf("%w: --%s %q: want a time from 1s to 1h", app.ErrInput, name, args.Get(name))
	}
	return d, nil
}

func runSecretCopy(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
	life, err := lifetimeOf(args, "for")
	if err != nil {
		return Result{}, err
	}
	c, err := clip.Find(os.Getenv)
	if err != nil {
		return Result{}, err
	}
	v, err := a.SecretField(args.Get("name"), args.Get("field"), journal.Copied, "secret copy")
	if err != nil {
		return Result{}, err
	}
	defer clear(v)
	err = c.Lend(ctx, v, life, func() {
		sink.Note(SayNote, "text", fmt.Sprintf("in the clipboard (%s) for %s; ctrl-c takes it back at once", c.Name, life))
	})
	if err != nil {
		return Result{}, err
	}
	return Result{Data: map[string]string{"clipboard": c.Name, "cleared": "yes"}, Text: []string{"taken back from the clipboard"}}, nil
}

func runJournal(_ context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	entries, lost, err := a.Disclosures(args.Get("name"))
	if err != nil {
		return Result{}, err
	}
	type view struct {
		At     string `json:"at"`
		What   string `json:"what"`
		Secret string `json:"secret"`
		Field  string `json:"field,omitempty"`
		By     string `json:"by"`
	}
	views := []view{}
	r := Result{}
	for _, e := range entries {
		v := view{time.Unix(e.At, 0).UTC().Format(time.RFC3339), e.What.String(), e.Secret, e.Field, e.By}
		views = append(views, v)
		r.Text = append(r.Text, strings.TrimRight(fmt.Sprintf("%s  %-18s %-24s %-12s %s", v.At, v.What, v.Secret, v.Field, v.By), " "))
	}
	if lost > 0 {
		r.Text = append(r.Text, fmt.Sprintf("%d older entries are gone", lost))
	}
	r.Data = map[string]any{"entries": views, "lost": lost}
	return r, nil
}

func runSecretExec(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	if args.Has("json") {
		return Result{}, fmt.Errorf("%w: the output is the command's own; leave out --json", app.ErrInput)
	}
	env, err := a.SecretEnv(os.Environ(), args.All("env"))
	if err != nil {
		return Result{}, err
	}
	words := slices.Clone(args.All("command"))
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return Result{}, fmt.Errorf("%w: %s: %w", app.ErrCommand, words[0], err)
	}
	return Result{}, nil
}

func runSecretFill(_ context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	in := os.Stdin
	if name := args.Get("in"); name != "" && name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return Result{}, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, 16<<20))
	if err != nil {
		return Result{}, err
	}
	out, err := a.ExpandTemplate(text)
	if err != nil {
		return Result{}, err
	}
	return raw(args, out)
}

// raw prints bytes as they are: the answer is for a program.
func raw(args Args, b []byte) (Result, error) {
	if args.Has("json") {
		return Result{Data: map[string]string{"text": string(b)}}, nil
	}
	_, err := os.Stdout.Write(b)
	return Result{}, err
}

func runSecretGit(_ context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	out, err := a.GitCredential(args.Get("operation"), os.Stdin)
	if err != nil {
		return Result{}, err
	}
	return raw(args, out)
}

func runSecretAWS(_ context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	out, err := a.AWSCredentials(args.Get("name"))
	if err != nil {
		return Result{}, err
	}
	return raw(args, out)
}
