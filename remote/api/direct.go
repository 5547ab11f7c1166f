package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
)

// direct is the way to where a server keeps its blobs, past the server: it
// hands out requests that are signed already. Only ciphertext goes that way,
// and what comes is held against its name, so who answers there is believed
// nothing. When the way fails, the server itself is asked, and the client does
// not try again before its next login.
type direct struct {
	offered atomic.Bool
	http    *http.Client
}

func newDirect() *direct {
	return &direct{http: &http.Client{
		Timeout: callLimit,
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
			MaxConnsPerHost:       maxConns,
			MaxIdleConnsPerHost:   maxConns,
			IdleConnTimeout:       idleLimit,
			ResponseHeaderTimeout: 30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// send sends a presigned request with body, if it is one that a client should.
func (d *direct) send(ctx context.Context, addr string, p store.Presigned, want string, body []byte) (*http.Response, error) {
	if p.Method != want || !mayVisit(addr, p.URL) {
		return nil, fmt.Errorf("%w: %s to an address that is not https", ErrServer, p.Method)
	}
	r, err := http.NewRequestWithContext(ctx, p.Method, p.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for k, v := range p.Header {
		if low := strings.ToLower(k); low != "content-length" && !strings.HasPrefix(low, "x-amz-") {
			return nil, fmt.Errorf("%w: the header %.40q is none of a bucket", ErrServer, k)
		}
		r.Header.Set(k, v)
	}
	rsp, err := d.http.Do(r)
	if err != nil {
		return nil, err
	}
	if rsp.StatusCode != http.StatusOK {
		_ = rsp.Body.Close()
		return nil, fmt.Errorf("%w: the bucket answers %d", ErrUnreachable, rsp.StatusCode)
	}
	return rsp, nil
}

// mayVisit holds a server to https; one on this machine may name a bucket on
// this machine. Otherwise it could make its clients knock at their own doors.
func mayVisit(server, target string) bool {
	u, err := url.Parse(target)
	if err != nil || u.User != nil {
		return false
	}
	host, _, err := net.SplitHostPort(server)
	if local(u.Hostname()) {
		return err == nil && local(host)
	}
	return u.Scheme == "https"
}

func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}

func (p *Project) presign(ctx context.Context, i id.ID, what string, size int64) (r store.Presigned, err error) {
	q, err := request{method: http.MethodPost, path: p.path("blobs", i.String(), what), again: true}.asJSON(PresignRequest{Size: size})
	if err == nil {
		err = p.c.do(ctx, q, &r)
	}
	return r, err
}

// putDirect reports whether blob i went to the bucket. r is where it was when
// it did not.
func (p *Project) putDirect(ctx context.Context, i id.ID, n int64, r io.Reader) bool {
	seeker, ok := r.(io.Seeker)
	if !ok || n > MaxBlob || !p.c.direct.offered.Load() {
		return false
	}
	start, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		return false
	}
	body, err := store.Whole(ctx, i, n, MaxBlob, io.LimitReader(r, n))
	if err == nil {
		err = p.sendTo(ctx, i, body)
	}
	if err == nil {
		return true
	}
	if ctx.Err() == nil {
		p.c.direct.offered.Store(false)
	}
	_, _ = seeker.Seek(start, io.SeekStart) // a reader that cannot fails where it is read
	return false
}

func (p *Project) sendTo(ctx context.Context, i id.ID, body []byte) error {
	to, err := p.presign(ctx, i, "presign-put", int64(len(body)))
	if err != nil {
		return err
	}
	rsp, err := p.c.direct.send(ctx, p.c.cfg.Addr, to, http.MethodPut, body)
	if err != nil {
		return err
	}
	return rsp.Body.Close()
}

// getDirect is blob i as the bucket has it, nil when it cannot be had there.
func (p *Project) getDirect(ctx context.Context, i id.ID) io.ReadCloser {
	if !p.c.direct.offered.Load() {
		return nil
	}
	from, err := p.presign(ctx, i, "presign-get", 0)
	if err != nil {
		return nil
	}
	rsp, err := p.c.direct.send(ctx, p.c.cfg.Addr, from, http.MethodGet, nil)
	if err != nil {
		if ctx.Err() == nil {
			p.c.direct.offered.Store(false)
		}
		return nil
	}
	defer rsp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(rsp.Body, MaxBlob+1))
	if err != nil || id.Of(body) != i {
		return nil // the server may have a better copy, and says so if it has not
	}
	return io.NopCloser(bytes.NewReader(body))
}
