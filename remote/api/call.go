package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/channel"
)

// callLimit is how long a call may take when its context does not say.
const callLimit = time.Minute

// collectWait is how long the server may go through the blobs of a project.
const collectWait = 5 * time.Minute

// tries is how often a request that may be repeated is sent.
const tries = 4

// askFirst is the size from which a body waits for the server's consent: a
// refusal should not cost the upload.
const askFirst = 256 << 10

// request is one call. Only one with again set is sent a second time when its
// outcome is not known.
type request struct {
	method, path string
	header       map[string]string
	body         []byte
	stream       func() (io.Reader, error) // instead of body; called for each try
	size         int64                     // of stream
	typ          string
	public       bool // needs no login
	again        bool
	signed       bool          // body is a document for the journal
	wait         time.Duration // that the server may take on purpose
}

// asJSON makes v the body of q.
func (q request) asJSON(v any) (request, error) {
	enc, err := json.Marshal(v)
	q.body, q.typ = enc, TypeJSON
	return q, err
}

// do sends q and reads the whole answer into into: nil, a *[]byte, or JSON.
func (c *Client) do(ctx context.Context, q request, into any) error {
	ctx, cancel := limit(ctx, q.wait)
	defer cancel()
	rsp, err := c.send(ctx, q)
	if err != nil {
		return fmt.Errorf("%s %s: %w", q.method, q.path, err)
	}
	if err := errors.Join(decode(rsp, into), c.promised(q, rsp)); err != nil {
		return fmt.Errorf("%s %s: %w", q.method, q.path, err)
	}
	return nil
}

func limit(ctx context.Context, wait time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, callLimit+wait)
}

// send is one answer, good or bad, after as many tries as q allows. A refused
// token and "slow down" are repeated in any case: the server did nothing.
func (c *Client) send(ctx context.Context, q request) (*http.Response, error) {
	stale := 0
	for try := 1; ; try++ {
		rsp, err := c.once(ctx, q)
		if errors.Is(err, errStale) && stale <= maxConns {
			stale++ // it says nothing of the server: the next connection may be new
			try--
			continue
		}
		pause, again := c.repeat(q, try, rsp, err)
		if !again {
			return rsp, err
		}
		if rsp != nil {
			_ = rsp.Body.Close()
		}
		select {
		case <-ctx.Done():
			return nil, q.fate(context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}

// repeat decides whether to try again, and after which pause.
func (c *Client) repeat(q request, try int, rsp *http.Response, err error) (time.Duration, bool) {
	pause := time.Duration(try*try) * 50 * time.Millisecond
	switch {
	case try >= tries:
		return 0, false
	case errors.Is(err, ErrBusy):
		return time.Second, true
	case err != nil:
		return pause, errors.Is(err, ErrUnreachable) // see fate: never when it may have been done
	case rsp.StatusCode == http.StatusUnauthorized && !q.public && try == 1:
		return 0, true // the connection was closed: see once
	case rsp.StatusCode == http.StatusTooManyRequests:
		after, err := strconv.Atoi(rsp.Header.Get("Retry-After"))
		return max(pause, time.Duration(after)*time.Second), err == nil && after <= 30
	case rsp.StatusCode == http.StatusServiceUnavailable:
		return pause, q.again
	}
	return 0, false
}

// attempt is a request on its way: which connection it got, and how many bytes
// that one had carried before.
type attempt struct {
	req    *http.Request
	used   *conn
	before int64
}

// got is called by the transport after it chose a connection and before it
// writes the request: the one moment at which the token is known. The request
// may be the transport's own copy, which shares the header only; a connection
// that is too old is therefore refused in conn.Write.
func (a *attempt) got(i httptrace.GotConnInfo) {
	a.used = i.Conn.(*conn)
	a.before = a.used.sent.Load()
	if !a.used.tired() && a.used.token != "" {
		a.req.Header.Set("Authorization", "Bearer "+a.used.token)
	}
}

// unsent reports whether the attempt failed before its first byte since its
// connection was too old.
func (a *attempt) unsent() bool {
	return a.used != nil && a.used.stale.Load() && a.used.sent.Load() == a.before
}

// body is a stream that is left alone when the connection is too old, so that
// it can be sent on another one even when it cannot be read twice.
type body struct {
	io.Reader
	a *attempt
}

// Read reads on, on a good connection only.
func (b body) Read(p []byte) (int, error) {
	if b.a.used != nil && b.a.used.stale.Load() {
		return 0, errStale
	}
	return b.Reader.Read(p)
}

// once sends q on a connection of the pool, with the token of that connection.
func (c *Client) once(ctx context.Context, q request) (*http.Response, error) {
	a := &attempt{}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: a.got})
	req, err := q.build(ctx, a)
	if err != nil {
		return nil, err
	}
	a.req = req
	pool := c.member
	if q.public {
		pool = c.public
	}
	rsp, err := pool.RoundTrip(req)
	if err != nil && a.unsent() {
		pool.CloseIdleConnections() // the others are hardly younger
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, errStale)
	}
	if err != nil {
		return nil, q.fate(err)
	}
	if rsp.StatusCode == http.StatusUnauthorized {
		// Its token is dead, so a new connection has to log in anew.
		raw, err := io.ReadAll(io.LimitReader(rsp.Body, maxAnswer))
		rsp.Body = io.NopCloser(bytes.NewReader(raw))
		_ = a.used.Close() // it may be closed already
		return rsp, err
	}
	return rsp, nil
}

func (q request) build(ctx context.Context, a *attempt) (*http.Request, error) {
	var content io.Reader = bytes.NewReader(q.body)
	if q.stream != nil {
		r, err := q.stream()
		if err != nil {
			return nil, err
		}
		content = io.NopCloser(body{r, a})
	}
	req, err := http.NewRequestWithContext(ctx, q.method, "https://cipherdeck"+q.path, content)
	if err != nil {
		return nil, err
	}
	if q.stream != nil {
		req.ContentLength = q.size
		if q.size >= askFirst {
			req.Header.Set("Expect", "100-continue")
		}
		if q.size == 0 {
			req.Body = http.NoBody
		}
	}
	if q.typ != "" {
		req.Header.Set("Content-Type", q.typ)
	}
	for k, v := range q.header {
		req.Header.Set(k, v)
	}
	return req, nil
}

// fate names what a failed exchange means for the request.
func (q request) fate(err error) error {
	for _, known := range []error{ErrUnauthorized, ErrForbidden, ErrInvalid, ErrBusy, ErrServer, ErrUnreachable, attest.ErrRefused, channel.ErrPin} {
		if errors.Is(err, known) {
			return err
		}
	}
	if isDial(err) || q.again || q.method == http.MethodGet {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return fmt.Errorf("%w: %w", ErrUnknown, err)
}

func isDial(err error) bool {
	var d *dialError
	return errors.As(err, &d)
}

func verdictOf(err error) *attest.Verdict {
	var r *RefusedError
	if errors.As(err, &r) {
		return r.Verdict
	}
	return nil
}
