package backup

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
)

// Writer makes a bundle.
type Writer struct {
	t   *tar.Writer
	sum hash.Hash
	rep Report
}

// NewWriter begins a bundle on w.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	h.V = Version
	b := &Writer{t: tar.NewWriter(w), sum: sha256.New(), rep: Report{Header: h}}
	raw, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	return b, b.put(headName, raw)
}

// Doc adds a document.
func (b *Writer) Doc(key string, body []byte) error {
	b.rep.Docs++
	return b.put(docDir+key+docExt, body)
}

// File adds a file of the data directory, by its path there with slashes.
func (b *Writer) File(path string, body []byte) error {
	if _, err := parseFile(fileDir + path); err != nil {
		return err
	}
	b.rep.Files++
	return b.put(fileDir+path, body)
}

// Blob adds a blob.
func (b *Writer) Blob(n Blob, body []byte) error {
	b.rep.Blobs++
	b.rep.Bytes += int64(len(body))
	return b.put(n.name(), body)
}

// Damaged notes a blob that is left out.
func (b *Writer) Damaged(n Blob) { b.rep.Damaged = append(b.rep.Damaged, n.name()[len(blobDir):]) }

// Close writes the end. A bundle without it is not whole.
func (b *Writer) Close() (Report, error) {
	raw, err := json.Marshal(end{b.rep, hex.EncodeToString(b.sum.Sum(nil))})
	if err != nil {
		return b.rep, err
	}
	if err := b.put(endName, raw); err != nil {
		return b.rep, err
	}
	return b.rep, b.t.Close()
}

func (b *Writer) put(name string, body []byte) error {
	h := &tar.Header{Name: name, Mode: 0o600, Size: int64(len(body)), Typeflag: tar.TypeReg, Format: tar.FormatPAX}
	if err := b.t.WriteHeader(h); err != nil {
		return fmt.Errorf("backup %s: %w", name, err)
	}
	if _, err := b.t.Write(body); err != nil {
		return fmt.Errorf("backup %s: %w", name, err)
	}
	add(b.sum, name, body)
	return nil
}

// add counts an entry into the sum.
func add(sum hash.Hash, name string, body []byte) {
	content := sha256.Sum256(body)
	fmt.Fprintf(sum, "%d:%s", len(name), name)
	sum.Write(content[:])
}
