package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/secret"
	"cipherdeck/remote/api"
	"cipherdeck/remote/store"
)

// checks are the check values of typed secrets, up to api.MaxChecks for each
// account name. The server vouches for none of them: whoever asks verifies the
// signatures and compares the keys. All that is kept here is who may store one:
// the account whose name and RSA key are in it.
type checks struct{ docs store.Docs }

func checkKey(name string) string { return "checks/" + name }

// get lists the check values of a name; none is an empty list.
func (k checks) get(ctx context.Context, name string) (list api.CheckList, rev store.Rev, err error) {
	d, err := k.docs.Get(ctx, checkKey(name))
	if errors.Is(err, store.ErrNotFound) {
		return api.CheckList{V: 1, Checks: [][]byte{}}, 0, nil
	}
	if err != nil {
		return list, 0, err
	}
	if err := doc.Decode(d.Body, &list); err != nil {
		return list, 0, errors.Join(store.ErrCorrupt, err)
	}
	return list, d.Rev, nil
}

// put adds a verified check value and reports whether it is new. The same keys
// have one entry, whatever their signatures are.
func (k checks) put(ctx context.Context, name string, c secret.Check) (bool, error) {
	for {
		list, rev, err := k.get(ctx, name)
		if err != nil {
			return false, err
		}
		for _, raw := range list.Checks {
			if have, err := secret.OpenCheck(raw); err == nil && have.Signer.Equal(c.Signer) && have.Public.RSA.Equal(c.Public.RSA) {
				return false, nil
			}
		}
		if len(list.Checks) >= api.MaxChecks {
			return false, &api.Error{Code: api.CodeConflict, Cause: "there are as many check values for this name as the server keeps", Cure: "keep the .check file yourself"}
		}
		list.Checks = append(list.Checks, c.Raw)
		body, err := doc.Encode(list)
		if err != nil {
			return false, err
		}
		if _, err := k.docs.Put(ctx, checkKey(name), body, rev); !errors.Is(err, store.ErrConflict) {
			return err == nil, err
		}
	}
}

// checkName reads the name of a route: SHA-256 in lower-case hex.
func (c *call) checkName() (string, error) {
	name := c.r.PathValue("name")
	raw, err := hex.DecodeString(name)
	if err != nil || len(raw) != sha256.Size || hex.EncodeToString(raw) != name {
		return "", invalid("name", "want the SHA-256 of an account name, 64 hex digits")
	}
	return name, nil
}

func (s *Server) getChecks(c *call) error {
	name, err := c.checkName()
	if err != nil {
		return err
	}
	list, _, err := s.checks.get(c.r.Context(), name)
	if err != nil {
		return err
	}
	body, err := doc.Encode(list)
	if err != nil {
		return err
	}
	return c.bytes(http.StatusOK, api.TypeCBOR, body)
}

func (s *Server) putCheck(c *call) error {
	name, err := c.checkName()
	if err != nil {
		return err
	}
	raw, err := c.raw()
	if err != nil {
		return err
	}
	k, err := secret.OpenCheck(raw)
	if err != nil {
		return invalid("body", "%v", err)
	}
	if api.CheckName(k.Account) != name {
		return invalid("name", "the check value in the body is for another name")
	}
	if own, err := secret.Account(c.who.Name); err != nil || own != k.Account || !k.Public.RSA.Equal(c.who.RSA) {
		return &api.Error{Code: api.CodeForbidden, Cause: "this check value is not of your account"}
	}
	if err := s.accepting(); err != nil {
		return err
	}
	fresh, err := s.checks.put(c.r.Context(), name, k)
	if err != nil {
		return err
	}
	if fresh {
		if err := s.record(c, checkEntry(name, k.Raw)); err != nil {
			return err
		}
	}
	return c.stored(fresh)
}
