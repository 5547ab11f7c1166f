package action

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"cipherdeck/attest"
	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
)

// grantAction names its arguments so that a form offers no model that nobody
// asked for.
func grantAction() *Action {
	return &Action{ID: "grant", Title: "Let a node run jobs of a project", Keys: []string{"N"}, Screen: "projects", Vault: true,
		Help: "The node gets ciphertext, the model and the plan, all by way of the server, which sees them too; never a key that opens data. With --attested the node proves what it runs first (node attest), and the grant is for a key in its TPM: only while the machine stays in this state; a change or a restart ends it, and before each job it is asked again. --model with --data limits the jobs to models of the project. Exit code 4 when the node is refused; then nothing is granted. Example: grant study UID --attested --model logreg.onnx --data wdbc.csv --label malignant --hours 8.",
		Args: []Arg{projectArg(), {Name: "node", Help: "user id of the node", Need: true}, {Name: "hours", Flag: "hours", Default: "24", Help: "how long"},
			{Name: "attested", Flag: "attested", Switch: true, Help: "attest it now, and grant only to the machine as it is"},
			{Name: "only-model", Flag: "model", Many: true, Help: "with --attested: only jobs with this model item; repeat for several"},
			{Name: "only-data", Flag: "data", Help: "with --model: the dataset item that it is run on; a job's model is encoded for its ranges"},
			{Name: "label", Flag: "label", Help: "with --model: column with the truth, as of run"}},
		Can: needsProject, Run: runGrant}
}

func runGrant(ctx context.Context, a *app.App, args Args, sink progress.Sink) (Result, error) {
	hours, err := time.ParseDuration(args.Get("hours") + "h")
	if err != nil || hours <= 0 {
		return Result{}, fmt.Errorf("%w: --hours %q is not a number of hours", app.ErrInput, args.Get("hours"))
	}
	models := args.All("only-model")
	switch {
	case len(models) > 0 && !args.Has("attested"):
		return Result{}, fmt.Errorf("%w: --model goes with --attested", app.ErrInput)
	case (len(models) > 0) != args.Has("only-data"):
		return Result{}, fmt.Errorf("%w: --model and --data go together: a job's model is encoded for the ranges of its data", app.ErrInput)
	}
	uid, err := a.NodeUID(args.Get("node"))
	if err != nil {
		return Result{}, err
	}
	p, err := a.Project(ctx, args.Get("project"))
	if err != nil {
		return Result{}, err
	}
	if !args.Has("attested") {
		g, err := a.GrantNode(ctx, p, uid, hours)
		if err != nil {
			return Result{}, err
		}
		return Result{Data: map[string]any{"grant": g, "attested": false}, Text: []string{"grant " + g.String(),
			"  not attested: who runs it is not known; it sees ciphertext only"}}, nil
	}
	ids, err := a.ModelIDs(ctx, p, models, args.Get("only-data"), args.Get("label"), sink)
	if err != nil {
		return Result{}, err
	}
	g, err := a.GrantAttested(ctx, p, uid, hours, ids)
	if err != nil {
		return refusedGrant(g, err)
	}
	return Result{Data: map[string]any{"grant": g.ID, "attested": true, "verdict": g.Verdict.Word(), "subject": g.Verdict.Subject, "root": g.Verdict.Root.String(),
		"key": hex.EncodeToString(g.Key), "attestation_key_name": hex.EncodeToString(g.Verdict.AKName), "models": list(g.Models), "until": g.Until.UTC().Format(time.RFC3339)},
		Text: append([]string{"grant " + g.ID.String(),
			fmt.Sprintf("  %s proved what it runs: %s, root: %s, manifest %d", g.Verdict.Subject, g.Verdict.Word(), g.Verdict.Root, g.Verdict.Version),
			fmt.Sprintf("  for the key %s of its TPM, certified by %s", attest.Short(g.Key), attest.Short(g.Verdict.AKName)),
			"  only while the machine stays in this state; a change or a restart ends it, at the latest " + g.Until.UTC().Format(time.RFC3339),
			"  jobs: evaluation on ciphertext, with " + modelWords(g.Models)}, firstSeen(g.First)...)}, nil
}

// refusedGrant shows the verdict for which nothing was granted.
func refusedGrant(g app.Granted, err error) (Result, error) {
	if g.Verdict == nil {
		return Result{}, err
	}
	return Result{Data: viewVerdict(g.Verdict), Text: append(VerdictLines(g.Verdict), "nothing was granted")}, err
}

func modelWords(models []id.ID) string {
	if len(models) == 0 {
		return "any model"
	}
	var out []string
	for _, m := range models {
		out = append(out, m.Short())
	}
	return "model " + strings.Join(out, ", ")
}

func viewGrant(g chain.Grant, held string) (grantView, []string) {
	until := g.NotAfter.UTC().Format(time.RFC3339)
	v := grantView{ID: g.ID, Node: g.Node.UID.String(), Name: g.Node.Name, Until: until, Attested: len(g.Key) > 0, AK: hex.EncodeToString(g.AKName), Held: held, Models: list(g.Models)}
	how := "not attested"
	if v.Attested {
		how = fmt.Sprintf("attested: AK %s, %s", attest.Short(g.AKName), modelWords(g.Models))
	}
	lines := []string{fmt.Sprintf("  node     %-24s %s until %s  %s", v.Name, v.Node, until, how)}
	if held != "" {
		lines = append(lines, "           ✗ suspended here: "+held)
	}
	return v, lines
}
