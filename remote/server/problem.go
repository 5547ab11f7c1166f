package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/remote/api"
	"cipherdeck/remote/auth"
	"cipherdeck/remote/store"
)

// invalid is an error that tells the client which field is wrong.
func invalid(field, format string, a ...any) error {
	return &api.Error{Code: api.CodeInvalid, Field: field, Cause: fmt.Sprintf(format, a...)}
}

// denied answers alike for what is not allowed and for what does not exist:
// who has no right to know does not learn which.
func denied() error {
	return &api.Error{Code: api.CodeForbidden, Cause: "your role does not allow this, or there is no such project", Cure: "ask an owner of the project"}
}

// problem is what the client is told of err. Only what concerns the request
// goes out; the rest is for the log.
func problem(err error) *api.Error {
	var known *api.Error
	if errors.As(err, &known) {
		return known
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return &api.Error{Code: api.CodeTooLarge, Cause: fmt.Sprintf("body is larger than %d bytes", large.Limit)}
	}
	for _, c := range []struct {
		err  error
		code string
		cure string
	}{
		{chain.ErrOrder, api.CodeConflict, "read the head and make the link anew"},
		{chain.ErrRight, api.CodeForbidden, ""},
		{chain.ErrLink, api.CodeInvalid, ""},
		{chain.ErrLive, api.CodeInvalid, "make the list anew; check the clock"},
		{chain.ErrAccount, api.CodeInvalid, ""},
		{chain.ErrGrant, api.CodeInvalid, ""},
		{doc.ErrTooLarge, api.CodeTooLarge, ""},
		{doc.ErrType, api.CodeInvalid, ""},
		{doc.ErrUnsigned, api.CodeInvalid, ""},
		{doc.ErrSignature, api.CodeInvalid, ""},
		{doc.ErrKey, api.CodeInvalid, ""},
		{doc.ErrEncoding, api.CodeInvalid, ""},
		{auth.ErrKey, api.CodeInvalid, ""},
		{auth.ErrTooManyKeys, api.CodeConflict, "revoke a key that is not used"},
		{store.ErrMismatch, api.CodeInvalid, "send the bytes that the id names"},
		{store.ErrTooLarge, api.CodeTooLarge, "cut it into smaller blobs"},
		{store.ErrConflict, api.CodeConflict, "read again and retry"},
		{store.ErrLease, api.CodeLease, "stop working on this job"},
	} {
		if errors.Is(err, c.err) && !errors.Is(err, store.ErrCorrupt) {
			return &api.Error{Code: c.code, Cause: err.Error(), Cure: c.cure}
		}
	}
	switch {
	case errors.Is(err, store.ErrCorrupt):
		return &api.Error{Code: api.CodeDamaged, Cause: "stored bytes are damaged", Cure: "tell the operator; upload the blob again if you have it"}
	case errors.Is(err, store.ErrNotFound):
		return &api.Error{Code: api.CodeNotFound, Cause: "not found"}
	case errors.Is(err, store.ErrUnknown):
		return &api.Error{Code: api.CodeUnknown, Cause: "the store did not answer in time", Cure: "read again before you retry"}
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &api.Error{Code: api.CodeUnavailable, Cause: "the store does not answer", Cure: "try again later"}
	}
	return &api.Error{Code: api.CodeInternal, Cause: "the server failed", Cure: "tell the operator; the log says more"}
}

// refuse writes an error.
func refuse(w http.ResponseWriter, e *api.Error) {
	status := api.Status(e.Code)
	h := w.Header()
	h.Del("Content-Length")
	h.Set("Content-Type", api.TypeJSON)
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	if status == http.StatusRequestEntityTooLarge {
		h.Set("Connection", "close")
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(api.Envelope{Error: *e})
}
