package backup

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"reflect"
	"strings"
)

// Into takes what a bundle holds, in its order. Nothing of it is known to be whole
// before Read returns nil: write it aside.
type Into interface {
	Header(Header) error
	Doc(key string, body []byte) error
	File(path string, body []byte) error
	Blob(b Blob, body []byte) error
}

// Read reads a whole bundle into to. Errors wrap ErrBundle, ErrTruncated or
// ErrNewer, or are those of r and to.
func Read(r io.Reader, to Into) (Report, error) {
	b := &reader{t: tar.NewReader(r), sum: sha256.New(), to: to}
	for {
		name, body, err := b.next()
		if err != nil {
			return b.rep, err
		}
		if name == endName {
			return b.rep, b.finish(body)
		}
		if err := b.take(name, body); err != nil {
			return b.rep, err
		}
		add(b.sum, name, body)
	}
}

type reader struct {
	t    *tar.Reader
	sum  hash.Hash
	to   Into
	rep  Report
	last string
}

func (b *reader) next() (string, []byte, error) {
	h, err := b.t.Next()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "", nil, fmt.Errorf("%w: after %q", ErrTruncated, b.last)
	}
	if err != nil {
		return "", nil, unlessOurs(err)
	}
	b.last = h.Name
	if h.Typeflag != tar.TypeReg || h.Size > MaxSmall {
		return "", nil, fmt.Errorf("%w: entry %q is no file of at most %d bytes", ErrBundle, h.Name, MaxSmall)
	}
	var body bytes.Buffer // grows with what comes, not with what is announced
	if _, err := io.Copy(&body, b.t); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return "", nil, fmt.Errorf("%w: in %q", ErrTruncated, h.Name)
		}
		return "", nil, err
	}
	return h.Name, body.Bytes(), nil
}

// unlessOurs calls what tar says damage, and leaves alone what the source says: a
// sealed bundle has errors of its own.
func unlessOurs(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, tar.ErrFieldTooLong) {
		return fmt.Errorf("%w: %w", ErrBundle, err)
	}
	return err
}

func (b *reader) take(name string, body []byte) error {
	if (b.rep.V == 0) != (name == headName) {
		return fmt.Errorf("%w: entry %q in this place", ErrBundle, name)
	}
	switch {
	case name == headName:
		if err := json.Unmarshal(body, &b.rep.Header); err != nil || b.rep.V < 1 {
			return fmt.Errorf("%w: header: %v", ErrBundle, err)
		}
		if b.rep.V > Version {
			return fmt.Errorf("%w: bundle version %d, this program knows %d", ErrNewer, b.rep.V, Version)
		}
		return b.to.Header(b.rep.Header)
	case strings.HasPrefix(name, docDir):
		key, err := parseDoc(name)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrBundle, err)
		}
		b.rep.Docs++
		return b.to.Doc(key, body)
	case strings.HasPrefix(name, fileDir):
		path, err := parseFile(name)
		if err != nil {
			return err
		}
		b.rep.Files++
		return b.to.File(path, body)
	case strings.HasPrefix(name, blobDir):
		n, err := parseBlob(name)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrBundle, err)
		}
		b.rep.Blobs++
		b.rep.Bytes += int64(len(body))
		return b.to.Blob(n, body)
	}
	return fmt.Errorf("%w: entry %q is not known", ErrBundle, name)
}

// finish holds what was read against what the end says.
func (b *reader) finish(raw []byte) error {
	var e end
	if err := json.Unmarshal(raw, &e); err != nil {
		return fmt.Errorf("%w: end: %w", ErrBundle, err)
	}
	b.rep.Damaged = e.Damaged
	if !reflect.DeepEqual(e.Report, b.rep) {
		return fmt.Errorf("%w: it holds %d documents and %d blobs, its end says %d and %d", ErrBundle, b.rep.Docs, b.rep.Blobs, e.Docs, e.Blobs)
	}
	if e.Sum != hex.EncodeToString(b.sum.Sum(nil)) {
		return fmt.Errorf("%w: its content is not what its end says", ErrBundle)
	}
	if _, err := b.t.Next(); err != io.EOF {
		return fmt.Errorf("%w: something follows its end", ErrBundle)
	}
	return nil
}
