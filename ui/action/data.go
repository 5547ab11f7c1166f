package action

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/app"
	"cipherdeck/vault/dataset"
	"cipherdeck/vault/dataset/risk"
	"cipherdeck/vault/dataset/rules"
)

func dataActions() []*Action {
	in := Arg{Name: "in", Help: "table: .csv, .tsv, .jsonl or .parquet", Need: true}
	out := Arg{Name: "out", Flag: "output", Short: "o", Help: "file to write", Need: true}
	force := Arg{Name: "force", Flag: "force", Switch: true, Help: "replace the output if it exists"}
	reveal := Arg{Name: "reveal", Flag: "reveal", Many: true, Help: "show the values of this column although it looks personal; * for all"}
	rulesFile := Arg{Name: "rules", Flag: "rules", Need: true, Help: "JSON file of rules, as data rules writes it"}
	key := Arg{Name: "key", Flag: "key", Default: "default", Help: "name of the column key, derived from your vault or from the project"}
	project := Arg{Name: "project", Flag: "project", Help: "use the column key of this project, the same for everybody who is or ever was a reader of it; its server is asked"}
	quasi := Arg{Name: "quasi", Flag: "quasi", Many: true, Need: true, Help: "column by which somebody might recognise a person"}
	encrypt := Arg{Name: "encrypt", Flag: "encrypt", Switch: true, Help: "encrypt footer and columns"}
	column := Arg{Name: "column", Flag: "column", Many: true, Help: "column with a key of its own"}
	k := Arg{Name: "k", Flag: "k", Default: "5", Help: "smallest class wanted"}
	return []*Action{
		{ID: "data.profile", Title: "Say what is in a table", Args: []Arg{in, reveal}, Run: runProfile,
			Help: "Reads the table once, in constant memory: types, ranges, empty cells, an estimate of distinct values, and what looks personal. Values of such columns are masked."},
		{ID: "data.preview", Title: "Look at a sealed table without opening its rows", Args: []Arg{{Name: "in", Help: "container", Need: true}, reveal, {Name: "passphrase", Flag: "passphrase", Switch: true, Help: "open it with a passphrase instead of the vault's identity"}}, Run: runPreview,
			Help: "Shows the profile that seal put into the encrypted facts of a table. There is none of what came from a pipe: the facts are written before the rows are seen."},
		{ID: "data.rules", Title: "Propose what to do with each column of a table", Args: []Arg{out, in}, Run: runRules,
			Help: "Writes a file of rules to read and change: keep, drop, mask, token, encrypt, generalise, noise. It is a proposal from names and a sample; rare cases are missed."},
		{ID: "data.apply", Title: "Change a table by rules", Vault: true, Args: []Arg{out, in, rulesFile, key, project, force}, Run: runApply,
			Help: "Tokens and encrypted cells are made under a key of your own for the name given by --key: tables changed under one name can be joined by their tokens. With --project the key is the project's: all its readers make the same tokens and can reveal. It does not change when somebody is removed: whoever was ever a reader may keep it. Whoever has the key finds out by trying which value a token stands for when there are few, as with postcodes and diagnoses. Nodes never get it. Pseudonymised is not anonymous."},
		{ID: "data.reveal", Title: "Open the encrypted columns of a table again", Vault: true, Args: []Arg{out, in, rulesFile, key, project, force}, Run: runReveal,
			Help: "Takes the table that data apply wrote, and the same rules and key, or --project. Masked, dropped and generalised values are gone."},
		{ID: "data.risk", Title: "Measure how easily rows of a table are recognised", Args: []Arg{in, quasi, {Name: "sensitive", Flag: "sensitive", Many: true, Help: "column that must not be learned"}, k}, Run: runRisk,
			Help: "Counts classes of rows that look alike in the --quasi columns: k, rows at risk, and how varied sensitive columns are within a class. k-anonymity does not stop inference."},
		{ID: "data.reach", Title: "Make a table coarse enough to reach k", Args: []Arg{out, in, quasi, k, {Name: "suppress", Flag: "suppress", Default: "0.05", Help: "most rows that may be left out, as a share"}, force}, Run: runReach,
			Help: "Coarsens whole columns, and leaves out at most the share of rows that still stand out. One fair answer, not the best one; measure again before you rely on it."},
		{ID: "data.parquet", Title: "Write a table as Parquet", Args: []Arg{out, in, encrypt, column, key, project, force}, Run: runParquet(true),
			Help: "With --encrypt by the format's own modular encryption (AES-GCM), footer included, which tools outside can read when they are given the keys."},
		{ID: "data.csv", Title: "Write a Parquet file as CSV", Args: []Arg{out, {Name: "in", Help: "Parquet file", Need: true}, encrypt, column, key, project, force}, Run: runParquet(false),
			Help: "For an encrypted file give --encrypt and the same columns and key as when it was written. The cells are as they were: a spreadsheet runs those that begin with = or the like; data apply makes them harmless."},
	}
}

