package seal

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"cipherdeck/crypto/archive"
)

// sealDir is SealFile for a directory.
func sealDir(ctx context.Context, out, in string, m Meta, to []Recipient, o FileOptions, st os.FileInfo) error {
	if err := outside(out, st); err != nil {
		return err
	}
	m = m.from(in, st)
	m.Size = SizeUnknown
	flags := o.flags() | flagArchive
	err := writeWhole(out, st, o.Force, func(dst *os.File) error {
		return sealWith(dst, m, to, flags, func(w payload) error {
			n := &countTo{w: w}
			if err := archive.Pack(ctx, n, in, o.Sink); err != nil || !o.Pad {
				return err
			}
			return writePad(w, n.n)
		})
	})
	if err != nil {
		return fmt.Errorf("seal %s: %w", in, err)
	}
	return nil
}

// outside refuses an output in the directory that is sealed: the container
// would hold a part of itself.
func outside(out string, in os.FileInfo) error {
	dir, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	if real, err := filepath.EvalSymlinks(filepath.Dir(dir)); err == nil {
		dir = filepath.Join(real, filepath.Base(dir))
	}
	for up := filepath.Dir(dir); up != dir; dir, up = up, filepath.Dir(up) {
		if st, err := os.Stat(up); err == nil && os.SameFile(st, in) {
			return fmt.Errorf("%s: %w: it would be in the directory that is sealed; choose another output", out, ErrSameFile)
		}
	}
	return nil
}

// countTo counts what goes to w, and lets w read for itself.
type countTo struct {
	w payload
	n int64
}

func (c *countTo) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

func (c *countTo) ReadFrom(src io.Reader) (int64, error) {
	n, err := c.w.ReadFrom(src)
	c.n += n
	return n, err
}

// makeDir makes the directory out from what fill puts into an empty one, or
// leaves nothing.
func makeDir(out string, m Meta, fill func(tmp string) error) (err error) {
	if _, err := os.Lstat(out); !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			return err
		}
		return fmt.Errorf("%s: %w; choose another name", out, ErrExists)
	}
	var b [8]byte
	rand.Read(b[:])
	parent := filepath.Dir(out)
	tmp := filepath.Join(parent, ".cipherdeck-"+hex.EncodeToString(b[:])+".part")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			removeTree(tmp)
		}
	}()
	if err := fill(tmp); err != nil {
		return err
	}
	m.restoreTime(tmp)
	if err := os.Rename(tmp, out); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s: %w; it appeared meanwhile", out, ErrExists)
		}
		return err
	}
	return syncDir(parent)
}

// removeTree also removes what is in directories that were restored read-only.
func removeTree(dir string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	os.RemoveAll(dir)
}

// OpenArchive opens a container of size bytes that holds a directory, to list
// it and to read single files without reading the others. Errors wrap
// ErrNotArchive, archive.ErrFormat or those of OpenAt. Data are authentic when
// they are read; that the rest of the container is whole only Verify says.
func OpenArchive(src io.ReaderAt, size int64, ids ...Identity) (*archive.Reader, Meta, error) {
	i, err := Inspect(io.NewSectionReader(src, 0, size))
	if err != nil {
		return nil, Meta{}, err
	}
	if !i.Archive() {
		return nil, Meta{}, ErrNotArchive
	}
	r, m, err := OpenAt(src, size, ids...)
	if err != nil {
		return nil, Meta{}, err
	}
	a, err := archive.NewReader(r, r.Size())
	return a, m, payloadError(err)
}

// ExtractMember restores one file or one directory of the container in, which
// holds a directory, to out; nothing else of it is read. member is its path
// in the archive. out appears whole or not at all, as with OpenFile. A symbolic
// link is not followed: errors wrap ErrNotRegular for it, fs.ErrNotExist for a
// member that is not there, and are otherwise those of OpenArchive and OpenFile.
func ExtractMember(ctx context.Context, out, in, member string, ids []Identity, o FileOptions) (archive.Entry, error) {
	e, err := extractMember(ctx, out, in, member, ids, o)
	if err != nil {
		return archive.Entry{}, fmt.Errorf("open %s: %w", in, payloadError(err))
	}
	return e, nil
}

func extractMember(ctx context.Context, out, in, member string, ids []Identity, o FileOptions) (archive.Entry, error) {
	src, st, err := openRegular(in)
	if err != nil {
		return archive.Entry{}, err
	}
	defer src.Close()
	a, _, err := OpenArchive(src, st.Size(), ids...)
	if err != nil {
		return archive.Entry{}, err
	}
	e, err := a.Find(member)
	if err != nil {
		return archive.Entry{}, err
	}
	m := Meta{Size: e.Size, ModTime: e.ModTime}
	switch e.Kind {
	case archive.Dir:
		return e, makeDir(out, m, func(tmp string) error { return a.ExtractDir(ctx, tmp, member, phase(o, m)) })
	case archive.Link:
		return e, fmt.Errorf("%s: %w: it is a symbolic link to %q", e, ErrNotRegular, e.Target)
	}
	data, err := a.Open(e)
	if err != nil {
		return e, err
	}
	return e, writeWhole(out, st, o.Force, func(dst *os.File) error {
		if _, err := io.Copy(struct{ io.Writer }{dst}, watch(ctx, data, "open", e.Size, o.Sink)); err != nil {
			return err
		}
		m.restoreTime(dst.Name())
		return nil
	})
}
