package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/seal"
	"cipherdeck/vault/dataset"
	"cipherdeck/vault/project"
)

// maxDocument is the longest task or run: they are small documents.
const maxDocument = 1 << 20

// NewContent is a file that becomes an item, or a new version of one.
type NewContent struct {
	Path    string
	Name    string // in the project; "": that of the file
	Kind    project.Kind
	Update  bool   // a new version of the item that has the name
	Message string // why
	Tags    []string
	Facts   []string // KEY=VALUE
}

// AddFile seals a file into a project.
func (a *App) AddFile(ctx context.Context, p *project.Project, path string, kind project.Kind, sink progress.Sink) (project.Item, error) {
	return a.AddContent(ctx, p, NewContent{Path: path, Kind: kind}, sink)
}

// AddContent seals a file into a project. A dataset, a task and a run are read
// once first, so that what is none is refused before anything is sent. An
// upload that was cut short goes on where it stopped.
func (a *App) AddContent(ctx context.Context, p *project.Project, c NewContent, sink progress.Sink) (project.Item, error) {
	m := project.Meta{Kind: c.Kind, Name: c.Name, Message: c.Message, Tags: c.Tags}
	if m.Name == "" {
		m.Name = filepath.Base(c.Path)
	}
	it, err := p.Item(m.Name)
	if !c.Update {
		if bad := project.CheckMeta(m); bad != nil {
			return it, bad
		}
	}
	switch {
	case c.Update && err != nil:
		return it, err
	case c.Update && c.Kind != "" && c.Kind != it.Kind:
		return it, fmt.Errorf("%w: %q is a %s and stays one", ErrInput, it.Name, it.Kind)
	case c.Update:
		m.Kind = it.Kind
	case err == nil:
		return it, fmt.Errorf("%w: %q; --update makes a new version of it", project.ErrExists, m.Name)
	}
	if m.Facts, err = facts(c.Facts); err != nil {
		return it, err
	}
	f, _, err := seal.OpenRegular(c.Path)
	if err != nil {
		return project.Item{}, err
	}
	defer f.Close()
	if err := inspect(&m, c.Path, f); err != nil {
		return project.Item{}, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return project.Item{}, err
	}
	it, err = a.upload(ctx, p, m, c.Update, f, sink)
	if err != nil {
		return it, err
	}
	return it, a.noteHead(p)
}

// inspect looks whether f is what its kind says, and notes what it finds.
func inspect(m *project.Meta, path string, f io.Reader) error {
	switch m.Kind {
	case project.Dataset:
		t, err := dataset.ReadCSV(path, f)
		if err != nil {
			return err
		}
		if len(t.Rows) == 0 {
			return fmt.Errorf("%w: %s has a header line and no rows; for another kind of file say --kind artifact", dataset.ErrTable, path)
		}
		for _, c := range t.Columns {
			m.Columns = append(m.Columns, project.Column{Name: c, Type: "number"})
		}
		m.Rows = int64(len(t.Rows))
	case project.Task, project.Run:
		b, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
		if err != nil {
			return err
		}
		if len(b) > maxDocument || !json.Valid(b) {
			return fmt.Errorf("%w: %s: a %s is a JSON document of at most %d bytes; for another kind of file say --kind artifact", ErrInput, path, m.Kind, maxDocument)
		}
	}
	return nil
}

// facts reads KEY=VALUE.
func facts(all []string) ([]project.Pair, error) {
	var out []project.Pair
	for _, s := range all {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("%w: --set %q is not KEY=VALUE", ErrInput, s)
		}
		if slices.ContainsFunc(out, func(p project.Pair) bool { return p.Key == k }) {
			return nil, fmt.Errorf("%w: --set %s twice", ErrInput, k)
		}
		out = append(out, project.Pair{Key: k, Value: v})
	}
	slices.SortFunc(out, func(a, b project.Pair) int { return strings.Compare(a.Key, b.Key) })
	return out, nil
}

// Change makes one change of the item called name.
func (a *App) Change(ctx context.Context, p *project.Project, name string, o project.Op) error {
	it, err := p.Item(name)
	if err != nil {
		return err
	}
	o.Item = it.ID
	if o.Name == "" {
		o.Name = it.Name
	}
	if err := p.Do(ctx, o); err != nil {
		return err
	}
	return a.noteHead(p)
}

// Document is the JSON of a task or a run; nil for other kinds.
func (a *App) Document(ctx context.Context, p *project.Project, it project.Item) (json.RawMessage, error) {
	if it.Kind != project.Task && it.Kind != project.Run || it.Size > maxDocument {
		return nil, nil
	}
	b, err := readItem(ctx, p, it.Name, maxDocument, progress.Discard{})
	if err != nil || !json.Valid(b) {
		return nil, err
	}
	return b, nil
}

// isEpoch reports whether an upload must begin anew under a new key.
func isEpoch(err error) bool { return errors.Is(err, project.ErrEpoch) }
