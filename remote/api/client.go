package api

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net"
	"net/http"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/channel"
	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// reattest is the age at which a connection is not used for a new request any
// more: the next one is attested anew.
const reattest = 10 * time.Minute

// idleLimit is how long an unused connection stays open.
const idleLimit = 90 * time.Second

// maxConns is how many connections one client opens.
const maxConns = 8

// Config is whom to talk to and as whom.
type Config struct {
	Addr    string   // host:port
	Pin     [32]byte // SHA-256 of the server's SubjectPublicKeyInfo
	UID     chain.UID
	Device  ed25519.PrivateKey
	Account []byte           // signed account genesis, for Enrol
	Links   [][]byte         // and the account's links after it
	Bearer  string           // an API key, instead of UID, Device and Account; "": log in
	Policy  *attest.Policy   // nil: the pin only, as nodes do
	Now     func() time.Time // nil: time.Now
	// Every verdict, good or not, and the exchange that it was reached by; called
	// from any goroutine.
	OnVerdict func(*attest.Verdict, *channel.Transcript)
	// Every promise of the journal, unread, with the document that it must be about
	// (nil: one that the client does not know); an error fails the call; from any goroutine.
	OnPromise func(doc, promise []byte) error
}

// Client is a client of one server, as one account. It is safe for concurrent
// use. Methods take a context; without a deadline in it they end after a
// minute, long polls after their wait besides.
type Client struct {
	cfg    Config
	public *http.Transport // attested, not logged in
	member *http.Transport
	direct *direct
}

// New makes a client; it connects when it is first used.
func New(c Config) *Client {
	if c.Now == nil {
		c.Now = time.Now
	}
	k := &Client{cfg: c, direct: newDirect()}
	k.public, k.member = k.transport(false), k.transport(true)
	return k
}

func (c *Client) transport(login bool) *http.Transport {
	return &http.Transport{
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			k, err := c.enter(ctx, login)
			if err != nil {
				return nil, err
			}
			return k, nil
		},
		DisableCompression:     true,
		MaxConnsPerHost:        maxConns,
		MaxIdleConnsPerHost:    maxConns,
		IdleConnTimeout:        idleLimit,
		ExpectContinueTimeout:  2 * time.Second,
		MaxResponseHeaderBytes: 16 << 10,
		WriteBufferSize:        64 << 10,
		ReadBufferSize:         64 << 10,
	}
}

// Addr is the server's host:port.
func (c *Client) Addr() string { return c.cfg.Addr }

// UID is the account of the client.
func (c *Client) UID() chain.UID { return c.cfg.UID }

// Close closes the connections that are not in use.
func (c *Client) Close() {
	c.public.CloseIdleConnections()
	c.member.CloseIdleConnections()
	c.direct.http.CloseIdleConnections()
}

// Attest opens a fresh connection and judges the server on it, without login.
// The verdict is given back also when it is a refusal (a *RefusedError).
func (c *Client) Attest(ctx context.Context) (*attest.Verdict, error) {
	if c.cfg.Policy == nil {
		return nil, fmt.Errorf("attest %s: %w: the client has no policy", c.cfg.Addr, ErrInvalid)
	}
	k, err := c.enter(ctx, false)
	if err != nil {
		return verdictOf(err), fmt.Errorf("attest %s: %w", c.cfg.Addr, err)
	}
	return k.verdict, k.Conn.Close()
}

// Meta is what the server says of itself to anybody.
func (c *Client) Meta(ctx context.Context) (Meta, error) {
	var m Meta
	err := c.do(ctx, request{method: http.MethodGet, path: "/v1/meta", public: true, again: true}, &m)
	return m, err
}

// Enrol makes the client's account known to the server, with those of its links
// that the server does not have. It may be repeated.
func (c *Client) Enrol(ctx context.Context) error {
	path := "/v1/accounts/" + c.cfg.UID.String()
	if err := c.do(ctx, request{method: http.MethodPut, path: path, body: c.cfg.Account, typ: TypeCBOR, signed: true, public: true, again: true}, nil); err != nil {
		return err
	}
	for _, l := range c.cfg.Links {
		if err := c.PutAccountLink(ctx, c.cfg.UID, l); err != nil {
			return err
		}
	}
	return nil
}

// PutAccountLink hands in the next link of account u. It may be repeated;
// ErrConflict when the account has another link there.
func (c *Client) PutAccountLink(ctx context.Context, u chain.UID, raw []byte) error {
	path := "/v1/accounts/" + u.String() + "/links"
	return c.do(ctx, request{method: http.MethodPost, path: path, body: raw, typ: TypeCBOR, signed: true, public: true, again: true}, nil)
}

// LinksAfter are the links of account u after the one called head, or after its
// genesis, not verified. It needs no login, so that a device that was revoked can
// learn it. ErrNotFound when the server does not have head.
func (c *Client) LinksAfter(ctx context.Context, u chain.UID, head id.ID) ([][]byte, error) {
	var list []byte
	path := "/v1/accounts/" + u.String() + "/after/" + head.String()
	if err := c.do(ctx, request{method: http.MethodGet, path: path, public: true, again: true}, &list); err != nil {
		return nil, err
	}
	var links [][]byte
	if err := doc.Decode(list, &links); err != nil {
		return nil, fmt.Errorf("account %s: %w", u, err)
	}
	return links, nil
}

// Account is account u with all of its links, which the server cannot invent
// but may hold back. The genesis names itself by its hash: one that does not
// match u is refused.
func (c *Client) Account(ctx context.Context, u chain.UID) (*chain.Account, error) {
	path := "/v1/accounts/" + u.String()
	var raw, list []byte
	if err := c.do(ctx, request{method: http.MethodGet, path: path, again: true}, &raw); err != nil {
		return nil, err
	}
	if err := c.do(ctx, request{method: http.MethodGet, path: path + "/links", again: true}, &list); err != nil {
		return nil, err
	}
	var links [][]byte
	if err := doc.Decode(list, &links); err != nil {
		return nil, fmt.Errorf("account %s: %w: links: %w", u, ErrDamaged, err)
	}
	a, err := chain.OpenAccountChain(raw, links)
	if err != nil {
		return nil, fmt.Errorf("account %s: %w", u, err)
	}
	if a.UID != u {
		return nil, fmt.Errorf("account %s: %w: the server gave %s", u, ErrDamaged, a.UID)
	}
	return a, nil
}

// Projects are the projects that the account is a member of.
func (c *Client) Projects(ctx context.Context) ([]id.ID, error) {
	var r ProjectsReply
	err := c.do(ctx, request{method: http.MethodGet, path: "/v1/projects", again: true}, &r)
	return r.Projects, err
}

// CreateProject stores a signed genesis link and makes it the head.
func (c *Client) CreateProject(ctx context.Context, genesis []byte) (*Project, error) {
	var r ProjectReply
	if err := c.do(ctx, request{method: http.MethodPost, path: "/v1/projects", body: genesis, typ: TypeCBOR, signed: true, again: true}, &r); err != nil {
		return nil, err
	}
	if want := id.Of(genesis); r.Project != want {
		return nil, fmt.Errorf("create project: %w: named %s, want %s", ErrServer, r.Project, want)
	}
	return c.Project(r.Project), nil
}

// Logout revokes the token of one connection and closes the idle ones. Tokens
// of other connections die with them.
func (c *Client) Logout(ctx context.Context) error {
	err := c.do(ctx, request{method: http.MethodPost, path: "/v1/auth/logout"}, nil)
	c.Close()
	return err
}
