package api

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/channel"
)

// dialLimit is how long a connection may take to be useful.
const dialLimit = 15 * time.Second

// maxAnswer bounds the JSON of an answer; blobs have their own limit.
const maxAnswer = 8 << 20

// maxHello bounds one whole answer, its header too, before the connection joins
// the pool: until then the server could send without end.
const maxHello = 32 << 10

// conn is a connection that has passed the door. Its token is good on it alone.
type conn struct {
	net.Conn
	state   tls.ConnectionState
	verdict *attest.Verdict
	token   string
	now     func() time.Time
	old     time.Time    // from when on the connection carries nothing more
	stale   atomic.Bool  // it was asked to after that: latched, since clocks may go back
	sent    atomic.Int64 // bytes
}

// errStale says that a connection of the pool has outlived its verdict or half
// of its login, and that nothing of the request was sent on it.
var errStale = errors.New("the connection is too old for another request")

// errEnded says that a verdict is over at the moment it is given.
var errEnded = fmt.Errorf("%w: the verdict has ended already", attest.ErrRefused)

// tired reports whether the connection must not carry anything more.
func (k *conn) tired() bool {
	if !k.stale.Load() && !k.now().Before(k.old) {
		k.stale.Store(true)
	}
	return k.stale.Load()
}

// Write sends a part of a request, unless the connection is tired. The pool
// cannot be asked to leave such a connection alone, so it ends here: a verdict
// vouches for nothing that is sent after its end.
func (k *conn) Write(b []byte) (int, error) {
	if k.tired() {
		return 0, errStale
	}
	n, err := k.Conn.Write(b)
	k.sent.Add(int64(n))
	return n, err
}

// dialError marks that nothing of a request was sent.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// dial opens a connection up to the verdict.
func (c *Client) dial(ctx context.Context) (*conn, error) {
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	tc := tls.Client(raw, channel.ClientTLS(c.cfg.Pin))
	if c.cfg.Policy == nil {
		if err := tc.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(unlessPinned(err), raw.Close())
		}
		return &conn{Conn: tc, state: tc.ConnectionState(), now: c.cfg.Now}, nil
	}
	ch := channel.Wrap(tc, Code{Addr: c.cfg.Addr, Pin: c.cfg.Pin}.String())
	ch.Now = c.cfg.Now
	v, err := ch.Attest(ctx, *c.cfg.Policy)
	if v != nil && c.cfg.OnVerdict != nil {
		c.cfg.OnVerdict(v, ch.Transcript())
	}
	if errors.Is(err, attest.ErrRefused) {
		return nil, &RefusedError{Verdict: v, PayloadBytes: ch.Payload(), err: err}
	}
	if err != nil {
		return nil, unlessPinned(err)
	}
	return &conn{Conn: ch, state: ch.ConnectionState(), verdict: v, now: c.cfg.Now}, nil
}

// unlessPinned calls a failed handshake unreachable, but never a wrong key.
func unlessPinned(err error) error {
	if errors.Is(err, channel.ErrPin) || errors.Is(err, channel.ErrTLS) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// enter opens a connection and, for login, goes through the rest of the door.
func (c *Client) enter(ctx context.Context, login bool) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	k, err := c.dial(ctx)
	if err != nil {
		return nil, &dialError{err}
	}
	k.old = c.cfg.Now().Add(reattest)
	if k.verdict != nil && k.verdict.NotAfter.Before(k.old) {
		k.old = k.verdict.NotAfter
	}
	if k.tired() {
		return nil, &dialError{errors.Join(&RefusedError{Verdict: k.verdict, err: errEnded}, k.Conn.Close())}
	}
	if !login {
		return k, nil
	}
	if c.cfg.Bearer != "" { // it is good on any connection
		k.token = c.cfg.Bearer
		return k, nil
	}
	stop := context.AfterFunc(ctx, func() { _ = k.Conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := c.login(k); err != nil {
		return nil, &dialError{errors.Join(err, k.Conn.Close())}
	}
	return k, nil
}

func (c *Client) login(k *conn) error {
	left := &io.LimitedReader{R: k.Conn}
	in := bufio.NewReader(left)
	post := func(path string, body, into any) error {
		left.N = maxHello - int64(in.Buffered())
		return k.post(in, path, body, into)
	}
	var ch ChallengeReply
	if err := post("/v1/auth/challenge", struct{}{}, &ch); err != nil {
		return fmt.Errorf("login: %w", err)
	}
	now := c.cfg.Now()
	signed, err := SignLogin(&k.state, c.cfg.Pin, ch.Nonce, now.Unix(), c.cfg.Device)
	if err != nil {
		return fmt.Errorf("login: %w", err)
	}
	var got LoginReply
	if err := post("/v1/auth/login", LoginRequest{UID: c.cfg.UID, Login: signed}, &got); err != nil {
		return fmt.Errorf("login: %w", err)
	}
	if in.Buffered() != 0 {
		return fmt.Errorf("login: %w: %d bytes after the answer", ErrServer, in.Buffered())
	}
	if got.Token == "" || got.ExpiresIn <= 0 {
		return fmt.Errorf("login: %w: a token that is good for %d seconds", ErrServer, got.ExpiresIn)
	}
	k.token = got.Token
	c.direct.offered.Store(got.Direct && c.cfg.Policy == nil) // what needs a verdict stays on the connection that has it
	if half := now.Add(time.Duration(got.ExpiresIn) * time.Second / 2); half.Before(k.old) {
		k.old = half
	}
	return nil
}

// post is one exchange by hand, before the connection joins the pool.
func (k *conn) post(in *bufio.Reader, path string, body, into any) error {
	enc, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodPost, "https://cipherdeck"+path, bytes.NewReader(enc))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", TypeJSON)
	if err := req.Write(k); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	rsp, err := http.ReadResponse(in, req)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if rsp.Close {
		return errors.Join(decode(rsp, into), fmt.Errorf("%w: it closes the connection", ErrServer))
	}
	return decode(rsp, into)
}

// decode reads a whole answer: into, or an *Error.
func decode(rsp *http.Response, into any) error {
	defer rsp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(rsp.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	if len(raw) > maxAnswer {
		return fmt.Errorf("%w: its answer is longer than %d bytes", ErrServer, maxAnswer)
	}
	if rsp.StatusCode >= 300 {
		return problem(rsp, raw)
	}
	if b, ok := into.(*[]byte); ok {
		*b = raw
		return nil
	}
	if into == nil || rsp.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%w: its answer is not the JSON wanted: %w", ErrServer, err)
	}
	return nil
}

func problem(rsp *http.Response, raw []byte) error {
	var e Envelope
	if json.Unmarshal(raw, &e) != nil || e.Error.Code == "" {
		e.Error = Error{Code: CodeInternal, Cause: "status " + rsp.Status}
	}
	e.Error.Status = rsp.StatusCode
	return &e.Error
}
