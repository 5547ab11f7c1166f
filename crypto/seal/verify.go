package seal

import (
	"context"
	"fmt"
	"io"

	"cipherdeck/crypto/archive"
	"cipherdeck/crypto/progress"
)

// Report is what Verify found out about a container that is whole.
type Report struct {
	Info    Info
	Meta    Meta
	Size    int64  // of the content in bytes, the archive's for a directory
	Stored  int64  // of the container in bytes
	Entries uint64 // of a directory: files, directories and links in it
}

// Verify reads a container to its end with ids and writes nothing: every byte
// of header and payload is authenticated, the length is compared with the
// facts, and of a directory each entry and the index are checked. Errors are
// those of Open, Reader and archive.Stream.
func Verify(ctx context.Context, src io.Reader, ids []Identity, o FileOptions) (Report, error) {
	count := &counted{src: src}
	r, err := Open(count, ids...)
	if err != nil {
		return Report{}, err
	}
	v := Report{Info: r.Info, Meta: r.Meta}
	if r.Info.Archive() {
		v.Entries, err = verifyArchive(watch(ctx, r, "verify", SizeUnknown, o.Sink))
	} else {
		sink := o.Sink
		if sink == nil {
			sink = progress.Discard{}
		}
		_, err = r.Copy(ctx, io.Discard, named{sink, "verify"})
	}
	v.Size, v.Stored = r.n, count.n
	if err != nil {
		return Report{}, payloadError(err)
	}
	return v, nil
}

func verifyArchive(src io.Reader) (uint64, error) {
	s, err := archive.NewStream(src)
	if err != nil {
		return 0, err
	}
	for n := uint64(0); ; n++ {
		if _, err := s.Next(); err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}

// VerifyFile is Verify for a file. Errors also wrap ErrNotRegular.
func VerifyFile(ctx context.Context, path string, ids []Identity, o FileOptions) (Report, error) {
	src, _, err := openRegular(path)
	if err != nil {
		return Report{}, err
	}
	defer src.Close()
	v, err := Verify(ctx, src, ids, o)
	if err != nil {
		return Report{}, fmt.Errorf("verify %s: %w", path, err)
	}
	return v, nil
}

// InspectFile is Inspect for a file, and tells from its length how much
// plaintext is in it, padding included.
func InspectFile(path string) (Info, error) {
	src, st, err := openRegular(path)
	if err != nil {
		return Info{}, err
	}
	defer src.Close()
	i, err := Inspect(src)
	if err != nil {
		return Info{}, fmt.Errorf("inspect %s: %w", path, err)
	}
	return i, i.measure(st)
}

// named is a sink that calls every phase by one name.
type named struct {
	progress.Sink
	name string
}

func (n named) Phase(_ string, total int64, u progress.Unit) { n.Sink.Phase(n.name, total, u) }

type counted struct {
	src io.Reader
	n   int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	c.n += int64(n)
	return n, err
}
