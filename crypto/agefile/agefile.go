package agefile

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"

	"cipherdeck/crypto/archive"
	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/seal"
)

// Options say how an age file is written.
type Options struct {
	Armor bool // as text
	Force bool // replace an existing regular file
	Sink  progress.Sink
}

// Export writes the content of an open container as an age file to dst. A
// directory is written as tar. Only if it returns nil is the file whole: an
// age file that was begun and not ended does not open to its end.
func Export(ctx context.Context, dst io.Writer, src *seal.Reader, to []Recipient, o Options) error {
	if len(to) == 0 {
		return fmt.Errorf("%w: there is no recipient", ErrKey)
	}
	var text io.WriteCloser
	if o.Armor {
		text = armor.NewWriter(dst)
		dst = text
	}
	w, err := age.Encrypt(dst, to...)
	if err != nil {
		return fmt.Errorf("%w: %v", ErrKey, err)
	}
	if err := content(ctx, w, src, o.Sink); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if text != nil {
		return text.Close()
	}
	return nil
}

func content(ctx context.Context, w io.Writer, src *seal.Reader, sink progress.Sink) error {
	if !src.Info.Archive() {
		_, err := src.Copy(ctx, w, sink)
		return err
	}
	if sink == nil {
		sink = progress.Discard{}
	}
	sink.Phase("export", 0, progress.Bytes)
	return archive.Tar(w, progress.Reader(ctx, src, sink))
}

// ExportFile opens the container in with ids and writes its content as the age
// file out, whole or not at all, as seal.OpenFile does.
func ExportFile(ctx context.Context, out, in string, ids []seal.Identity, to []Recipient, o Options) error {
	err := seal.ConvertFile(out, in, o.Force, func(w io.Writer, src io.Reader) error {
		r, err := seal.Open(src, ids...)
		if err != nil {
			return err
		}
		return Export(ctx, w, r, to, o)
	})
	if err != nil {
		return fmt.Errorf("export %s: %w", in, err)
	}
	return nil
}

// Decrypt gives the content of an age file, binary or armored. What is read is
// authentic, and whole only at io.EOF. Errors, also those of Read, wrap
// ErrIdentity or ErrFile, or are those of src.
func Decrypt(src io.Reader, ids ...Identity) (io.Reader, error) {
	own := &source{src: src}
	b := bufio.NewReader(own)
	var in io.Reader = b
	if head, _ := b.Peek(len(armor.Header)); strings.HasPrefix(strings.TrimLeft(string(head), " \t\r\n"), "-----BEGIN") {
		in = armor.NewReader(b)
	}
	r, err := age.Decrypt(in, ids...)
	if err != nil {
		return nil, own.explain(err)
	}
	return &plaintext{r, own}, nil
}

// source remembers its own error, to tell it from one of the format.
type source struct {
	src io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.src.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

func (s *source) explain(err error) error {
	var none *age.NoIdentityMatchError
	switch {
	case err == nil, err == io.EOF:
		return err
	case s.err != nil:
		return s.err
	case errors.As(err, &none), errors.Is(err, age.ErrIncorrectIdentity):
		return ErrIdentity
	}
	return fmt.Errorf("%w: %v", ErrFile, err)
}

type plaintext struct {
	r   io.Reader
	src *source
}

func (c *plaintext) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	return n, c.src.explain(err)
}

// ImportFile makes the container out from the age file in; the content is
// never on disk in clear. Errors are those of Decrypt, seal.Seal and
// seal.ConvertFile.
func ImportFile(ctx context.Context, out, in string, ids []Identity, to []seal.Recipient, o seal.FileOptions) error {
	err := seal.ConvertFile(out, in, o.Force, func(w io.Writer, src io.Reader) error {
		r, err := Decrypt(src, ids...)
		if err != nil {
			return err
		}
		m := seal.Meta{Name: seal.FileName(strings.TrimSuffix(filepath.Base(in), ".age")), Size: seal.SizeUnknown}
		return seal.SealStream(ctx, w, r, m, to, o)
	})
	if err != nil {
		return fmt.Errorf("import %s: %w", in, err)
	}
	return nil
}
