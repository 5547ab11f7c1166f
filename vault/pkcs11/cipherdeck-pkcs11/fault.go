//go:build cgo && unix

package main

import (
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"

	"cipherdeck/vault/pkcs11/wire"
)

// fault is an error with the code that the parent is told.
type fault struct {
	code wire.Code
	text string
}

func (f fault) Error() string { return f.text }

func fail(code wire.Code, format string, args ...any) error {
	return fault{code, fmt.Sprintf(format, args...)}
}

// replyOf is the reply that tells of err.
func replyOf(err error) wire.Reply {
	var f fault
	if !errors.As(err, &f) {
		f = fault{wire.Failed, err.Error()}
	}
	return wire.Reply{Code: f.code, Text: wire.Plain(f.text)}
}

// tokenSays gives an error of the token the code other, unless it is one of
// those that always mean the same.
func tokenSays(what string, err error, other wire.Code) error {
	var said pkcs11.Error
	if err == nil {
		return nil
	}
	if !errors.As(err, &said) {
		return fail(other, "%s: %v", what, err)
	}
	switch said {
	case pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE:
		other = wire.WrongPIN
	case pkcs11.CKR_PIN_LOCKED:
		other = wire.Locked
	case pkcs11.CKR_TOKEN_NOT_PRESENT, pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_SLOT_ID_INVALID, pkcs11.CKR_TOKEN_NOT_RECOGNIZED:
		other = wire.NoToken
	case pkcs11.CKR_DEVICE_MEMORY, pkcs11.CKR_HOST_MEMORY, pkcs11.CKR_CANCEL,
		pkcs11.CKR_USER_NOT_LOGGED_IN, pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_SESSION_CLOSED:
		other = wire.Failed
	}
	return fail(other, "%s: the token says %v", what, said)
}
