package app

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/seal"
	"cipherdeck/vault"
	"cipherdeck/vault/dataset"
	"cipherdeck/vault/dataset/parquet"
	"cipherdeck/vault/dataset/risk"
	"cipherdeck/vault/dataset/rules"
)

// table opens the file of a table and finds its form by the file's name. A
// Parquet file is read as the CSV that data csv would write.
func table(ctx context.Context, path string) (io.ReadCloser, dataset.Format, error) {
	form, ok := dataset.FormatOf(path)
	if !ok {
		return nil, "", fmt.Errorf("%w: %s: the name must end in .csv, .tsv, .jsonl or .parquet", ErrInput, path)
	}
	f, err := os.Open(path)
	if err != nil || form != dataset.Parquet {
		return f, form, err
	}
	p, err := openParquet(path, f, nil)
	if err != nil {
		f.Close()
		return nil, "", err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(p.WriteCSV(ctx, w)) }()
	return piped{r, f}, dataset.CSV, nil
}

// piped is a table that is turned into CSV while it is read.
type piped struct {
	*io.PipeReader
	file *os.File
}

// Close ends the turning first, which reads the file.
func (p piped) Close() error { return errors.Join(p.PipeReader.Close(), p.file.Close()) }

// ProfileFile reads a table once and says what is in it.
func ProfileFile(ctx context.Context, path string) (*dataset.Profile, error) {
	seed, err := sampleSeed()
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	form, ok := dataset.FormatOf(path)
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: %s: the name must end in .csv, .tsv, .jsonl or .parquet", ErrInput, path)
	case form != dataset.Parquet:
		return dataset.ProfileOf(path, form, f, seed)
	}
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return parquet.ProfileOf(ctx, path, f, st.Size(), seed)
}

// profileFor is the encoded profile that goes into the sealed facts of a
// table; nil for a file that is none by its name, and for Parquet with an
// encrypted footer, which has no key here.
func profileFor(ctx context.Context, path string) ([]byte, error) {
	if _, ok := dataset.FormatOf(path); !ok {
		return nil, nil
	}
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return nil, nil // sealing says what is wrong, if anything is
	}
	p, err := ProfileFile(ctx, path)
	if errors.Is(err, parquet.ErrKey) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return p.Encode()
}

// PreviewContainer reads the profile in the facts of a sealed table. The
// payload is not opened.
func (a *App) PreviewContainer(ctx context.Context, path string, passphrase []byte) (*dataset.Profile, error) {
	who, err := a.openers(ctx, Opener{Passphrase: passphrase})
	if err != nil {
		return nil, err
	}
	f, _, err := seal.OpenRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := seal.Open(f, who...)
	if err != nil {
		return nil, err
	}
	if len(r.Meta.Profile) == 0 {
		return nil, fmt.Errorf("%w: %s was sealed without a profile: it is no table, is encrypted Parquet, or came from a pipe", ErrInput, path)
	}
	return dataset.DecodeProfile(r.Meta.Profile)
}

