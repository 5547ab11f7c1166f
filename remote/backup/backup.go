// Package backup is the bundle that a server's state travels in: a tar file that
// any tool lists, of documents, private files and blobs, in this order, between a
// header that says whose state it is and an end that says whether it is whole.
// docs/formats/backup.md has the names.
//
// It is a copy of what the store says, not of an engine's files: made while the
// server runs, and restored into any engine. Documents come first, then the blobs,
// which never change and are there before any document names them: so no document
// in a bundle names a blob that came later.
//
// A bundle holds the server's TLS key. It is for sealing, not for lying about.
package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
)

// Version is that of the bundle.
const Version = 1

// The errors of this package.
var (
	ErrBundle    = errors.New("this is no backup, or it is damaged")
	ErrTruncated = errors.New("the backup ends too early")
	ErrNewer     = errors.New("the backup was made by a newer version")
)

// Header says whose state a bundle holds. Pin is also its key check value: the
// TLS key in it must have this hash.
type Header struct {
	V      int    `json:"v"`
	Format int    `json:"format"` // of the data directory
	Made   int64  `json:"made"`   // Unix seconds
	Pin    string `json:"pin"`    // hex of the SHA-256 of the SubjectPublicKeyInfo
}

// Report is what a bundle holds.
type Report struct {
	Header
	Docs    int      `json:"docs"`
	Files   int      `json:"files"`
	Blobs   int      `json:"blobs"`
	Bytes   int64    `json:"bytes"`             // of the blobs
	Damaged []string `json:"damaged,omitempty"` // blobs that were left out, as PROJECT/BLOB: the store has them damaged
}

// end closes a bundle. Sum is the SHA-256 over each entry's name and the SHA-256
// of its content, the header's too.
type end struct {
	Report
	Sum string `json:"sum"`
}

// Names of the entries.
const (
	headName = "cipherdeck-backup.json"
	endName  = "end.json"
	docDir   = "docs/"
	docExt   = ".doc" // so that a key may be the beginning of another one
	fileDir  = "data/"
	blobDir  = "blobs/"
)

// MaxSmall bounds a document or a file in a bundle.
const MaxSmall = 256 << 20

// Blob names a blob of a project.
type Blob struct{ Project, ID id.ID }

func (b Blob) name() string { return fmt.Sprintf("%s%s/%s", blobDir, b.Project, b.ID) }

func parseBlob(name string) (b Blob, err error) {
	p, i, _ := strings.Cut(strings.TrimPrefix(name, blobDir), "/")
	if b.Project, err = id.Parse(p); err == nil {
		b.ID, err = id.Parse(i)
	}
	return b, err
}

func parseDoc(name string) (string, error) {
	key := strings.TrimSuffix(strings.TrimPrefix(name, docDir), docExt)
	if !strings.HasSuffix(name, docExt) {
		return "", fmt.Errorf("%w: entry %q", ErrBundle, name)
	}
	return key, store.CheckKey(key)
}

// parseFile is the path of a file below the data directory. It leads nowhere else.
func parseFile(name string) (string, error) {
	p := strings.TrimPrefix(name, fileDir)
	if !fs.ValidPath(p) || p == "." || path.Clean(p) != p || strings.ContainsAny(p, "\\:\x00") {
		return "", fmt.Errorf("%w: entry %q", ErrBundle, name)
	}
	return p, nil
}
