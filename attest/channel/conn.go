package channel

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"cipherdeck/attest"
)

// Conn is the client's end of a connection. It carries nothing until Attest
// has passed: Read and Write return attest.ErrNotAttested. After a refusal it
// is closed and stays shut.
type Conn struct {
	Now func() time.Time // when evidence is judged; nil: time.Now

	tls     *tls.Conn
	subject string
	in      *bufio.Reader // of the exchange alone
	script  *Transcript
	asked   atomic.Bool
	passed  atomic.Bool
	payload atomic.Int64
}

var _ net.Conn = (*Conn)(nil)

// Wrap guards tc. subject says in the verdict which machine this is.
func Wrap(tc *tls.Conn, subject string) *Conn { return &Conn{tls: tc, subject: subject} }

// Attest runs the handshake and the exchange, once per connection, within
// Deadline or ctx, whichever ends first. Errors are those of Judge, and
// ErrResponse; on any error the connection is closed and no payload was sent.
func (c *Conn) Attest(ctx context.Context, policy attest.Policy) (*attest.Verdict, error) {
	if c.asked.Swap(true) {
		return nil, fmt.Errorf("%w: asked twice; re-attest with a request and Judge", attest.ErrNotAttested)
	}
	v, err := c.attest(ctx, policy)
	if err != nil {
		_ = c.tls.Close()
		return v, err
	}
	c.passed.Store(true)
	return v, nil
}

func (c *Conn) attest(ctx context.Context, policy attest.Policy) (*attest.Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, Deadline)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.tls.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := c.tls.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("attest %s: %w", c.subject, err)
	}
	_, challenge, err := Ask(rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	v, err := c.converse(ctx, challenge, policy, now())
	if ctx.Err() != nil {
		return v, fmt.Errorf("attest %s: %w", c.subject, context.Cause(ctx))
	}
	if err != nil {
		return v, fmt.Errorf("attest %s: %w", c.subject, err)
	}
	if !stop() {
		return v, fmt.Errorf("attest %s: %w", c.subject, context.Cause(ctx))
	}
	return v, nil
}

// converse is the exchange: challenge, evidence, and for a machine that is good
// but for never having been enrolled, a credential.
func (c *Conn) converse(ctx context.Context, challenge []byte, policy attest.Policy, now time.Time) (*attest.Verdict, error) {
	evidence, err := c.exchange(challenge)
	if err != nil {
		return nil, err
	}
	if c.script, err = transcribe(c.tls.ConnectionState(), challenge, evidence, c.subject, now); err != nil {
		return nil, err
	}
	return c.script.conclude(ctx, policy, now, func(body []byte) ([]byte, error) {
		return c.post(EnrolPath, body, sha256.Size)
	})
}

// Transcript is the exchange that the verdict was reached by; nil before it.
func (c *Conn) Transcript() *Transcript { return c.script }

func (c *Conn) exchange(challenge []byte) ([]byte, error) {
	return c.post(Path, challenge, MaxEvidence)
}

// post sends a request by hand on the TLS connection, since no HTTP client may
// own it before the verdict.
func (c *Conn) post(path string, body []byte, limit int64) ([]byte, error) {
	req := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: cipherdeck\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", path, MediaType, len(body))
	if _, err := c.tls.Write(append(req, body...)); err != nil {
		return nil, err
	}
	const maxHeader = 8 << 10
	if c.in == nil {
		c.in = bufio.NewReader(io.LimitReader(c.tls, MaxEvidence+2*maxHeader+sha256.Size))
	}
	rsp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrResponse, err)
	}
	switch {
	case rsp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%w: status %s", ErrResponse, rsp.Status)
	case rsp.Header.Get("Content-Type") != MediaType:
		return nil, fmt.Errorf("%w: content type %q, want %q", ErrResponse, rsp.Header.Get("Content-Type"), MediaType)
	case rsp.ContentLength < 0 || len(rsp.TransferEncoding) != 0:
		return nil, fmt.Errorf("%w: no Content-Length", ErrResponse)
	case rsp.ContentLength > limit:
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrResponse, rsp.ContentLength, limit)
	case rsp.Close:
		return nil, fmt.Errorf("%w: server closes the connection", ErrResponse)
	}
	var got bytes.Buffer
	if _, err := io.CopyN(&got, rsp.Body, rsp.ContentLength); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrResponse, err)
	}
	if n := c.in.Buffered(); n != 0 {
		return nil, fmt.Errorf("%w: %d bytes after it", ErrResponse, n)
	}
	return got.Bytes(), nil
}

// Payload is how many bytes were given to TLS after the verdict.
func (c *Conn) Payload() int64 { return c.payload.Load() }

// ConnectionState is that of the TLS connection, for Judge.
func (c *Conn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

// Read reads what the server sends after the verdict.
func (c *Conn) Read(b []byte) (int, error) {
	if !c.passed.Load() {
		return 0, attest.ErrNotAttested
	}
	return c.tls.Read(b)
}

// Write sends payload, after the verdict only.
func (c *Conn) Write(b []byte) (int, error) {
	if !c.passed.Load() {
		return 0, attest.ErrNotAttested
	}
	n, err := c.tls.Write(b)
	c.payload.Add(int64(n))
	return n, err
}

// Refuse shuts c after a later verdict was not OK. Writes fail from now on.
func (c *Conn) Refuse() error {
	c.passed.Store(false)
	return c.tls.Close()
}

// Close closes the connection.
func (c *Conn) Close() error { return c.tls.Close() }

// LocalAddr is the address of this end.
func (c *Conn) LocalAddr() net.Addr { return c.tls.LocalAddr() }

// RemoteAddr is the address of the server.
func (c *Conn) RemoteAddr() net.Addr { return c.tls.RemoteAddr() }

// SetDeadline is refused before the verdict: it would undo that of Attest.
func (c *Conn) SetDeadline(t time.Time) error { return c.whenPassed(c.tls.SetDeadline, t) }

// SetReadDeadline is refused before the verdict.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.whenPassed(c.tls.SetReadDeadline, t) }

// SetWriteDeadline is refused before the verdict.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.whenPassed(c.tls.SetWriteDeadline, t) }

func (c *Conn) whenPassed(set func(time.Time) error, t time.Time) error {
	if !c.passed.Load() {
		return attest.ErrNotAttested
	}
	return set(t)
}
