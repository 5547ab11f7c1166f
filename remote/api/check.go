package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/secret"
)

// MaxChecks is how many check values a server keeps for one account name.
const MaxChecks = 16

// CheckList is the check values of one account name, as they were signed.
type CheckList struct {
	V      uint8    `cbor:"1,keyasint"`
	Checks [][]byte `cbor:"2,keyasint"`
}

// CheckName is how a server calls an account name, in the form of
// secret.Account: its SHA-256 in hex. Whoever knows the name can ask for it.
func CheckName(account string) string {
	sum := sha256.Sum256([]byte(account))
	return hex.EncodeToString(sum[:])
}

// Checks are the check values that the server holds for an account name, each
// verified. It needs no login. The server can leave one out, and it can add
// those of other people who use the name: that a secret is the same is shown by
// one that matches, and by nothing else. An answer with one that is not signed as
// it must be, or is for another name, wraps secret.ErrCheck.
func (c *Client) Checks(ctx context.Context, account string) ([]secret.Check, error) {
	name, err := secret.Account(account)
	if err != nil {
		return nil, err
	}
	var raw []byte
	if err := c.do(ctx, request{method: http.MethodGet, path: "/v1/checks/" + CheckName(name), public: true, again: true}, &raw); err != nil {
		return nil, err
	}
	var list CheckList
	if err := doc.Decode(raw, &list); err != nil || list.V != 1 || len(list.Checks) > MaxChecks {
		return nil, fmt.Errorf("check values of %s: %w: not a list of at most %d", c.cfg.Addr, secret.ErrCheck, MaxChecks)
	}
	out := make([]secret.Check, 0, len(list.Checks))
	for _, b := range list.Checks {
		k, err := secret.OpenCheck(b)
		if err == nil && k.Account != name {
			err = fmt.Errorf("%w: it is for the account %q", secret.ErrCheck, k.Account)
		}
		if err != nil {
			return nil, fmt.Errorf("check values of %s: %w", c.cfg.Addr, err)
		}
		out = append(out, k)
	}
	return out, nil
}

// PutCheck publishes the check value of the client's own account. It may be
// repeated. ErrConflict means that the name has MaxChecks already.
func (c *Client) PutCheck(ctx context.Context, k secret.Check) error {
	return c.do(ctx, request{method: http.MethodPut, path: "/v1/checks/" + CheckName(k.Account), body: k.Raw, typ: TypeCBOR, again: true}, nil)
}
