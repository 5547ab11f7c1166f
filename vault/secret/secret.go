package secret

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"cipherdeck/crypto/chain"
)

// The errors of this package.
var (
	ErrNotFound = errors.New("there is no such secret")
	ErrField    = errors.New("secret has no such field")
	ErrKind     = errors.New("secret is of another kind")
	ErrInvalid  = errors.New("secret is not acceptable")
)

// Kind says what a secret is for, and so which fields it has.
type Kind string

// The kinds. Shape lists their fields.
const (
	Git   Kind = "git"   // a token for a git host
	AWS   Kind = "aws"   // an AWS access key
	Login Kind = "login" // user name and password
	API   Kind = "api"   // one key of a service
	Note  Kind = "note"  // text
	File  Kind = "file"  // a small file
	TOTP  Kind = "totp"  // a second factor: codes by the clock (RFC 6238)
)

// Limits of a secret. All secrets lie in the vault's one file, which is
// rewritten at each save.
const (
	MaxSecrets = 4096
	MaxField   = 256 << 10 // bytes of one value
	maxFields  = 16        // with the ones of the owner's own
)

// Secret is one entry. Values are bytes, so that they can be overwritten.
type Secret struct {
	Kind    Kind              `cbor:"1,keyasint"`
	Fields  map[string][]byte `cbor:"2,keyasint"` // by the names of the kind, or the owner's own
	Created int64             `cbor:"3,keyasint"` // Unix seconds
	Changed int64             `cbor:"4,keyasint"` // Unix seconds of the last Put
	Rotate  int64             `cbor:"5,keyasint"` // Unix seconds from when it is to be renewed; 0 for never
}

// String hides the values, so that no log or error can show them by accident.
func (s Secret) String() string { return "secret.Secret(" + string(s.Kind) + ", hidden)" }

// GoString hides the values from %#v.
func (s Secret) GoString() string { return s.String() }

// Shape is the fields of a kind; false for a kind that does not exist. Other
// fields may be added to any kind.
func (k Kind) Shape() (required, optional []string, ok bool) {
	switch k {
	case Git:
		return []string{"host", "password"}, []string{"username", "protocol", "path"}, true
	case AWS:
		return []string{"access_key_id", "secret_access_key"}, []string{"session_token", "expiration", "region"}, true
	case Login:
		return []string{"username", "password"}, []string{"url", "totp"}, true
	case API:
		return []string{"key"}, []string{"url"}, true
	case Note:
		return []string{"text"}, nil, true
	case File:
		return []string{"content"}, []string{"name"}, true
	case TOTP:
		return []string{"secret"}, []string{"issuer", "account", "algorithm", "digits", "period"}, true
	}
	return nil, nil, false
}

// Public tells whether a field of this kind is no secret: a person may type it
// in sight.
func (k Kind) Public(field string) bool {
	switch field {
	case "host", "username", "protocol", "path", "access_key_id", "region", "url", "name", "issuer", "account":
		return true
	}
	return false
}

// Check refuses a secret whose kind or fields are not as Shape says, or too
// large. Errors wrap ErrInvalid and never hold a value.
func (s Secret) Check() error {
	required, _, ok := s.Kind.Shape()
	if !ok {
		return fmt.Errorf("%w: kind %q does not exist", ErrInvalid, s.Kind)
	}
	if len(s.Fields) > maxFields {
		return fmt.Errorf("%w: %d fields, limit %d", ErrInvalid, len(s.Fields), maxFields)
	}
	for name, value := range s.Fields {
		if err := checkField(name); err != nil {
			return err
		}
		if len(value) > MaxField {
			return fmt.Errorf("%w: field %s has %d bytes, limit %d", ErrInvalid, name, len(value), MaxField)
		}
	}
	for _, name := range required {
		if len(s.Fields[name]) == 0 {
			return fmt.Errorf("%w: a secret of kind %s needs field %s", ErrInvalid, s.Kind, name)
		}
	}
	if s.Kind == TOTP {
		_, err := totpOf(s)
		return err
	}
	return nil
}

// checkField allows what needs no quoting anywhere: 1 to 32 of a-z, 0-9 and _.
func checkField(name string) error {
	if name == "" || len(name) > 32 {
		return fmt.Errorf("%w: name of a field has %d bytes, want 1 to 32", ErrInvalid, len(name))
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return fmt.Errorf("%w: field %q: names of fields have only a-z, 0-9 and _", ErrInvalid, name)
		}
	}
	return nil
}

// Set is the secrets of a vault, by name: its State.Secrets. Changing it saves
// nothing; do it inside Vault.Update.
type Set map[string]Secret

// Put adds a secret or replaces the one of that name, and keeps when it was
// first made. Names follow chain.CheckName and have no slash. now is the time
// of the change. Errors wrap ErrInvalid.
func (set Set) Put(name string, s Secret, now time.Time) error {
	if err := chain.CheckName(name); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := s.Check(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	old, exists := set[name]
	if !exists && len(set) >= MaxSecrets {
		return fmt.Errorf("%w: there are %d secrets, which is the limit", ErrInvalid, len(set))
	}
	s = s.clone()
	s.Changed, s.Created = now.Unix(), now.Unix()
	if exists {
		s.Created = old.Created
		old.Wipe()
	}
	set[name] = s
	return nil
}

// Get finds a secret. Errors wrap ErrNotFound.
func (set Set) Get(name string) (Secret, error) {
	s, ok := set[name]
	if !ok {
		return Secret{}, fmt.Errorf("%w: %q", ErrNotFound, name)
	}
	return s, nil
}

// Field finds one value. The field "code" of a secret with a TOTP seed is its
// code at the time now. Errors wrap ErrNotFound or ErrField.
func (set Set) Field(name, field string, now time.Time) ([]byte, error) {
	s, err := set.Get(name)
	if err != nil {
		return nil, err
	}
	if field == "code" && s.hasTOTP() {
		code, _, err := s.Code(now)
		return []byte(code), err
	}
	v, ok := s.Fields[field]
	if !ok {
		return nil, fmt.Errorf("%w: %q of %q", ErrField, field, name)
	}
	return v, nil
}

// Delete overwrites and removes a secret. Errors wrap ErrNotFound.
func (set Set) Delete(name string) error {
	s, err := set.Get(name)
	if err != nil {
		return err
	}
	s.Wipe()
	delete(set, name)
	return nil
}

// Names lists the secrets in order.
func (set Set) Names() []string { return slices.Sorted(maps.Keys(set)) }

// Due lists, in order, the secrets that are to be renewed at the time now.
func (set Set) Due(now time.Time) []string {
	var due []string
	for _, name := range set.Names() {
		if at := set[name].Rotate; at != 0 && at <= now.Unix() {
			due = append(due, name)
		}
	}
	return due
}

// Wipe overwrites the values in memory.
func (s Secret) Wipe() {
	for _, v := range s.Fields {
		clear(v)
	}
}

func (s Secret) clone() Secret {
	fields := make(map[string][]byte, len(s.Fields))
	for k, v := range s.Fields {
		fields[k] = bytes.Clone(v)
	}
	s.Fields = fields
	return s
}