// ProposeRules looks at a table and proposes what to do with each column.
func ProposeRules(ctx context.Context, path string) (*rules.File, []rules.Reason, error) {
	p, err := ProfileFile(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range p.Columns {
		if c.Type == dataset.Nested {
			return nil, nil, fmt.Errorf("%w: %s: column %q is %s; rules are for flat tables", dataset.ErrMalformed, path, c.Name, c.Note)
		}
	}
	f, why := rules.Propose(p)
	return f, why, nil
}

// Recode is what to do to a table: by rules from a file, or to reach k.
type Recode struct {
	In, Out string
	Rules   string // file of rules
	Key     ColumnKey
	Reveal  bool // open the encrypted columns instead
	Force   bool
}

// ColumnKey names the key for tokens, encrypted cells and encrypted Parquet.
type ColumnKey struct {
	Name    string
	Project string // whose key it is, the same for all its members; "": the owner's of the vault
}

// ApplyRules writes a changed copy of a table. Tokens and encrypted cells are
// made under spec.Key: two tables that were changed under the same key can be
// joined by their tokens.
func (a *App) ApplyRules(ctx context.Context, spec Recode) (rules.Stats, error) {
	raw, err := os.ReadFile(spec.Rules)
	if err != nil {
		return rules.Stats{}, err
	}
	f, err := rules.Parse(spec.Rules, raw)
	if err != nil {
		return rules.Stats{}, err
	}
	key, err := a.columnKey(ctx, spec.Key)
	if err != nil {
		return rules.Stats{}, err
	}
	defer clear(key[:])
	change := rules.Apply
	if spec.Reveal {
		change = rules.Reveal
	}
	return recode(ctx, spec, func(form dataset.Format, in io.Reader, out io.Writer) (rules.Stats, error) {
		return change(ctx, spec.In, form, in, out, f, &key, rules.Options{})
	})
}

// recode runs change from file to file; the output appears when it is whole.
func recode(ctx context.Context, spec Recode, change func(dataset.Format, io.Reader, io.Writer) (rules.Stats, error)) (stats rules.Stats, err error) {
	if form, ok := dataset.FormatOf(spec.Out); ok && form == dataset.Parquet {
		return stats, fmt.Errorf("%w: %s: this writes CSV, TSV or JSONL; make it Parquet afterwards: data parquet", ErrInput, spec.Out)
	}
	in, form, err := table(ctx, spec.In)
	if err != nil {
		return stats, err
	}
	defer in.Close()
	err = seal.WriteFile(spec.Out, spec.Force, func(w io.Writer) error {
		stats, err = change(form, in, w)
		return err
	})
	return stats, err
}

// columnKey finds a column key: of a project, which its server is asked for, or
// of the owner of the vault.
func (a *App) columnKey(ctx context.Context, k ColumnKey) (key [32]byte, err error) {
	if err := chain.CheckName(k.Name); err != nil {
		return key, fmt.Errorf("%w: --key: %w", ErrInput, err)
	}
	if k.Project == "" {
		return a.ownColumnKey(k.Name)
	}
	p, err := a.Project(ctx, k.Project)
	if err == nil {
		key, err = p.ColumnKey(k.Name)
	}
	if err != nil {
		return key, fmt.Errorf("column key of project %q: %w", k.Project, err)
	}
	return key, nil
}

func (a *App) ownColumnKey(name string) (key [32]byte, err error) {
	var seed []byte
	if err := a.view(func(s vault.State) { seed = append(seed, s.Account.Seed[:]...) }); err != nil {
		return key, err
	}
	defer clear(seed)
	k, err := hkdf.Expand(sha512.New, seed, "cipherdeck/v1/columns/"+name, len(key))
	if err != nil {
		return key, err
	}
	return [32]byte(k), nil
}

// Risk measures how easily rows of a table could be recognised. personal are
// the columns that look as if they point at a person and that nobody named.
func Risk(ctx context.Context, path string, o risk.Options) (r risk.Report, personal []string, err error) {
	f, form, err := table(ctx, path)
	if err != nil {
		return risk.Report{}, nil, err
	}
	defer f.Close()
	if r, err = risk.Measure(ctx, path, form, f, o); err != nil {
		return r, nil, err
	}
	personal, err = unnamed(ctx, path, o)
	return r, personal, err
}

// unnamed are the columns of a table that look personal and that o does not
// name: the figures of a risk report leave them out of account.
func unnamed(ctx context.Context, path string, o risk.Options) ([]string, error) {
	p, err := ProfileFile(ctx, path)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, c := range p.Columns {
		if c.Sensitive && !slices.Contains(o.Quasi, c.Name) && !slices.Contains(o.Sensitive, c.Name) {
			out = append(out, c.Name)
		}
	}
	return out, nil
}

// ReachK writes a copy of a table that is coarse enough that no row stands in a
// class of fewer than o.K; at most the share suppress of its rows is left out.
// Columns that o does not name are copied; personal are those that look so.
func (a *App) ReachK(ctx context.Context, spec Recode, o risk.Options, suppress float64) (p *risk.Plan, st rules.Stats, personal []string, err error) {
	f, form, err := table(ctx, spec.In)
	if err != nil {
		return nil, st, nil, err
	}
	defer f.Close()
	if p, err = risk.Reach(ctx, spec.In, form, f, o, suppress); err != nil {
		return nil, st, nil, err
	}
	if personal, err = unnamed(ctx, spec.In, o); err != nil {
		return nil, st, nil, err
	}
	all := p.File(&rules.File{Version: 1, Other: rules.Keep})
	st, err = recode(ctx, spec, func(form dataset.Format, in io.Reader, out io.Writer) (rules.Stats, error) {
		return rules.Apply(ctx, spec.In, form, in, out, all, nil, rules.Options{Skip: p.Skip})
	})
	return p, st, personal, err
}

func sampleSeed() (uint64, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}