func runParquet(write bool) func(context.Context, *app.App, Args, progress.Sink) (Result, error) {
	return func(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
		spec := app.ParquetSpec{In: args.Get("in"), Out: args.Get("out"), Encrypt: args.Has("encrypt"), Columns: split(args.All("column")), Key: columnKey(args), Force: args.Has("force")}
		if !spec.Encrypt && (args.Has("project") || args.Has("column")) {
			return Result{}, fmt.Errorf("%w: --project and --column go with --encrypt", app.ErrInput)
		}
		if spec.Encrypt {
			if _, err := a.UnlockAsking(ctx); err != nil {
				return Result{}, err
			}
		}
		work := a.ReadParquet
		if write {
			work = a.WriteParquet
		}
		return wrote(spec.Out, work(ctx, spec))
	}
}

func runProfile(ctx context.Context, _ *app.App, args Args, _ progress.Sink) (Result, error) {
	p, err := app.ProfileFile(ctx, args.Get("in"))
	if err != nil {
		return Result{}, err
	}
	return preview(p, args)
}

func runPreview(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	pw, err := opening(ctx, a, args)
	if err != nil {
		return Result{}, err
	}
	defer clear(pw)
	p, err := a.PreviewContainer(ctx, args.Get("in"), pw)
	if err != nil {
		return Result{}, err
	}
	return preview(p, args)
}

// columnView is one column of a preview in JSON.
type columnView struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Looks    string `json:"looks_like,omitempty"`
	Hidden   bool   `json:"hidden"`
	Empty    int64  `json:"empty"`
	Distinct int64  `json:"distinct"`
	Min      string `json:"min,omitempty"`
	Max      string `json:"max,omitempty"`
	Note     string `json:"note,omitempty"`
}

// previewRows is how many rows of the sample a preview shows.
const previewRows = 5

// sampleCell is how many characters of a cell its lines show.
const sampleCell = 24

func preview(p *dataset.Profile, args Args) (Result, error) {
	for _, name := range args.All("reveal") {
		if name != "*" && !slices.ContainsFunc(p.Columns, func(c dataset.ColumnProfile) bool { return c.Name == name }) {
			return Result{}, fmt.Errorf("%w: --reveal %q", dataset.ErrColumn, name)
		}
	}
	v := p.Preview(previewRows, args.All("reveal")...)
	columns := []columnView{}
	text := []string{fmt.Sprintf("%s, %d rows, %d columns", v.Format, v.Rows, len(v.Columns)), fmt.Sprintf("  %-24s %-8s %8s %9s  %s", "column", "type", "empty", "distinct", "range")}
	for _, c := range v.Columns {
		w := columnView{c.Name, fmt.Sprint(c.Type), fmt.Sprint(c.Kind), c.Hidden, c.Nulls, c.Distinct, c.Min, c.Max, c.Note}
		columns = append(columns, w)
		span := c.Min + " … " + c.Max
		if c.Note != "" {
			span = "not read: " + c.Note
		} else if c.Hidden {
			span = "hidden: looks like " + w.Looks
		} else if c.Min == "" && c.Max == "" {
			span = ""
		}
		text = append(text, fmt.Sprintf("  %-24s %-8s %8d %9d  %s", c.Name, w.Type, c.Nulls, c.Distinct, span))
	}
	if v.Omitted > 0 {
		text = append(text, fmt.Sprintf("  and %d columns that did not fit into the profile", v.Omitted))
	}
	text = append(text, sampleLines(v.Sample)...)
	return Result{Data: map[string]any{"format": v.Format, "rows": v.Rows, "columns": columns, "omitted": v.Omitted, "sample": list(v.Sample)}, Text: text}, nil
}

