package app

import (
	"context"
	"errors"
	"io/fs"

	"cipherdeck/attest"
	"cipherdeck/attest/channel"
	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/keys"
	"cipherdeck/crypto/seal"
	"cipherdeck/fhe"
	"cipherdeck/fhe/job"
	"cipherdeck/fhe/onnx"
	"cipherdeck/remote/api"
	"cipherdeck/vault"
	"cipherdeck/vault/dataset"
	"cipherdeck/vault/project"
)

// The exit codes. They are stable: docs/exit-codes.md lists them, and a test
// compares the two.
const (
	ExitOK          = 0
	ExitFailed      = 1  // anything not below
	ExitUsage       = 2  // the command line cannot be understood
	ExitLocked      = 3  // no or wrong passphrase, no key for this
	ExitRefused     = 4  // the server's evidence was refused, or a pinned fact changed
	ExitForbidden   = 5  // the server does not know this key, or it has no right here
	ExitDamaged     = 6  // bytes are damaged, forged, rolled back or not in the expected form
	ExitUnreachable = 7  // the server or node cannot be reached or did not answer
	ExitRejected    = 8  // a job's result was rejected
	ExitConflict    = 9  // it exists, or somebody changed it meanwhile
	ExitInput       = 10 // the input file, model or parameters cannot be used
	ExitInterrupted = 130
)

// Fault is an error for a person or a script: a stable code, the field or file
// it is about, what happened, what to do.
type Fault struct {
	Code  string `json:"code"`
	Field string `json:"field,omitempty"`
	Cause string `json:"cause"`
	Cure  string `json:"cure,omitempty"`
	Exit  int    `json:"exit"`
}

// faultRule maps a promised error to its fault.
type faultRule struct {
	is   error
	code string
	exit int
	cure string
}

