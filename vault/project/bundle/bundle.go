// Package bundle is a project in one folder or tar file, for the day when its
// server is gone.
//
// It has what a server stores, and nothing that a server could not see: every
// blob that the project needs, named by its hash, and which link is the newest.
// Bundle is a project.Server, so a project opens from it as from anywhere, with
// the same checks of every link and every hash. docs/formats/bundle.md has the
// layout.
package bundle

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/vault/project"
)

// The errors of this package.
var (
	ErrBundle   = errors.New("not a complete bundle of a project")
	ErrReadOnly = errors.New("a bundle is only read")
)

// Info is the file that comes last in a bundle.
type Info struct {
	V       int    `json:"v"`
	Project id.ID  `json:"project"`
	Head    id.ID  `json:"head"`
	Seq     uint64 `json:"seq"`
	Made    string `json:"made"`
	Blobs   int    `json:"blobs"`
	Bytes   int64  `json:"bytes"`
}

const (
	infoName = "bundle.json"
	readName = "README.txt"
	maxInfo  = 64 << 10
	maxBlob  = 16 << 20
)

// readme tells a person what she found.
const readme = `This is an encrypted project of cipherdeck, as its server kept it.

blobs/NAME   bytes whose SHA-256 is NAME (a CIDv1: raw, sha2-256, base32)
bundle.json  which project it is, and the name of its newest signed link
proofs/      what a log or a witness said about it, if it was added

To read it, with the vault of a member or a recovery of it:

    cipherdeck bundle verify THIS
    cipherdeck bundle open THIS
    cipherdeck bundle get THIS ITEM -o FILE

The format is in docs/formats/bundle.md and docs/formats/project.md.
`

// Out takes the files of a bundle.
type Out interface {
	Put(name string, b []byte) error
}

// Write writes all that p needs, and proofs by name, to out.
func Write(ctx context.Context, p *project.Project, proofs map[string][]byte, now time.Time, out Out, sink progress.Sink) (Info, error) {
	i := Info{V: 1, Project: p.ID(), Head: p.Seen().Head, Seq: p.Seen().Seq, Made: now.UTC().Format(time.RFC3339)}
	if err := out.Put(readName, []byte(readme)); err != nil {
		return i, err
	}
	for name, b := range proofs {
		if err := out.Put("proofs/"+filepath.Base(name), b); err != nil {
			return i, err
		}
	}
	sink.Phase("copy", 0, progress.Bytes)
	done := map[id.ID]bool{}
	for blob, err := range p.LiveBlobs(ctx) {
		if err != nil {
			return i, err
		}
		if done[blob] {
			continue
		}
		done[blob] = true
		b, err := project.ReadBlob(ctx, p.Server(), blob, maxBlob)
		if err != nil {
			return i, err
		}
		if err := out.Put("blobs/"+blob.String(), b); err != nil {
			return i, err
		}
		i.Blobs, i.Bytes = i.Blobs+1, i.Bytes+int64(len(b))
		sink.Add(int64(len(b)))
	}
	raw, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		return i, err
	}
	return i, out.Put(infoName, append(raw, '\n'))
}

// Folder is a bundle in the folder dir, which must be empty or not there.
func Folder(dir string) (Out, error) {
	if err := os.MkdirAll(filepath.Join(dir, "blobs"), 0o700); err != nil {
		return nil, err
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	if len(there) != 1 {
		return nil, fmt.Errorf("%s: %w: it is not empty", dir, fs.ErrExist)
	}
	return folder(dir), nil
}

type folder string

// Put writes one file.
func (f folder) Put(name string, b []byte) error {
	path := filepath.Join(string(f), filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	if err == nil && name == infoName {
		err = w.Sync()
	}
	return errors.Join(err, w.Close())
}

// Tar is a bundle in a tar stream. Close ends it.
func Tar(w io.Writer) *TarOut { return &TarOut{tar.NewWriter(w)} }

// TarOut writes a tar stream.
type TarOut struct{ w *tar.Writer }

// Put writes one file.
func (t *TarOut) Put(name string, b []byte) error {
	if err := t.w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(b)), Mode: 0o600, Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err := t.w.Write(b)
	return err
}

// Close writes the end of the stream.
func (t *TarOut) Close() error { return t.w.Close() }

// Bundle is an opened bundle, a place of a project that cannot be changed.
type Bundle struct {
	info Info
	open func(name string) (io.ReadCloser, error)
	all  map[id.ID]int64 // blobs with their sizes
	file *os.File        // of a tar
}

// Open opens a bundle: a folder, or a tar file. Errors wrap ErrBundle.
func Open(path string) (*Bundle, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	b := &Bundle{all: map[id.ID]int64{}}
	if fi.IsDir() {
		err = b.openFolder(path)
	} else {
		err = b.openTar(path)
	}
	if err == nil {
		err = b.readInfo()
	}
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

func (b *Bundle) openFolder(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	b.open = func(name string) (io.ReadCloser, error) { return root.Open(filepath.FromSlash(name)) }
	files, err := fs.ReadDir(root.FS(), "blobs")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBundle, err)
	}
	for _, f := range files {
		fi, err := f.Info()
		if err != nil {
			return err
		}
		b.note("blobs/"+f.Name(), fi.Size())
	}
	return nil
}

