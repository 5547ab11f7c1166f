package app

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/seal"
	"cipherdeck/vault/project"
	"cipherdeck/vault/project/bundle"
)

// maxProof bounds a proof that is put into a bundle.
const maxProof = 1 << 20

// ExportProject writes all of a project to out, as a server has it: a tar file
// when the name ends so, else a folder. Files of proofs are put beside it.
func (a *App) ExportProject(ctx context.Context, p *project.Project, out string, proofs []string, sink progress.Sink) (bundle.Info, error) {
	extra := map[string][]byte{}
	for _, path := range proofs {
		b, err := readBounded(path, maxProof)
		if err != nil {
			return bundle.Info{}, err
		}
		extra[filepath.Base(path)] = b
	}
	if !strings.HasSuffix(out, ".tar") {
		dir, err := bundle.Folder(out)
		if err != nil {
			return bundle.Info{}, err
		}
		return bundle.Write(ctx, p, extra, a.Now(), dir, sink)
	}
	var info bundle.Info
	err := seal.WriteFile(out, false, func(w io.Writer) (err error) {
		t := bundle.Tar(w)
		if info, err = bundle.Write(ctx, p, extra, a.Now(), t, sink); err != nil {
			return err
		}
		return t.Close()
	})
	return info, err
}

// OpenBundle opens a project from a bundle. No server is asked. note says how
// it compares with what this vault has seen of the project.
func (a *App) OpenBundle(ctx context.Context, path string) (b *bundle.Bundle, p *project.Project, note string, err error) {
	_, me, err := a.opened()
	if err != nil {
		return nil, nil, "", err
	}
	if b, err = bundle.Open(path); err != nil {
		return nil, nil, "", err
	}
	p, err = project.Open(ctx, b, me, b.Info().Project, project.Seen{}, a.cfg.Now)
	if err != nil {
		b.Close()
		return nil, nil, "", err
	}
	r, err := a.projectRecord(p.ID().String())
	seen := project.Seen{Seq: r.Seq, Head: r.head}
	switch {
	case err != nil:
		return b, p, "this vault never saw the project: its chain is whole, and not compared with anything", nil
	case seen.Seq > p.Seen().Seq:
		return b, p, fmt.Sprintf("the bundle ends at link %d; this vault has seen link %d", p.Seen().Seq, seen.Seq), nil
	case !p.Contains(seen):
		b.Close()
		return nil, nil, "", fmt.Errorf("%w: link %d is not the one seen here before", project.ErrFork, seen.Seq)
	}
	return b, p, fmt.Sprintf("the bundle continues what this vault has seen, link %d", seen.Seq), nil
}
