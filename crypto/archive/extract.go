package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"cipherdeck/crypto/progress"
)

// Extract restores the archive that src gives into dir, which must be there
// and empty. Nothing outside dir is touched, whatever the archive holds. On
// error, and until it returns, dir holds a part: give it its final name
// afterwards. sink may be nil; it is told bytes of data.
//
// Errors are those of Stream.Next, and ErrExists when two names are one on
// this file system, ErrPath for a name that this system cannot have.
func Extract(ctx context.Context, dir string, src io.Reader, sink progress.Sink) error {
	s, err := NewStream(src)
	if err != nil {
		return err
	}
	return restore(dir, func(t *tree) error {
		for {
			e, err := s.Next()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if err := t.add(e, progress.Reader(ctx, s, orDiscard(sink))); err != nil {
				return err
			}
		}
	})
}

// ExtractDir restores what is in the directory member of r into dir, as
// Extract does, reading nothing else. Links out of member are refused.
func (r *Reader) ExtractDir(ctx context.Context, dir, member string, sink progress.Sink) error {
	return restore(dir, func(t *tree) error {
		for e, err := range r.entries([]byte(member + "/")) {
			if err != nil {
				return err
			}
			rest, inside := strings.CutPrefix(e.Path, member+"/")
			if !inside {
				continue
			}
			data, err := r.Open(e)
			if err != nil {
				return err
			}
			e.Path = rest
			if err := e.check(); err != nil {
				return err
			}
			if err := t.order.next(e); err != nil {
				return err
			}
			if err := t.add(e, progress.Reader(ctx, data, orDiscard(sink))); err != nil {
				return err
			}
		}
		return nil
	})
}

func orDiscard(s progress.Sink) progress.Sink {
	if s == nil {
		return progress.Discard{}
	}
	return s
}

// tree is a directory being restored.
//
// os.Root keeps every operation below it. Links are made last, so that nothing
// is ever written through one; times and modes of directories after that,
// because both would be disturbed, innermost first.
type tree struct {
	root  *os.Root
	at    *os.Root // the directory of the last entry: most have the same
	name  string   // of at
	dirs  []Entry
	links []Entry
	order order // for ExtractDir
	buf   []byte
}

func restore(dir string, fill func(*tree) error) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	t := &tree{root: root, buf: make([]byte, 256<<10)}
	defer t.leave()
	if err := fill(t); err != nil {
		return err
	}
	return t.finish()
}

// add makes one entry; a link and the attributes of a directory wait.
func (t *tree) add(e Entry, data io.Reader) error {
	if err := local(e.Path); err != nil {
		return err
	}
	err := t.enter(path.Dir(e.Path))
	if err == nil {
		switch e.Kind {
		case Dir:
			t.dirs = append(t.dirs, e)
			err = t.at.Mkdir(path.Base(e.Path), 0o700)
		case Link:
			t.links = append(t.links, e)
		default:
			err = t.file(e, data)
		}
	}
	return explain(e, err)
}

func explain(e Entry, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: %w", e, ErrExists)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", e, err)
	}
	return nil
}

// local refuses names that mean something else on this system.
func local(p string) error {
	if !filepath.IsLocal(filepath.FromSlash(p)) || runtime.GOOS == "windows" && strings.ContainsAny(p, `\:`) {
		return fmt.Errorf("%w: %s cannot be a name on this system", ErrPath, shown(clip(p)))
	}
	return nil
}

// enter opens the directory that the next entries are in.
func (t *tree) enter(dir string) (err error) {
	if t.at != nil && t.name == dir {
		return nil
	}
	t.leave()
	t.at, err = t.root.OpenRoot(filepath.FromSlash(dir))
	t.name = dir
	return err
}

func (t *tree) leave() {
	if t.at != nil {
		t.at.Close()
		t.at = nil
	}
}

func (t *tree) file(e Entry, data io.Reader) error {
	name := path.Base(e.Path)
	f, err := t.at.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{data}, t.buf)
	if err == nil && n != e.Size {
		err = fmt.Errorf("%w: %d bytes, want %d", ErrFormat, n, e.Size)
	}
	if err == nil && e.Mode != 0o600 {
		err = f.Chmod(fs.FileMode(e.Mode))
	}
	if err == nil {
		err = flushFile(f)
	}
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err == nil {
		err = t.at.Chtimes(name, time.Time{}, e.Modified())
	}
	return err
}

func (t *tree) finish() error {
	for _, e := range t.links {
		if err := t.enter(path.Dir(e.Path)); err != nil {
			return explain(e, err)
		}
		if err := t.at.Symlink(filepath.FromSlash(e.Target), path.Base(e.Path)); err != nil {
			return explain(e, err)
		}
	}
	t.leave()
	for i := len(t.dirs) - 1; i >= 0; i-- {
		e := t.dirs[i]
		name := filepath.FromSlash(e.Path)
		if err := t.root.Chtimes(name, time.Time{}, e.Modified()); err != nil {
			return explain(e, err)
		}
		if err := t.root.Chmod(name, fs.FileMode(e.Mode)); err != nil {
			return explain(e, err)
		}
	}
	return flushTree(t.root)
}
