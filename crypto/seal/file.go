package seal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"cipherdeck/crypto/archive"
	"cipherdeck/crypto/progress"
)

// FileOptions say how SealFile and OpenFile treat the output.
type FileOptions struct {
	Force bool          // replace an existing regular file
	Pad   bool          // when sealing: hide the length, see PaddedSize
	CBC   bool          // when sealing: AES-256-CBC with HMAC-SHA-512, for readers who must have CBC; slower
	Sink  progress.Sink // nil reports to nobody
}

func (o FileOptions) flags() uint16 {
	flags := uint16(0)
	if o.Pad {
		flags |= flagPadded
	}
	if o.CBC {
		flags |= flagCBC
	}
	return flags
}

// SealFile makes the container out of the regular file or the directory in.
// Name, time and mode are taken from in where m does not say; m.Size is always
// the file's, and SizeUnknown for a directory. A directory becomes one archive
// (package archive says what is kept and what is refused).
//
// out appears whole, readable by its owner alone, or not at all: it is written
// under a temporary name beside it (".cipherdeck-….part"), flushed to disk and
// renamed. Errors wrap ErrExists, ErrSameFile, ErrNotRegular, ErrChanged, those of
// Seal and those of archive.Pack.
func SealFile(ctx context.Context, out, in string, m Meta, to []Recipient, o FileOptions) error {
	if st, err := os.Stat(in); err == nil && st.IsDir() {
		return sealDir(ctx, out, in, m, to, o, st)
	}
	src, st, err := openRegular(in)
	if err != nil {
		return err
	}
	defer src.Close()
	m = m.from(in, st)
	m.Size = st.Size()
	err = writeWhole(out, st, o.Force, func(dst *os.File) error {
		if o.flags() == 0 {
			err = sealParallel(ctx, dst, src, m, to, o.Sink)
		} else {
			err = sealFlags(ctx, dst, src, m, to, o.flags(), o.Sink)
		}
		if err != nil && !errors.Is(err, ErrMeta) {
			return err
		}
		return cmp.Or(unchanged(src, st), err)
	})
	if err != nil {
		return fmt.Errorf("seal %s: %w", in, err)
	}
	return nil
}

// unchanged refuses a source that was written to while it was read: what was
// read may be a mixture that never was its content.
func unchanged(src *os.File, before os.FileInfo) error {
	now, err := src.Stat()
	if err == nil && (now.Size() != before.Size() || !now.ModTime().Equal(before.ModTime())) {
		err = fmt.Errorf("%w: while it was read", ErrChanged)
	}
	return err
}

// from takes from the file what m does not say.
func (m Meta) from(in string, st os.FileInfo) Meta {
	if m.Name == "" {
		if whole, err := filepath.Abs(in); err == nil { // for "." and ".."
			in = whole
		}
		m.Name = storable(filepath.Base(in))
	}
	if m.ModTime == 0 {
		m.ModTime = st.ModTime().UnixNano()
	}
	if m.Mode == 0 {
		m.Mode = uint32(st.Mode().Perm())
	}
	return m
}

// OpenFile opens the container in with ids and writes its content to out, as
// SealFile writes: content that is not authentic to its last byte never
// appears under that name. The time of the original is restored, its mode is
// not.
//
// If the container holds a directory (Info.Archive), out becomes one, with mode
// 0700 and what is in it as it was; out must not be there, even with Force.
// Errors wrap ErrExists, ErrSameFile, ErrNotRegular, those of Open and Reader,
// and those of archive.Extract.
func OpenFile(ctx context.Context, out, in string, ids []Identity, o FileOptions) (Meta, error) {
	m, err := openFile(ctx, out, in, ids, o)
	if err != nil {
		return Meta{}, fmt.Errorf("open %s: %w", in, err)
	}
	return m, nil
}

func openFile(ctx context.Context, out, in string, ids []Identity, o FileOptions) (Meta, error) {
	src, st, err := openRegular(in)
	if err != nil {
		return Meta{}, err
	}
	defer src.Close()
	h, k, m, err := openHeader(src, ids)
	if err != nil {
		return Meta{}, err
	}
	if h.flags&(flagArchive|flagPadded|flagCBC) == 0 {
		return m, writeWhole(out, st, o.Force, func(dst *os.File) error {
			err := openParallel(ctx, dst, src, st.Size(), h, k, m, o)
			m.restoreTime(dst.Name())
			return err
		})
	}
	r, err := h.reader(src, k, m)
	if err != nil {
		return Meta{}, err
	}
	return r.Meta, r.toFile(ctx, out, st, o)
}

// OpenStream is OpenFile for a container that comes from a pipe.
func OpenStream(ctx context.Context, out string, src io.Reader, ids []Identity, o FileOptions) (Meta, error) {
	r, err := Open(src, ids...)
	if err != nil {
		return Meta{}, err
	}
	return r.Meta, r.toFile(ctx, out, nil, o)
}

// toFile writes the content to out; in is the file that it comes from, or nil.
func (r *Reader) toFile(ctx context.Context, out string, in os.FileInfo, o FileOptions) error {
	if r.Info.Archive() {
		return makeDir(out, r.Meta, func(tmp string) error {
			return payloadError(archive.Extract(ctx, tmp, r, phase(o, r.Meta)))
		})
	}
	return writeWhole(out, in, o.Force, func(dst *os.File) error {
		if _, err := r.Copy(ctx, dst, o.Sink); err != nil {
			return err
		}
		r.Meta.restoreTime(dst.Name())
		return nil
	})
}

// restoreTime is a hint: file systems differ in the times they can hold.
func (m Meta) restoreTime(name string) {
	if t := m.Modified(); !t.IsZero() {
		_ = os.Chtimes(name, t, t)
	}
}

// OpenRegular opens a regular file for reading; other kinds are refused without
// waiting for them, as all of this package does. Errors wrap ErrNotRegular.
func OpenRegular(name string) (*os.File, os.FileInfo, error) { return openRegular(name) }

// openRegular opens a file that can be read to an end and read again. The kind
// is looked at before opening, because opening a FIFO waits for ever.
func openRegular(name string) (*os.File, os.FileInfo, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case st.IsDir():
		return nil, nil, fmt.Errorf("%s: %w: it is a directory", name, ErrNotRegular)
	case !st.Mode().IsRegular():
		return nil, nil, fmt.Errorf("%s: %w: it is a %s; pipe it in instead", name, ErrNotRegular, kind(st.Mode()))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	now, err := f.Stat()
	if err == nil && !os.SameFile(st, now) {
		err = fmt.Errorf("%s: %w: it was replaced meanwhile", name, ErrNotRegular)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, now, nil
}

func kind(m os.FileMode) string {
	switch {
	case m&os.ModeSymlink != 0:
		return "symbolic link"
	case m&os.ModeNamedPipe != 0:
		return "pipe"
	case m&os.ModeSocket != 0:
		return "socket"
	case m&os.ModeDevice != 0:
		return "device"
	}
	return "special file"
}