// faultRules is searched in order: the first error that matches decides.
func faultRules() []faultRule {
	return []faultRule{
		{context.Canceled, "interrupted", ExitInterrupted, ""},
		{vault.ErrWrongPassphrase, "wrong-passphrase", ExitLocked, "try again; the passphrase is case-sensitive and nothing was changed"},
		{seal.ErrPassphrase, "wrong-passphrase", ExitLocked, "try again; the passphrase is case-sensitive and nothing was changed"},
		{ErrLocked, "locked", ExitLocked, "give the passphrase on the terminal, by --passphrase-fd or CIPHERDECK_PASSPHRASE"},
		{vault.ErrNotFound, "no-vault", ExitLocked, "create one: cipherdeck vault init NAME"},
		{vault.ErrWeak, "weak-passphrase", ExitInput, "use eight random words"},
		{vault.ErrExists, "exists", ExitConflict, "use another --home, or unlock the vault that is there"},
		{seal.ErrNotRecipient, "foreign-key", ExitLocked, "ask whoever sealed it to add you as a recipient"},
		{project.ErrNoKey, "no-key", ExitLocked, "ask an owner of the project to share it again"},
		{attest.ErrRefused, "refused", ExitRefused, "do not send anything to this server until its operator explains the broken link"},
		{ErrPin, "pin-changed", ExitRefused, "ask the operator by another channel whether this change is meant"},
		{channel.ErrPin, "pin-changed", ExitRefused, "ask the operator by another channel whether this change is meant"},
		{ErrWords, "words-differ", ExitRefused, "compare again by voice; if they still differ, somebody is between you"},
		{ErrVerify, "not-verified", ExitRefused, "compare the words first, or say --unverified"},
		{project.ErrRollback, "rollback", ExitDamaged, "the server is not honest or was restored from an old backup: ask a teammate for her head"},
		{project.ErrFork, "fork", ExitDamaged, "the server shows different histories: compare heads with a teammate"},
		{api.ErrUnauthorized, "unauthorized", ExitForbidden, "enrol your account on this server, or log in again"},
		{api.ErrForbidden, "forbidden", ExitForbidden, "ask an owner of the project for the right"},
		{project.ErrNotMember, "not-member", ExitForbidden, "ask an owner of the project to share it with you"},
		{chain.ErrRight, "no-right", ExitForbidden, "ask an owner of the project for the role"},
		{fhe.ErrCanary, "canary", ExitRejected, "do not use the result; run on another node with new keys"},
		{ErrRejected, "rejected", ExitRejected, "do not use the result; run on another node with new keys"},
		{job.ErrMismatch, "wrong-result", ExitRejected, "do not use the result; run on another node"},
		{api.ErrNotFound, "not-found", ExitInput, ""},
		{api.ErrTooLarge, "too-large", ExitInput, ""},
		{api.ErrBusy, "busy", ExitUnreachable, "wait a moment and try again"},
		{api.ErrDamaged, "damaged", ExitDamaged, "the server or its disk changed stored data; nothing wrong was shown"},
		{api.ErrCode, "pairing-code", ExitInput, "copy the whole line that serve prints"},
		{api.ErrConflict, "conflict", ExitConflict, "try again"},
		{project.ErrConflict, "conflict", ExitConflict, "try again"},
		{project.ErrExists, "exists", ExitConflict, "choose another name"},
		{seal.ErrExists, "exists", ExitConflict, "choose another name, or say --force"},
		{fs.ErrExist, "exists", ExitConflict, "choose another name"},
		{ErrTaken, "exists", ExitConflict, "choose another name"},
		{fhe.ErrUnsupported, "unsupported", ExitInput, "linear models with Sub, Div, Gemm, MatMul, Add and a final Sigmoid can be computed today"},
		{fhe.ErrInsecure, "insecure", ExitInput, "use parameters that this program plans itself"},
		{onnx.ErrNotONNX, "not-onnx", ExitInput, "export the model to ONNX first"},
		{dataset.ErrTable, "not-a-table", ExitInput, "give a CSV with a header line and numbers in every cell"},
		{dataset.ErrColumn, "no-column", ExitInput, ""},
		{seal.ErrNotContainer, "not-sealed", ExitInput, "give a file made by cipherdeck seal"},
		{ErrInput, "input", ExitInput, ""},
		{ErrName, "no-such-name", ExitInput, ""},
		{project.ErrNotFound, "no-such-name", ExitInput, ""},
		{fhe.ErrRange, "out-of-range", ExitInput, "plan again with rows that span these values"},
		{fhe.ErrMalformed, "damaged", ExitDamaged, ""},
		{onnx.ErrLimit, "too-large", ExitInput, ""},
		{onnx.ErrInvalid, "damaged-model", ExitInput, "export the model again"},
		{chain.ErrAccount, "bad-account", ExitInput, ""},
		{fs.ErrNotExist, "no-file", ExitInput, ""},
		{seal.ErrTruncated, "truncated", ExitDamaged, "get the file again: its end is missing"},
		{seal.ErrAuth, "damaged", ExitDamaged, "get the file again from whoever sealed it"},
		{seal.ErrHeader, "damaged", ExitDamaged, "get the file again from whoever sealed it"},
		{vault.ErrNoSlot, "no-slot", ExitInput, ""},
		{vault.ErrPermissions, "permissions", ExitInput, ""},
		{vault.ErrNotVault, "not-a-vault", ExitDamaged, "restore the .bak file beside the vault"},
		{vault.ErrRolledBack, "rollback", ExitDamaged, "somebody replaced the vault by an older copy while it was open"},
		{vault.ErrDamaged, "damaged", ExitDamaged, "restore the .bak file beside the vault"},
		{project.ErrDamaged, "damaged", ExitDamaged, "the server or its disk changed stored data; nothing wrong was shown"},
		{chain.ErrLink, "bad-chain", ExitDamaged, "the server shows a project that was not made by its members"},
		{doc.ErrSignature, "bad-signature", ExitDamaged, ""},
		{keys.ErrKDF, "kdf-limits", ExitDamaged, "the file asks for more memory or time than is allowed"},
		{api.ErrUnreachable, "unreachable", ExitUnreachable, "check that the server runs and the address is right; what was uploaded is kept"},
		{context.DeadlineExceeded, "timeout", ExitUnreachable, "try again; finished parts are not sent twice"},
	}
}

// Explain turns an error into a Fault.
func Explain(err error) Fault {
	f := Fault{Code: "failed", Cause: err.Error(), Exit: ExitFailed}
	for _, r := range faultRules() {
		if errors.Is(err, r.is) {
			f.Code, f.Exit, f.Cure = r.code, r.exit, r.cure
			break
		}
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		f.Field = p.Path
	}
	return f
}