func (b *Bundle) note(name string, size int64) {
	if i, err := id.Parse(strings.TrimPrefix(name, "blobs/")); err == nil {
		b.all[i] = size
	}
}

func (b *Bundle) openTar(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	b.file = f
	type place struct{ off, n int64 }
	at := map[string]place{}
	r := tar.NewReader(f)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrBundle, err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		off, err := f.Seek(0, io.SeekCurrent) // the reader does not read ahead
		if err != nil {
			return err
		}
		at[h.Name] = place{off, h.Size}
		b.note(h.Name, h.Size)
	}
	b.open = func(name string) (io.ReadCloser, error) {
		p, ok := at[name]
		if !ok {
			return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}
		return io.NopCloser(io.NewSectionReader(f, p.off, p.n)), nil
	}
	return nil
}

func (b *Bundle) readInfo() error {
	r, err := b.open(infoName)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBundle, err)
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, maxInfo))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &b.info); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrBundle, infoName, err)
	}
	if b.info.V != 1 {
		return fmt.Errorf("%w: version %d, want 1", ErrBundle, b.info.V)
	}
	return nil
}

// Info is what the bundle says of itself. Nothing of it is proved.
func (b *Bundle) Info() Info { return b.info }

// Close closes the file.
func (b *Bundle) Close() error {
	if b.file == nil {
		return nil
	}
	return b.file.Close()
}

// Head is the newest link.
func (b *Bundle) Head(ctx context.Context, _ string) ([]byte, uint64, error) {
	raw, err := project.ReadBlob(ctx, b, b.info.Head, maxBlob)
	return raw, b.info.Seq + 1, err
}

// GetBlob gives a blob.
func (b *Bundle) GetBlob(_ context.Context, i id.ID, _, _ int64) (io.ReadCloser, error) {
	r, err := b.open("blobs/" + i.String())
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: blob %s is not in the bundle", project.ErrDamaged, i)
	}
	return r, err
}

// Have says which blobs are in the bundle.
func (b *Bundle) Have(_ context.Context, ids []id.ID) ([]bool, error) {
	out := make([]bool, len(ids))
	for k, i := range ids {
		_, out[k] = b.all[i]
	}
	return out, nil
}

// CAS refuses.
func (b *Bundle) CAS(context.Context, string, []byte, uint64) (uint64, error) {
	return 0, ErrReadOnly
}

// PutBlob refuses.
func (b *Bundle) PutBlob(context.Context, id.ID, int64, io.Reader) error { return ErrReadOnly }

// Checked is what Verify looked at.
type Checked struct {
	Blobs int   // that the project needs, all whole
	Bytes int64 // in them
	Other int   // in the bundle, and not needed
}

// Verify reads every blob that p, opened from b, needs, and compares it with
// its name. Errors wrap project.ErrDamaged.
func Verify(ctx context.Context, b *Bundle, p *project.Project, sink progress.Sink) (Checked, error) {
	var c Checked
	sink.Phase("verify", b.info.Bytes, progress.Bytes)
	done := map[id.ID]bool{}
	for i, err := range p.LiveBlobs(ctx) {
		if err != nil {
			return c, err
		}
		if done[i] {
			continue
		}
		done[i] = true
		raw, err := project.ReadBlob(ctx, b, i, maxBlob)
		if err != nil {
			return c, err
		}
		c.Blobs, c.Bytes = c.Blobs+1, c.Bytes+int64(len(raw))
		sink.Add(int64(len(raw)))
	}
	for i := range b.all {
		if !done[i] {
			c.Other++
		}
	}
	return c, nil
}
