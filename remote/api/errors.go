// Package api is the way to a server: the shapes that go over the wire, and
// the client.
//
// Every connection of the client goes through the same door, in this order:
//
//  1. TLS 1.3, and the server's key must be the pinned one;
//  2. with a Policy, attestation: no byte of ours before the verdict is good;
//  3. login on this very connection, signed by the account's device key over
//     the server's nonce, the server's key and a secret only the two ends of
//     this connection share. So a relayed login is of no use elsewhere, and
//     the token that comes back is good on this connection only.
//
// After that it is plain HTTP/1.1 with JSON at the edges; signed documents and
// blobs travel as the bytes they are. docs/formats/api.md lists the routes.
package api

import (
	"errors"
	"fmt"
	"net/http"

	"cipherdeck/attest"
	"cipherdeck/remote/store"
)

// The errors of the client, for errors.Is. ErrUnknown means that the outcome
// of a write is not known: read again before you retry.
var (
	ErrUnauthorized = errors.New("the server does not know this key, or the login ended")
	ErrForbidden    = errors.New("not allowed")
	ErrConflict     = errors.New("changed on the server meanwhile")
	ErrLease        = errors.New("the lease is not held any more")
	ErrNotFound     = errors.New("not on the server")
	ErrInvalid      = errors.New("the server refused the request as not valid")
	ErrTooLarge     = errors.New("larger than the server takes")
	ErrBusy         = errors.New("the server asks to slow down")
	ErrUnknown      = errors.New("the outcome of the write is not known")
	ErrUnreachable  = errors.New("the server cannot be reached")
	ErrServer       = errors.New("the server failed")
	ErrNodeAway     = errors.New("the node does not answer")
	ErrNodeRefused  = errors.New("the node refused the question")
	ErrDamaged      = store.ErrCorrupt // bytes do not match their id
)

// The codes of Error.
const (
	CodeUnauthorized = "unauthorized"
	CodeForbidden    = "forbidden"
	CodeConflict     = "conflict"
	CodeLease        = "lease"
	CodeNotFound     = "not_found"
	CodeInvalid      = "invalid"
	CodeTooLarge     = "too_large"
	CodeBusy         = "busy"
	CodeUnknown      = "outcome_unknown"
	CodeUnavailable  = "unavailable"
	CodeDamaged      = "damaged"
	CodeNodeAway     = "node_away"
	CodeNodeRefused  = "node_refused"
	CodeInternal     = "internal"
)

// Error is what the server says went wrong, and what would help.
type Error struct {
	Status int    `json:"-"`
	Code   string `json:"code"`
	Field  string `json:"field,omitempty"` // of the request
	Cause  string `json:"cause"`
	Cure   string `json:"cure,omitempty"`
}

// Envelope is the body of every answer that is an error.
type Envelope struct {
	Error Error `json:"error"`
}

// Error is the cause, after the field that it is about.
func (e *Error) Error() string {
	if e.Field != "" {
		return fmt.Sprintf("server: %s: %s", e.Field, e.Cause)
	}
	return "server: " + e.Cause
}

// Is compares with the sentinel of e's code.
func (e *Error) Is(target error) bool { return target == e.sentinel() }

func (e *Error) sentinel() error {
	for _, c := range []struct {
		code string
		err  error
	}{
		{CodeUnauthorized, ErrUnauthorized}, {CodeForbidden, ErrForbidden}, {CodeConflict, ErrConflict},
		{CodeLease, ErrLease}, {CodeNotFound, ErrNotFound}, {CodeInvalid, ErrInvalid},
		{CodeTooLarge, ErrTooLarge}, {CodeBusy, ErrBusy}, {CodeUnknown, ErrUnknown}, {CodeDamaged, ErrDamaged},
		{CodeNodeAway, ErrNodeAway}, {CodeNodeRefused, ErrNodeRefused},
	} {
		if e.Code == c.code {
			return c.err
		}
	}
	return ErrServer
}

// Status is the HTTP status that goes with a code.
func Status(code string) int {
	switch code {
	case CodeUnauthorized:
		return http.StatusUnauthorized
	case CodeForbidden:
		return http.StatusForbidden
	case CodeConflict, CodeLease:
		return http.StatusConflict
	case CodeNotFound:
		return http.StatusNotFound
	case CodeInvalid:
		return http.StatusBadRequest
	case CodeNodeAway:
		return http.StatusGatewayTimeout
	case CodeNodeRefused:
		return http.StatusBadGateway
	case CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case CodeBusy:
		return http.StatusTooManyRequests
	case CodeUnknown, CodeUnavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// RefusedError is returned when the server's evidence was not good enough.
// It wraps attest.ErrRefused.
type RefusedError struct {
	Verdict      *attest.Verdict // nil when the evidence could not even be read
	PayloadBytes int64           // sent to the server besides the challenge: 0
	err          error
}

// Error names the broken link.
func (e *RefusedError) Error() string { return e.err.Error() }

// Unwrap leads to attest.ErrRefused.
func (e *RefusedError) Unwrap() error { return e.err }
