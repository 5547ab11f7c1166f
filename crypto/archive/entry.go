package archive

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"cipherdeck/crypto/doc"
)

// The errors that this package wraps; tell them apart with errors.Is.
var (
	ErrFormat  = errors.New("archive is malformed")
	ErrPath    = errors.New("path is not allowed in an archive")
	ErrLink    = errors.New("symbolic link leaves its directory")
	ErrSpecial = errors.New("neither a file, a directory nor a symbolic link")
	ErrChanged = errors.New("file changed while it was read")
	ErrExists  = errors.New("there already; names may differ in case only")
)

// Kind is what an entry is.
type Kind uint8

// The kinds of version 1.
const (
	File Kind = iota
	Dir
	Link // symbolic link
)

// Limits of version 1, in bytes.
const (
	maxPath   = 4096
	maxName   = 255
	maxHeader = 3 * maxPath
)

// Entry is one file, directory or symbolic link.
type Entry struct {
	Path    string // relative, separated by "/"; any bytes, not only UTF-8
	Kind    Kind
	Mode    uint32 // permission bits
	ModTime int64  // ns since 1970 UTC
	Size    int64  // of the data in bytes, 0 if it is not a file
	Target  string // of a link, relative to where the link is

	offset int64  // of the data, in the archive
	header []byte // as stored
}

// wire is an Entry as CBOR: paths are byte strings, because a name need not be
// UTF-8.
type wire struct {
	Path    []byte `cbor:"1,keyasint"`
	Kind    Kind   `cbor:"2,keyasint"`
	Mode    uint32 `cbor:"3,keyasint"`
	ModTime int64  `cbor:"4,keyasint"`
	Size    int64  `cbor:"5,keyasint"`
	Target  []byte `cbor:"6,keyasint,omitempty"`
}

func (e Entry) encode() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	return doc.Encode(wire{[]byte(e.Path), e.Kind, e.Mode, e.ModTime, e.Size, []byte(e.Target)})
}

func decode(header []byte, offset int64) (Entry, error) {
	var w wire
	if err := doc.Decode(header, &w); err != nil {
		return Entry{}, fmt.Errorf("%w: %v", ErrFormat, err)
	}
	e := Entry{string(w.Path), w.Kind, w.Mode, w.ModTime, w.Size, string(w.Target), offset, header}
	return e, e.check()
}

// Modified is ModTime as a time.
func (e Entry) Modified() time.Time { return time.Unix(0, e.ModTime) }

// String is the path as it may be printed: quoted when it holds bytes that are
// not UTF-8 or that steer a terminal.
func (e Entry) String() string { return shown(e.Path) }

func shown(p string) string {
	if !utf8.ValidString(p) || strings.ContainsFunc(p, func(r rune) bool { return !unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r) }) {
		return strconv.Quote(p)
	}
	return p
}

// check holds on both sides.
func (e Entry) check() error {
	if err := checkPath(e.Path); err != nil {
		return err
	}
	switch {
	case e.Kind > Link:
		return fmt.Errorf("%w: %s is of kind %d", ErrFormat, e, e.Kind)
	case e.Mode > 0o777:
		return fmt.Errorf("%w: %s has mode %#o, want permission bits", ErrFormat, e, e.Mode)
	case e.Size < 0 || e.Kind != File && e.Size != 0:
		return fmt.Errorf("%w: %s has %d bytes", ErrFormat, e, e.Size)
	case e.Kind == Link:
		return e.checkTarget()
	case e.Target != "":
		return fmt.Errorf("%w: %s is no link and has a target", ErrFormat, e)
	}
	return nil
}

// checkPath allows what can neither leave the directory nor be two names of
// one file.
func checkPath(p string) error {
	if p == "" || len(p) > maxPath || strings.IndexByte(p, 0) >= 0 {
		return fmt.Errorf("%w: %s has %d bytes, want 1 to %d and none zero", ErrPath, shown(clip(p)), len(p), maxPath)
	}
	for name := range strings.SplitSeq(p, "/") {
		if name == "" || name == "." || name == ".." || len(name) > maxName {
			return fmt.Errorf("%w: %s: a part of it is empty, a dot, two dots or above %d bytes", ErrPath, shown(clip(p)), maxName)
		}
	}
	return nil
}

// checkTarget allows "../" as often as the link has parents in the archive,
// and then plain names. Parents are real directories, and every link that a
// later name may lead through obeys the same rule, so no chain of links leaves.
func (e Entry) checkTarget() error {
	rest, ups := e.Target, strings.Count(e.Path, "/")
	for ups > 0 && strings.HasPrefix(rest, "../") {
		rest, ups = rest[3:], ups-1
	}
	rest = strings.TrimPrefix(rest, "./")
	if rest == "." || rest == ".." && ups > 0 {
		return nil
	}
	if err := checkPath(rest); err != nil {
		return fmt.Errorf("%w: %s points to %s; a relative target inside is allowed", ErrLink, e, shown(clip(e.Target)))
	}
	return nil
}

func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}
