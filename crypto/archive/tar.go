package archive

import (
	"archive/tar"
	"io"
)

// Tar writes the archive that src gives as a tar stream to dst, for programs
// that read tar. Errors are those of Stream.Next and of dst. The tar is whole
// only if it returns nil.
func Tar(dst io.Writer, src io.Reader) error {
	s, err := NewStream(src)
	if err != nil {
		return err
	}
	w := tar.NewWriter(dst)
	for {
		e, err := s.Next()
		if err == io.EOF {
			return w.Close()
		}
		if err != nil {
			return err
		}
		if err := w.WriteHeader(e.tar()); err != nil {
			return explain(e, err)
		}
		if _, err := io.Copy(w, s); err != nil {
			return explain(e, err)
		}
	}
}

func (e Entry) tar() *tar.Header {
	h := &tar.Header{Name: e.Path, Mode: int64(e.Mode), Size: e.Size, ModTime: e.Modified(), Typeflag: tar.TypeReg, Format: tar.FormatPAX}
	switch e.Kind {
	case Dir:
		h.Typeflag, h.Name = tar.TypeDir, e.Path+"/"
	case Link:
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.Target
	}
	return h
}
