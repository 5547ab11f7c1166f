package server

import (
	"errors"
	"net/http"
	"slices"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/api"
	"cipherdeck/remote/store"
)

func (s *Server) challenge(c *call) error {
	n := s.verifier.Challenges.Issue()
	return c.answer(http.StatusOK, api.ChallengeReply{Nonce: n[:]})
}

func (s *Server) login(c *call) error {
	var q api.LoginRequest
	if err := c.json(&q); err != nil {
		return err
	}
	ctx := c.r.Context()
	acc, err := s.accounts.get(ctx, q.UID)
	if errors.Is(err, store.ErrNotFound) {
		return unauthorized()
	}
	if err != nil {
		return err
	}
	entry, err := s.verifier.Check(c.r.TLS, q.Login, acc)
	if err != nil {
		s.log.Warn("login refused", "uid", q.UID.Short(), "err", err)
		s.event(eventLogin, accountTag(acc.UID), nil)
		return unauthorized()
	}
	token, err := s.tokens.Issue(ctx, acc.UID, c.r.TLS, entry)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, api.LoginReply{Token: token, ExpiresIn: s.cfg.TokenTTLSeconds, Direct: s.cfg.direct()})
}

func (s *Server) logout(c *call) error {
	if err := s.tokens.Revoke(c.r.Context(), c.token); err != nil {
		return err
	}
	return c.answer(http.StatusOK, struct{}{})
}

func (s *Server) enrol(c *call) error {
	raw, err := c.raw()
	if err != nil {
		return err
	}
	acc, err := chain.OpenAccount(raw)
	if err != nil {
		return err
	}
	if got := c.r.PathValue("uid"); got != acc.UID.String() {
		return invalid("uid", "the account in the body is %s", acc.UID)
	}
	if s.cfg.Enrolment != EnrolOpen {
		_, err := s.accounts.get(c.r.Context(), acc.UID)
		if errors.Is(err, store.ErrNotFound) {
			return &api.Error{Code: api.CodeForbidden, Cause: "enrolment is closed on this server", Cure: "ask the operator to open it"}
		}
		if err != nil {
			return err // a store in trouble must not open what is closed
		}
	}
	if err := s.accepting(); err != nil {
		return err
	}
	fresh, err := s.accounts.put(c.r.Context(), acc)
	if err != nil {
		return err
	}
	if err := s.record(c, accountEntry(acc)); err != nil {
		return err
	}
	return c.stored(fresh)
}

func (s *Server) account(c *call) error {
	u, err := chain.ParseUID(c.r.PathValue("uid"))
	if err != nil {
		return err
	}
	acc, err := s.accounts.get(c.r.Context(), u)
	if err != nil {
		return err
	}
	return c.bytes(http.StatusOK, api.TypeCBOR, acc.Raw)
}

// accountLinks answers with the links after the genesis, oldest first.
func (s *Server) accountLinks(c *call) error {
	u, err := chain.ParseUID(c.r.PathValue("uid"))
	if err != nil {
		return err
	}
	acc, err := s.accounts.get(c.r.Context(), u)
	if err != nil {
		return err
	}
	body, err := doc.Encode(append([][]byte{}, acc.Links...))
	if err != nil {
		return err
	}
	return c.bytes(http.StatusOK, api.TypeCBOR, body)
}

// linksAfter answers with the links after one that the caller names by its id, or
// after the genesis. It needs no login: a device that was revoked cannot log in,
// and must be able to learn that from its own account's signatures. Nobody can
// guess such an id, and who knows it has seen the account.
func (s *Server) linksAfter(c *call) error {
	u, err := chain.ParseUID(c.r.PathValue("uid"))
	if err != nil {
		return err
	}
	head, err := id.Parse(c.r.PathValue("head"))
	if err != nil {
		return err
	}
	acc, err := s.accounts.get(c.r.Context(), u)
	if err != nil {
		return err
	}
	from := 0
	if head != acc.ID {
		at := slices.IndexFunc(acc.Links, func(l []byte) bool { return id.Of(l) == head })
		if at < 0 {
			return store.ErrNotFound // as for an account that is not here
		}
		from = at + 1
	}
	body, err := doc.Encode(append([][]byte{}, acc.Links[from:]...))
	if err != nil {
		return err
	}
	return c.bytes(http.StatusOK, api.TypeCBOR, body)
}

// putAccountLink takes the next link of an enrolled account. It needs no login:
// the account's own keys sign it, and a device that it adds could not log in
// before.
func (s *Server) putAccountLink(c *call) error {
	u, err := chain.ParseUID(c.r.PathValue("uid"))
	if err != nil {
		return err
	}
	raw, err := c.raw()
	if err != nil {
		return err
	}
	if err := s.accepting(); err != nil {
		return err
	}
	seq, fresh, err := s.accounts.append(c.r.Context(), u, raw)
	if err != nil {
		return err
	}
	if err := s.record(c, accountLinkEntry(u, seq, raw)); err != nil {
		return err
	}
	return c.stored(fresh)
}
