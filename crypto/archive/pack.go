package archive

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"cipherdeck/crypto/progress"
)

// Pack writes the content of the directory dir as an archive to dst. sink may
// be nil; it is told bytes of data. Errors name the file and wrap ErrSpecial,
// ErrPath, ErrLink, or ErrChanged when a file is not the same at the end as at
// the beginning.
func Pack(ctx context.Context, dst io.Writer, dir string, sink progress.Sink) error {
	total := int64(0)
	if sink == nil {
		sink = progress.Discard{}
	} else if err := measure(ctx, dir, &total); err != nil {
		return err
	}
	sink.Phase("seal", total, progress.Bytes)
	w, err := NewWriter(dst)
	if err != nil {
		return err
	}
	p := packer{ctx, w, dir, sink}
	if err := filepath.WalkDir(dir, p.visit); err != nil {
		return err
	}
	return w.Close()
}

// measure adds up the sizes of files, for the person who waits.
func measure(ctx context.Context, dir string, total *int64) error {
	return filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return firstError(err, ctx.Err())
		}
		if d.Type().IsRegular() {
			st, err := d.Info()
			if err != nil {
				return err
			}
			*total += st.Size()
		}
		return nil
	})
}

type packer struct {
	ctx  context.Context
	w    *Writer
	dir  string
	sink progress.Sink
}

func (p packer) visit(path string, d fs.DirEntry, err error) error {
	if err != nil || p.ctx.Err() != nil {
		return firstError(err, p.ctx.Err())
	}
	rel, err := filepath.Rel(p.dir, path)
	if err != nil || rel == "." {
		return err
	}
	st, err := d.Info()
	if err != nil {
		return err
	}
	e := Entry{Path: filepath.ToSlash(rel), Mode: uint32(st.Mode().Perm()), ModTime: st.ModTime().UnixNano()}
	switch {
	case st.IsDir():
		e.Kind = Dir
		err = p.w.Add(e, nil)
	case st.Mode()&fs.ModeSymlink != 0:
		e.Kind = Link
		if e.Target, err = os.Readlink(path); err == nil {
			e.Target = filepath.ToSlash(e.Target)
			err = p.w.Add(e, nil)
		}
	case st.Mode().IsRegular():
		return p.file(path, e, st)
	default:
		err = ErrSpecial
	}
	if err != nil {
		return fmt.Errorf("%s: %w", shown(path), err)
	}
	return nil
}

// file adds a file if it is the one that was listed and does not change.
func (p packer) file(path string, e Entry, st fs.FileInfo) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	now, err := f.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(st, now) || !now.Mode().IsRegular() {
		return fmt.Errorf("%s: %w: another file took its place", shown(path), ErrChanged)
	}
	e.Size, e.ModTime = now.Size(), now.ModTime().UnixNano()
	if err := p.w.Add(e, progress.Reader(p.ctx, f, p.sink)); err != nil {
		return fmt.Errorf("%s: %w", shown(path), err)
	}
	end, err := f.Stat()
	if err != nil {
		return err
	}
	if end.Size() != e.Size || end.ModTime().UnixNano() != e.ModTime {
		return fmt.Errorf("%s: %w", shown(path), ErrChanged)
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
