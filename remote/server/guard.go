package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/api"
	"cipherdeck/remote/auth"
	"cipherdeck/remote/store"
)

// Bounds in time of one request.
const (
	maxWait  = 60 * time.Second // of a long poll
	patience = 30 * time.Second // for a body, besides its size
	slowest  = 64 << 10         // bytes a second that a body must reach
)

// call is one request that has passed the guard.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	who   *chain.Account // nil before login
	token string
	login auth.Session // of the token
	key   *auth.Key    // instead of a login: what an API key may do at most
	pid   id.ID
	head  head // of the project, for a member
}

// guard enforces one row of the table before its handler sees anything.
func (s *Server) guard(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.now()
		c := &call{w: w, r: r}
		s.bound(c, rt)
		err := s.admit(c, rt)
		if err == nil {
			s.admitted(c, rt)
			err = rt.handle(s, c)
		}
		outcome := "ok"
		if err != nil {
			e := problem(err)
			outcome = e.Code
			if e.Code == api.CodeInternal || e.Code == api.CodeDamaged || e.Code == api.CodeUnavailable || e.Code == api.CodeUnknown {
				s.log.Error("request failed", "route", rt.pattern, "err", err)
			}
			refuse(w, e)
		}
		s.log.Debug("request", "method", rt.method, "route", rt.pattern, "outcome", outcome, "took", s.now().Sub(start))
	})
}

// bound limits a request in bytes and in time. Until admitted has been called a
// body has no more time than a small one needs: what it is for, and from whom,
// is not known yet.
func (s *Server) bound(c *call, rt route) {
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, rt.max)
	s.deadlines(c, rt, min(rt.max, maxSmall))
}

// admitted gives the body of a request the time that its route allows. From
// then on its connection is not a stranger's, when the request needed a login.
func (s *Server) admitted(c *call, rt route) {
	if k, ok := c.r.Context().Value(connKey{}).(*counted); ok && c.who != nil {
		k.known.Store(true)
	}
	s.deadlines(c, rt, rt.max)
}

func (s *Server) deadlines(c *call, rt route, body int64) {
	rc := http.NewResponseController(c.w)
	now := time.Now() // of the machine: deadlines of sockets know no other
	write := patience + time.Duration(max(rt.max, s.cfg.MaxBlobBytes)/slowest)*time.Second
	read := patience + time.Duration(body/slowest)*time.Second
	if rt.slow {
		write += maxWait
		read += maxWait
	}
	if c.r.ContentLength == 0 { // nothing is read; and who takes an answer slowly says nothing meanwhile
		read = write
	}
	_ = rc.SetReadDeadline(now.Add(read))
	_ = rc.SetWriteDeadline(now.Add(write))
}

// admit decides, in this order: rate, who it is, kind of account, role.
func (s *Server) admit(c *call, rt route) error {
	if rt.right == anybody {
		return s.rate("net " + netOf(c.r.RemoteAddr))
	}
	if err := s.identify(c); err != nil {
		return err
	}
	if err := s.rate(c.principal()); err != nil {
		return err
	}
	if c.key != nil && !scoped(c, rt) {
		return denied()
	}
	switch rt.right {
	case someone:
		return nil
	case person:
		return allow(c.who.Kind == chain.Person)
	case node:
		return allow(c.who.Kind == chain.Node)
	case member, worker:
		return s.admitTo(c, rt)
	}
	return denied()
}

func allow(ok bool) error {
	if !ok {
		return denied()
	}
	return nil
}

// identify finds the account of the bearer: a token of this connection whose
// device may still log in, or an API key.
func (s *Server) identify(c *call) error {
	bearer, ok := strings.CutPrefix(c.r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return s.stranger(c)
	}
	u, err := s.bearer(c, bearer)
	if err == nil {
		c.who, err = s.accounts.get(c.r.Context(), u)
	}
	if err == nil && !c.standing() {
		return s.stranger(c)
	}
	if errors.Is(err, auth.ErrToken) {
		s.log.Debug("bearer refused", "err", err)
		return s.stranger(c)
	}
	return err
}

