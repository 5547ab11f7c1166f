package seal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"cipherdeck/crypto/progress"
)

// FileOptions say how SealFile and OpenFile treat the output.
type FileOptions struct {
	Force bool          // replace an existing regular file
	Pad   bool          // SealFile: hide the length, see PaddedSize
	Sink  progress.Sink // nil reports to nobody
}

func (o FileOptions) flags() uint16 {
	if o.Pad {
		return flagPadded
	}
	return 0
}

// SealFile makes the container out of the regular file in. Name, size, time
// and mode are taken from in where m does not say; m.Size is always the file's.
//
// out appears whole, readable by its owner alone, or not at all: it is written
// under a temporary name beside it (".cipherdeck-….part"), flushed to disk and
// renamed. Errors wrap ErrExists, ErrSameFile, ErrNotRegular and those of Seal.
func SealFile(ctx context.Context, out, in string, m Meta, to []Recipient, o FileOptions) error {
	src, st, err := openRegular(in)
	if err != nil {
		return err
	}
	defer src.Close()
	if m.Name == "" {
		m.Name = storable(filepath.Base(in))
	}
	if m.ModTime == 0 {
		m.ModTime = st.ModTime().UnixNano()
	}
	if m.Mode == 0 {
		m.Mode = uint32(st.Mode().Perm())
	}
	m.Size = st.Size()
	err = writeWhole(out, st, o.Force, func(dst *os.File) error {
		return sealFlags(ctx, dst, src, m, to, o.flags(), o.Sink)
	})
	if err != nil {
		return fmt.Errorf("seal %s: %w", in, err)
	}
	return nil
}

// OpenFile opens the container in with ids and writes its content to out, as
// SealFile writes: content that is not authentic to its last byte never
// appears under that name. The time of the original is restored, its mode is
// not. Errors wrap ErrExists, ErrSameFile, ErrNotRegular and those of Open and
// Reader.
func OpenFile(ctx context.Context, out, in string, ids []Identity, o FileOptions) (Meta, error) {
	src, st, err := openRegular(in)
	if err != nil {
		return Meta{}, err
	}
	defer src.Close()
	var m Meta
	err = writeWhole(out, st, o.Force, func(dst *os.File) error {
		r, err := Open(src, ids...)
		if err != nil {
			return err
		}
		m = r.Meta
		if _, err := r.Copy(ctx, dst, o.Sink); err != nil {
			return err
		}
		if t := m.Modified(); !t.IsZero() { // a hint: file systems differ in the times they can hold
			_ = os.Chtimes(dst.Name(), t, t)
		}
		return nil
	})
	if err != nil {
		return Meta{}, fmt.Errorf("open %s: %w", in, err)
	}
	return m, nil
}

// openRegular opens a file that can be read to an end and read again. The kind
// is looked at before opening, because opening a FIFO waits for ever.
func openRegular(name string) (*os.File, os.FileInfo, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case st.IsDir():
		return nil, nil, fmt.Errorf("%s: %w: it is a directory; pack it first (tar) and pipe it in", name, ErrNotRegular)
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
