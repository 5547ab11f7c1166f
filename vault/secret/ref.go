package secret

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"cipherdeck/crypto/chain"
)

// ErrRef is wrapped for a reference that is not of the one form there is.
var ErrRef = errors.New("reference is not cipherdeck://secret/field")

const scheme = "cipherdeck://"

// Ref names one value: cipherdeck://name/field, the name with its blanks and
// plus signs written as %20 and %2B.
type Ref struct{ Name, Field string }

// String is the one way to write r.
func (r Ref) String() string {
	return scheme + strings.ReplaceAll(url.PathEscape(r.Name), "+", "%2B") + "/" + r.Field
}

// ParseRef reads what String writes, and nothing else: there is one reference
// for each value, so that a reviewer can look for it. Errors wrap ErrRef.
func ParseRef(text string) (Ref, error) {
	rest, ok := strings.CutPrefix(text, scheme)
	name, field, two := strings.Cut(rest, "/")
	if !ok || !two {
		return Ref{}, fmt.Errorf("%w: %.80q", ErrRef, text)
	}
	plain, err := url.PathUnescape(name)
	r := Ref{plain, field}
	if err != nil || chain.CheckName(plain) != nil || checkField(field) != nil {
		return Ref{}, fmt.Errorf("%w: %.80q", ErrRef, text)
	}
	if r.String() != text {
		return Ref{}, fmt.Errorf("%w: %.80q is to be written %s", ErrRef, text, r)
	}
	return r, nil
}

// Resolve is the value of a reference. Errors wrap ErrRef, ErrNotFound or
// ErrField.
func (set Set) Resolve(ref string, now time.Time) ([]byte, error) {
	r, err := ParseRef(ref)
	if err != nil {
		return nil, err
	}
	return set.Field(r.Name, r.Field, now)
}

// Expand fills a template: {{secret "name" "field"}} and cipherdeck://name/field
// stand for values; everything else stays as it is. It is strict: whatever looks
// like a reference has to be one, so that no template comes out half filled. On
// an error there is no output.
//
// A value is put in as it is: quoting for the format around it is the
// template's part. Errors wrap ErrRef, ErrNotFound or ErrField and give the line.
func (set Set) Expand(template []byte, now time.Time) ([]byte, error) {
	var out []byte
	at := 0
	for _, m := range looksLikeRef().FindAllIndex(template, -1) {
		value, err := set.piece(string(template[m[0]:m[1]]), now)
		if err != nil {
			clear(out)
			return nil, fmt.Errorf("line %d: %w", 1+strings.Count(string(template[:m[0]]), "\n"), err)
		}
		out = append(append(out, template[at:m[0]]...), value...)
		at = m[1]
	}
	return append(out, template[at:]...), nil
}

// Refs are the references in a template that Expand would fill, each once, in
// order. What is badly written is left out: Expand says so.
func Refs(template []byte) []Ref {
	var out []Ref
	for _, m := range looksLikeRef().FindAll(template, -1) {
		r, err := refOf(string(m))
		if err == nil && !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out
}

// looksLikeRef finds both forms, also when they are badly written: a call up to
// its braces or the end of its line, an address up to what cannot be in one.
func looksLikeRef() *regexp.Regexp {
	return regexp.MustCompile(`\{\{-?[ \t]*secret\b[^\n}]*\}?\}?|cipherdeck://[A-Za-z0-9%._~/@:+&=$!*-]*`)
}

func (set Set) piece(text string, now time.Time) ([]byte, error) {
	r, err := refOf(text)
	if err != nil {
		return nil, err
	}
	return set.Field(r.Name, r.Field, now)
}

// refOf reads either form.
func refOf(text string) (Ref, error) {
	if strings.HasPrefix(text, scheme) {
		// A full stop or hyphen that ends a sentence is not part of a field's name,
		// and neither is in one: it is refused rather than guessed at.
		return ParseRef(text)
	}
	m := regexp.MustCompile(`^\{\{ ?secret "([^"\\]+)" "([^"\\]+)" ?\}\}$`).FindStringSubmatch(text)
	if m == nil {
		return Ref{}, fmt.Errorf(`%w, nor {{secret "name" "field"}}: %.80q`, ErrRef, text)
	}
	return Ref{m[1], m[2]}, nil
}