// standing reports whether the device behind a bearer was not revoked since: the
// one that logged in, or the one that had the API key made. Who stole a laptop
// must not keep a key that he made with it.
func (c *call) standing() bool {
	device := c.login.Device
	if c.key != nil {
		device = c.key.Device
	}
	_, ok := c.who.Valid(device)
	return ok || c.key != nil && device == (doc.KeyID{})
}

// bearer is whose it is.
func (s *Server) bearer(c *call, bearer string) (u chain.UID, err error) {
	if auth.IsKey(bearer) {
		if c.key, err = s.keys.Check(c.r.Context(), bearer, c.r.RemoteAddr); err != nil {
			return u, err
		}
		return c.key.Owner, nil
	}
	c.token = bearer
	c.login, err = s.tokens.Check(c.r.Context(), bearer, c.r.TLS)
	return c.login.UID, err
}

// stranger answers a request without a good token; who guesses, or knocks
// without one, is slowed down by his network.
func (s *Server) stranger(c *call) error {
	if err := s.rate("net " + netOf(c.r.RemoteAddr)); err != nil {
		return err
	}
	return unauthorized()
}

// admitTo decides by the role in the project, or by a lease.
func (s *Server) admitTo(c *call, rt route) (err error) {
	if c.pid, err = id.Parse(c.r.PathValue("pid")); err != nil {
		return denied()
	}
	if rt.right == worker && c.who.Kind == chain.Node {
		return allow(s.jobs.leases.holds(c.who.UID, c.pid, s.now()))
	}
	c.head, err = s.projects.get(c.r.Context(), c.pid)
	if errors.Is(err, store.ErrNotFound) {
		return denied()
	}
	if err != nil {
		return err
	}
	return allow(c.head.state.AllowsAt(c.who.UID, rt.op, s.now()))
}

func (s *Server) rate(who string) error {
	if !s.limits.allow(who) {
		return &api.Error{Code: api.CodeBusy, Cause: "too many requests", Cure: "wait a second"}
	}
	return nil
}

func unauthorized() error {
	return &api.Error{Code: api.CodeUnauthorized, Cause: "this connection is not logged in", Cure: "enrol the account, check the clock, log in again"}
}

// raw reads the whole body.
func (c *call) raw() ([]byte, error) {
	b, err := io.ReadAll(c.r.Body)
	var large *http.MaxBytesError
	if err != nil && !errors.As(err, &large) {
		return nil, invalid("body", "it broke off")
	}
	return b, err
}

// json reads the body into v, strictly.
func (c *call) json(v any) error {
	d := json.NewDecoder(c.r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return err
	}
	if err != nil {
		return invalid("body", "%v", plain(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalid("body", "something follows the object")
	}
	return nil
}

// wait reads the wait parameter, at most maxWait.
func (c *call) wait() (time.Duration, error) {
	v := c.r.URL.Query().Get("wait")
	if v == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		return 0, invalid("wait", "want a duration such as 30s")
	}
	return min(d, maxWait), nil
}

// stored answers that something is stored: now, or already.
func (c *call) stored(fresh bool) error {
	if fresh {
		return c.answer(http.StatusCreated, struct{}{})
	}
	return c.answer(http.StatusOK, struct{}{})
}

// answer writes v as JSON.
func (c *call) answer(status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.bytes(status, api.TypeJSON, b)
}

func (c *call) bytes(status int, typ string, b []byte) error {
	c.w.Header().Set("Content-Type", typ)
	c.w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	c.w.WriteHeader(status)
	_, _ = c.w.Write(b) // a client that has gone needs no error
	return nil
}

// principal is for whom a request with a good bearer counts: a script must not
// use up what its owner needs to revoke its key.
func (c *call) principal() string {
	if c.key != nil {
		return "key " + c.key.ID
	}
	return "uid " + c.who.UID.String()
}

// netOf is whom an address counts for before login: the 24 bits of IPv4 or the 48
// of IPv6 that one customer may have, so that more addresses are not more rate.
func netOf(addr string) string {
	p, err := netip.ParseAddrPort(addr)
	if err != nil {
		return addr
	}
	ip, bits := p.Addr().Unmap().WithZone(""), 24
	if ip.Is6() {
		bits = 48
	}
	return netip.PrefixFrom(ip, bits).Masked().String()
}
