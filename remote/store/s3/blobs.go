// Package s3 keeps blobs as objects of a bucket, PREFIX/<64 hex digits>, of
// any server that speaks S3 with path-style addresses and Signature Version 4.
//
// The server of the bucket is believed nothing: what it returns is checked
// against its name, and it is sent nothing that was not checked before. A blob
// goes as one PUT with the SHA-256 that the server must check; at 16 MiB at
// most, parts would be of no use.
//
// A client may be handed a presigned request, so that ciphertext moves between
// it and the bucket alone: see Presign.
package s3

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
)

// ErrEndpoint is wrapped for an address that no bucket can have.
var ErrEndpoint = errors.New("not an S3 address: want https://HOST, or http:// on this machine, and a bucket of 3 to 63 characters a-z 0-9 . -")

// Bucket is a bucket and how to speak to it.
type Bucket struct {
	base *url.URL
	keys Keys
	http *http.Client
	now  func() time.Time
}

// Open prepares to use a bucket that exists; it sends nothing.
func Open(endpoint, bucket string, keys Keys, now func() time.Time) (*Bucket, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.Scheme != "https" && (u.Scheme != "http" || !isLocal(u.Hostname())) || !validBucket(bucket) {
		return nil, fmt.Errorf("%w: bucket %q", ErrEndpoint, bucket) // the address may hold a password
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/" + bucket
	if keys.Region == "" {
		keys.Region = "us-east-1"
	}
	return &Bucket{base: u, keys: keys, now: now, http: &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
			MaxIdleConnsPerHost:   parallel,
			IdleConnTimeout:       time.Minute,
			ResponseHeaderTimeout: time.Minute,
		},
		// A signature is for one address: who is sent elsewhere takes nothing along.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func validBucket(s string) bool {
	return len(s) >= 3 && len(s) <= 63 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}

// Blobs is the objects of a bucket below one prefix.
type Blobs struct {
	b      *Bucket
	prefix string // "" or ends with "/"
	max    int64
}

var (
	_ store.Blobs     = (*Blobs)(nil)
	_ store.Presigner = (*Blobs)(nil)
)

// Blobs is the blobs below prefix, of at most max bytes each.
func (b *Bucket) Blobs(prefix string, max int64) *Blobs {
	if prefix != "" {
		prefix = strings.Trim(prefix, "/") + "/"
	}
	return &Blobs{b, prefix, max}
}

// parallel is how many objects Has asks for at a time.
const parallel = 16

// Has says which ids are there. It does not read them.
func (s *Blobs) Has(ctx context.Context, ids []id.ID) ([]bool, error) {
	return store.HasEach(ids, parallel, func(i id.ID) error {
		rsp, err := s.b.send(ctx, http.MethodHead, s.key(i), nil, nil, nil)
		if err != nil {
			return err
		}
		return rsp.Body.Close()
	})
}

// Put reads exactly size bytes named i, checks them, and sends them. A blob
// that is there already is written again, which heals it.
func (s *Blobs) Put(ctx context.Context, i id.ID, size int64, r io.Reader) error {
	body, err := store.Whole(ctx, i, size, s.max, r)
	if err != nil {
		return err
	}
	rsp, err := s.b.send(ctx, http.MethodPut, s.key(i), nil, map[string]string{checksum: checksumOf(i)}, body)
	if err != nil {
		return fmt.Errorf("blob %s: %w", i, err)
	}
	return rsp.Body.Close()
}

// Get opens the blob; its last byte comes only if the whole of it is right.
func (s *Blobs) Get(ctx context.Context, i id.ID) (io.ReadCloser, int64, error) {
	rsp, err := s.b.send(ctx, http.MethodGet, s.key(i), nil, nil, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("blob %s: %w", i, err)
	}
	if rsp.ContentLength < 0 {
		return nil, 0, errors.Join(fmt.Errorf("blob %s: %w: the bucket does not say how long it is", i, store.ErrUnavailable), rsp.Body.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{store.Verify(rsp.Body, i, rsp.ContentLength), rsp.Body}, rsp.ContentLength, nil
}

// Delete removes the blob.
func (s *Blobs) Delete(ctx context.Context, i id.ID) error {
	rsp, err := s.b.send(ctx, http.MethodDelete, s.key(i), nil, nil, nil)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("blob %s: %w", i, err)
	}
	return rsp.Body.Close()
}

func (s *Blobs) key(i id.ID) string { return "/" + s.prefix + hex.EncodeToString(i[:]) }

// checksum is the header in which the server is told what it must check.
const checksum = "X-Amz-Checksum-Sha256"

func checksumOf(i id.ID) string { return base64.StdEncoding.EncodeToString(i[:]) }

// tries is how often a request is sent before the bucket counts as away; all
// requests here may be repeated.
const tries = 3

// send is one good answer. Errors: store.ErrNotFound, ErrMismatch, ErrUnavailable.
func (b *Bucket) send(ctx context.Context, method, key string, q url.Values, header map[string]string, body []byte) (*http.Response, error) {
	for try := 1; ; try++ {
		rsp, err := b.once(ctx, method, key, q, header, body)
		if err == nil || try == tries || ctx.Err() != nil || !errors.Is(err, store.ErrUnavailable) || errors.Is(err, errRefused) {
			return rsp, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", err, ctx.Err())
		case <-time.After(time.Duration(try*try) * 100 * time.Millisecond):
		}
	}
}

func (b *Bucket) once(ctx context.Context, method, key string, q url.Values, header map[string]string, body []byte) (*http.Response, error) {
	r, err := b.request(ctx, method, key, header, body)
	if err != nil {
		return nil, err
	}
	r.URL.RawQuery = query(q)
	hash := id.Of(body)
	b.keys.sign(r, hex.EncodeToString(hash[:]), b.now())
	rsp, err := b.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	if rsp.StatusCode < 300 {
		return rsp, nil
	}
	return nil, refusal(rsp)
}

func (b *Bucket) request(ctx context.Context, method, key string, header map[string]string, body []byte) (*http.Request, error) {
	u := *b.base
	u.Path += key
	r, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	return r, nil
}

// errRefused says that the bucket's server will say the same again.
var errRefused = errors.New("refused")
