package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// KeyRequest asks for an API key.
type KeyRequest struct {
	Name     string   `json:"name"`
	Scopes   []string `json:"scopes"`   // OP@PROJECT; see remote/auth
	Networks []string `json:"networks"` // CIDR; none: from anywhere
	NotAfter int64    `json:"not_after"`
}

// KeyInfo is an API key without its secret. Times are Unix seconds, 0 for never.
type KeyInfo struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Scopes   []string `json:"scopes"`
	Networks []string `json:"networks"`
	Created  int64    `json:"created"`
	NotAfter int64    `json:"not_after"`
	LastUsed int64    `json:"last_used"`
	OldUntil int64    `json:"old_until"` // the secret before the last rotation is good until then
}

// KeyReply is a key that was made or rotated; Bearer is shown here only.
type KeyReply struct {
	Key    KeyInfo `json:"key"`
	Bearer string  `json:"bearer"`
}

// KeysReply lists keys.
type KeysReply struct {
	Keys []KeyInfo `json:"keys"`
}

// RotateRequest asks for a new secret of a key.
type RotateRequest struct {
	OverlapSeconds int64 `json:"overlap_seconds"`
}

// SessionInfo is one login in force.
type SessionInfo struct {
	ID       string `json:"id"`
	Device   string `json:"device"` // id of the key that logged in
	Created  int64  `json:"created"`
	NotAfter int64  `json:"not_after"`
	Current  bool   `json:"current"`
}

// SessionsReply lists logins.
type SessionsReply struct {
	Sessions []SessionInfo `json:"sessions"`
}

// RevokedReply says how many logins were ended.
type RevokedReply struct {
	Revoked int `json:"revoked"`
}

// NewKey makes an API key of the client's account. It is not repeated when its
// outcome is not known: list the keys then.
func (c *Client) NewKey(ctx context.Context, k KeyRequest) (r KeyReply, err error) {
	q, err := request{method: http.MethodPost, path: "/v1/keys"}.asJSON(k)
	if err == nil {
		err = c.do(ctx, q, &r)
	}
	return r, err
}

// Keys lists the API keys of the client's account.
func (c *Client) Keys(ctx context.Context) ([]KeyInfo, error) {
	var r KeysReply
	err := c.do(ctx, request{method: http.MethodGet, path: "/v1/keys", again: true}, &r)
	return r.Keys, err
}

// RotateKey gives a key a new secret. The one before is good for overlap.
func (c *Client) RotateKey(ctx context.Context, name string, overlap time.Duration) (r KeyReply, err error) {
	q, err := request{method: http.MethodPost, path: "/v1/keys/" + url.PathEscape(name) + "/rotate"}.asJSON(RotateRequest{int64(overlap / time.Second)})
	if err == nil {
		err = c.do(ctx, q, &r)
	}
	return r, err
}

// RevokeKey ends a key at once.
func (c *Client) RevokeKey(ctx context.Context, name string) error {
	return c.do(ctx, request{method: http.MethodDelete, path: "/v1/keys/" + url.PathEscape(name)}, nil)
}

// Sessions lists the logins of the client's account that are in force.
func (c *Client) Sessions(ctx context.Context) ([]SessionInfo, error) {
	var r SessionsReply
	err := c.do(ctx, request{method: http.MethodGet, path: "/v1/sessions", again: true}, &r)
	return r.Sessions, err
}

// RevokeSessions ends logins of the client's account at once: all of them, its
// own too, or those of one device. It says how many.
func (c *Client) RevokeSessions(ctx context.Context, device string) (int, error) {
	v := url.Values{}
	if device != "" {
		v.Set("device", device)
	}
	var r RevokedReply
	err := c.do(ctx, request{method: http.MethodDelete, path: withQuery("/v1/sessions", v)}, &r)
	c.Close()
	if err != nil {
		return 0, fmt.Errorf("revoke logins: %w", err)
	}
	return r.Revoked, nil
}
