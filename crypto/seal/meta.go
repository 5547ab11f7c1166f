package seal

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"cipherdeck/crypto/doc"
)

// SizeUnknown is the Meta.Size of a stream whose length was not known before.
const SizeUnknown = -1

// Meta is what is known about a file, stored encrypted in the header.
type Meta struct {
	Name    string  `cbor:"1,keyasint,omitempty"` // last element of the path, no directory
	Size    int64   `cbor:"2,keyasint"`           // of the plaintext in bytes, or SizeUnknown
	ModTime int64   `cbor:"3,keyasint,omitempty"` // ns since 1970 UTC, 0 if not known
	Mode    uint32  `cbor:"4,keyasint,omitempty"` // Unix permission bits, a hint
	Type    string  `cbor:"5,keyasint,omitempty"` // media type, "" if not known
	Profile doc.Raw `cbor:"6,keyasint,omitempty"` // preview of a dataset, in a shape of its own
}

// Modified is ModTime as a time, the zero time if it is not known.
func (m Meta) Modified() time.Time {
	if m.ModTime == 0 {
		return time.Time{}
	}
	return time.Unix(0, m.ModTime)
}

// check holds on both sides: a name read from a container may become a file
// name and is printed, so it must be neither a path nor an escape sequence.
func (m Meta) check() error {
	switch {
	case m.Size < SizeUnknown:
		return fmt.Errorf("%w: size %d", ErrMeta, m.Size)
	case m.Mode > 0o777:
		return fmt.Errorf("%w: mode %#o, want permission bits", ErrMeta, m.Mode)
	case len(m.Name) > 255 || !plain(m.Name) || strings.ContainsAny(m.Name, `/\`) || m.Name == "." || m.Name == "..":
		return fmt.Errorf("%w: %q cannot be a file name", ErrMeta, clip(m.Name))
	case len(m.Type) > 255 || !plain(m.Type):
		return fmt.Errorf("%w: %q cannot be a media type", ErrMeta, clip(m.Type))
	}
	return nil
}

// plain reports whether s is UTF-8 without characters that steer a terminal.
func plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
	})
}

// storable makes a file name of this system one that check accepts.
func storable(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r == '/' || r == '\\' || !plain(string(r)) {
			return '_'
		}
		return r
	}, name)
	for len(name) > 255 {
		_, n := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-n]
	}
	return name
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}

// FileName makes of any name one that Meta can hold: what is not allowed in it
// becomes "_".
func FileName(name string) string {
	if name = storable(name); name == "." || name == ".." {
		return "_"
	}
	return name
}
