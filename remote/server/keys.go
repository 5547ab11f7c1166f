package server

import (
	"net/http"
	"time"

	"cipherdeck/remote/api"
	"cipherdeck/remote/auth"
)

// newKey makes an API key for the person who is logged in. No API key reaches
// this route: a key that makes keys would have no end.
func (s *Server) newKey(c *call) error {
	var q api.KeyRequest
	if err := c.json(&q); err != nil {
		return err
	}
	k := auth.Key{Owner: c.who.UID, Device: c.login.Device, Name: q.Name, Networks: q.Networks, NotAfter: time.Unix(q.NotAfter, 0)}
	for _, text := range q.Scopes {
		scope, err := auth.ParseScope(text)
		if err != nil {
			return err
		}
		k.Scopes = append(k.Scopes, scope)
	}
	made, bearer, err := s.keys.New(c.r.Context(), k)
	if err != nil {
		return err
	}
	s.log.Info("API key made", "uid", c.who.UID.Short(), "key", made.ID)
	if err := s.noted(c, eventKeyMade); err != nil {
		return err
	}
	return c.answer(http.StatusCreated, api.KeyReply{Key: keyInfo(made), Bearer: bearer})
}

func (s *Server) listKeys(c *call) error {
	all, err := s.keys.Of(c.r.Context(), c.who.UID)
	if err != nil {
		return err
	}
	r := api.KeysReply{Keys: []api.KeyInfo{}}
	for _, k := range all {
		r.Keys = append(r.Keys, keyInfo(k))
	}
	return c.answer(http.StatusOK, r)
}

func (s *Server) revokeKey(c *call) error {
	if err := s.keys.Revoke(c.r.Context(), c.who.UID, c.r.PathValue("id")); err != nil {
		return err
	}
	s.log.Info("API key revoked", "uid", c.who.UID.Short(), "key", c.r.PathValue("id"))
	if err := s.noted(c, eventKeyRevoked); err != nil {
		return err
	}
	return c.answer(http.StatusOK, struct{}{})
}

func (s *Server) rotateKey(c *call) error {
	var q api.RotateRequest
	if err := c.json(&q); err != nil {
		return err
	}
	k, bearer, err := s.keys.Rotate(c.r.Context(), c.who.UID, c.login.Device, c.r.PathValue("id"), time.Duration(q.OverlapSeconds)*time.Second)
	if err != nil {
		return err
	}
	if err := s.noted(c, eventKeyRotated); err != nil {
		return err
	}
	return c.answer(http.StatusOK, api.KeyReply{Key: keyInfo(k), Bearer: bearer})
}

func keyInfo(k auth.Key) api.KeyInfo {
	i := api.KeyInfo{ID: k.ID, Name: k.Name, Networks: append([]string{}, k.Networks...), Created: k.Created.Unix(), NotAfter: k.NotAfter.Unix()}
	for _, c := range k.Scopes {
		i.Scopes = append(i.Scopes, c.String())
	}
	if !k.LastUsed.IsZero() {
		i.LastUsed = k.LastUsed.Unix()
	}
	if !k.Rotating.IsZero() {
		i.OldUntil = k.Rotating.Unix()
	}
	return i
}

// listSessions lists the logins of the account that are in force.
func (s *Server) listSessions(c *call) error {
	all, err := s.tokens.Of(c.r.Context(), c.who.UID)
	if err != nil {
		return err
	}
	r := api.SessionsReply{Sessions: []api.SessionInfo{}}
	for _, l := range all {
		r.Sessions = append(r.Sessions, api.SessionInfo{ID: l.ID, Device: l.Device.String(), Created: l.Created.Unix(),
			NotAfter: l.NotAfter.Unix(), Current: l.ID == c.login.ID})
	}
	return c.answer(http.StatusOK, r)
}

// revokeSessions ends logins of the account: all of them, or those of one
// device. The one that asks may be among them.
func (s *Server) revokeSessions(c *call) error {
	device := c.r.URL.Query().Get("device")
	n, err := s.tokens.RevokeOf(c.r.Context(), c.who.UID, func(l auth.Session) bool { return device == "" || l.Device.String() == device })
	if err != nil {
		return err
	}
	s.log.Info("logins revoked", "uid", c.who.UID.Short(), "count", n)
	if err := s.noted(c, eventLogins); err != nil {
		return err
	}
	return c.answer(http.StatusOK, api.RevokedReply{Revoked: n})
}