// sampleLines shows some rows of the sample; a line is for one row.
func sampleLines(rows [][]string) []string {
	if len(rows) == 0 {
		return nil
	}
	out := []string{"rows of the sample"}
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, c := range row {
			if cells[i] = c; utf8.RuneCountInString(c) > sampleCell {
				cells[i] = string([]rune(c)[:sampleCell]) + "…"
			}
		}
		out = append(out, "  "+strings.Join(cells, " | "))
	}
	return out
}

func runRules(ctx context.Context, _ *app.App, args Args, _ progress.Sink) (Result, error) {
	f, why, err := app.ProposeRules(ctx, args.Get("in"))
	if err != nil {
		return Result{}, err
	}
	raw, err := f.Marshal()
	if err != nil {
		return Result{}, err
	}
	if err := writeNew(args.Get("out"), raw); err != nil {
		return Result{}, err
	}
	r := Result{Data: map[string]any{"out": args.Get("out"), "columns": len(f.Columns), "proposed": len(why)}}
	for _, w := range why {
		r.Text = append(r.Text, fmt.Sprintf("  %-24s %-10s %s", w.Column, w.Rule.Action, w.Why))
	}
	r.Text = append(r.Text, "wrote "+args.Get("out")+": read it, change it, then data apply")
	return r, nil
}

func writeNew(path string, raw []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	return errors.Join(err, f.Close())
}

func runApply(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	return recoded(a.ApplyRules(ctx, recodeSpec(args, false)))
}

func runReveal(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	return recoded(a.ApplyRules(ctx, recodeSpec(args, true)))
}

func recodeSpec(args Args, reveal bool) app.Recode {
	return app.Recode{In: args.Get("in"), Out: args.Get("out"), Rules: args.Get("rules"), Key: columnKey(args), Reveal: reveal, Force: args.Has("force")}
}

func columnKey(args Args) app.ColumnKey {
	return app.ColumnKey{Name: args.Get("key"), Project: args.Get("project")}
}

func recoded(s rules.Stats, err error) (Result, error) {
	if err != nil {
		return Result{}, err
	}
	r := Result{Data: map[string]any{"rows": s.Rows, "left_out": s.Skipped, "emptied": s.Suppressed, "formulas": s.Formulas},
		Text: []string{fmt.Sprintf("%d rows written, %d left out, %d formulas made harmless", s.Rows, s.Skipped, s.Formulas)}}
	for c, n := range s.Suppressed {
		r.Text = append(r.Text, fmt.Sprintf("  ! column %s: %d cells that its rule could not read, emptied", c, n))
	}
	return r, nil
}

func riskOptions(args Args) (risk.Options, error) {
	o := risk.Options{Quasi: split(args.All("quasi")), Sensitive: split(args.All("sensitive"))}
	var err error
	if o.K, err = strconv.Atoi(args.Get("k")); err != nil {
		return o, fmt.Errorf("%w: --k %q is not a number", app.ErrInput, args.Get("k"))
	}
	return o, nil
}

// split also takes several columns with commas between them.
func split(words []string) []string {
	var out []string
	for _, w := range words {
		out = append(out, strings.Split(w, ",")...)
	}
	return out
}

func runRisk(ctx context.Context, _ *app.App, args Args, _ progress.Sink) (Result, error) {
	o, err := riskOptions(args)
	if err != nil {
		return Result{}, err
	}
	r, personal, err := app.Risk(ctx, args.Get("in"), o)
	if err != nil {
		return Result{}, err
	}
	data := viewRisk(r)
	data["personal_unnamed"] = list(personal)
	return Result{Data: data, Text: slices.Concat(riskLines(r), r.Caveats(), personalLines(personal, "are in none of these figures"))}, nil
}

func viewRisk(r risk.Report) map[string]any {
	diversity := map[string]int64{}
	for _, d := range r.Diversity {
		diversity[d.Column] = d.L
	}
	return map[string]any{"rows": r.Rows, "classes": r.Classes, "k": r.K, "wanted": r.Wanted, "unique": r.Unique, "below": r.Below, "max_risk": r.MaxRisk(), "avg_risk": r.AvgRisk(), "l_diversity": diversity}
}

// personalLines warns of columns that a report leaves out of account.
func personalLines(columns []string, what string) []string {
	if len(columns) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("! look personal and %s: %s; drop or tokenise them: data rules, data apply", what, strings.Join(columns, ", "))}
}

func riskLines(r risk.Report) []string {
	out := []string{fmt.Sprintf("%d rows in %d classes by %s", r.Rows, r.Classes, strings.Join(r.Quasi, ", ")),
		fmt.Sprintf("k %d, wanted %d; %d rows stand alone, %d rows in classes below %d", r.K, r.Wanted, r.Unique, r.Below, r.Wanted),
		fmt.Sprintf("chance to recognise a row: at most %.3f, on average %.3f", r.MaxRisk(), r.AvgRisk())}
	for _, d := range r.Diversity {
		out = append(out, fmt.Sprintf("%s: at least %d different values in a class; %d rows whose class tells it", d.Column, d.L, d.Told))
	}
	return out
}

// coarser says in words what a rule leaves of its column.
func coarser(r rules.Rule) string {
	switch {
	case r.Action == rules.Keep:
		return "as it was"
	case r.Action == rules.Drop:
		return "taken away"
	case r.Action == rules.Generalise && r.Width > 0:
		return fmt.Sprintf("in bins of %g", r.Width)
	case r.Action == rules.Generalise && r.Prefix > 0:
		return fmt.Sprintf("its first %d characters", r.Prefix)
	case r.Action == rules.Generalise && r.To != "":
		return "the " + r.To + " alone"
	}
	return string(r.Action)
}

func runReach(ctx context.Context, a *app.App, args Args, _ progress.Sink) (Result, error) {
	o, err := riskOptions(args)
	if err != nil {
		return Result{}, err
	}
	share, err := strconv.ParseFloat(args.Get("suppress"), 64)
	if err != nil || share < 0 || share > 1 {
		return Result{}, fmt.Errorf("%w: --suppress %q is not a share from 0 to 1", app.ErrInput, args.Get("suppress"))
	}
	p, st, personal, err := a.ReachK(ctx, recodeSpec(args, false), o, share)
	if err != nil {
		return Result{}, err
	}
	text := []string{"before"}
	text = append(text, riskLines(p.Before)...)
	for _, r := range p.Rules {
		text = append(text, fmt.Sprintf("  %-24s %s", r.Column, coarser(r)))
	}
	text = append(text, fmt.Sprintf("after, with %d rows left out", st.Skipped))
	text = slices.Concat(text, riskLines(p.After), p.After.Caveats(), personalLines(personal, "were copied as they are"))
	return Result{Data: map[string]any{"personal_unnamed": list(personal), "before": viewRisk(p.Before), "after": viewRisk(p.After), "rules": p.Rules, "left_out": st.Skipped, "out": args.Get("out")}, Text: text}, nil
}
