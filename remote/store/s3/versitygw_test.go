package s3_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
	"cipherdeck/remote/store/s3"
	"cipherdeck/remote/store/s3/s3test"
	"cipherdeck/remote/store/storetest"
)

const (
	limit  = 1 << 20
	bucket = s3test.Bucket
)

// gateway is a real S3 server and the keys for it.
type gateway struct {
	*s3test.Gateway
	keys s3.Keys
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	return &gateway{s3test.New(t), s3.Keys{Access: s3test.Access, Secret: s3test.Secret}}
}

func (g *gateway) blobs(t *testing.T, keys s3.Keys) *s3.Blobs {
	t.Helper()
	b, err := s3.Open(g.Endpoint, bucket, keys, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return b.Blobs("a project", limit)
}

func (g *gateway) open(t *testing.T) storetest.Engines {
	return storetest.Engines{
		Blobs: g.blobs(t, g.keys), MaxBlob: limit, Reopen: g.open,
		Damage: func(t *testing.T, name string) {
			g.change(t, name, func(b []byte) []byte { b[0] ^= 1; return b })
		},
		Truncate: func(t *testing.T, name string) {
			g.change(t, name, func(b []byte) []byte { return b[:len(b)-1] })
		},
	}
}

func (g *gateway) change(t *testing.T, name string, how func([]byte) []byte) {
	i, err := id.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(g.Dir, bucket, "a project", hex.EncodeToString(i[:]))
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, how(body), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T, _ time.Duration) storetest.Engines { return newGateway(t).open(t) })
}

// TestPages lists more objects than one answer holds.
func TestPages(t *testing.T) {
	b := newGateway(t)
	blobs := b.blobs(t, b.keys)
	const many = 1100
	for n := range many {
		body := fmt.Append(nil, n)
		if err := blobs.Put(t.Context(), id.Of(body), int64(len(body)), bytes.NewReader(body)); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[id.ID]bool{}
	for info, err := range blobs.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		seen[info.ID] = true
	}
	if len(seen) != many {
		t.Errorf("list has %d, want %d", len(seen), many)
	}
}

func TestAnotherKey(t *testing.T) {
	g := newGateway(t)
	b := g.blobs(t, s3.Keys{Access: g.keys.Access, Secret: "another"})
	if err := b.Put(t.Context(), id.Of(nil), 0, bytes.NewReader(nil)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("put with another key: %v", err)
	}
}

// TestPresigned shows what the holder of a presigned request can do without a
// key: send the blob that it names, and nothing else.
func TestPresigned(t *testing.T) {
	g := newGateway(t)
	blobs := g.blobs(t, g.keys)
	body := []byte("ciphertext")
	i := id.Of(body)
	put, err := blobs.Presign(i, true, int64(len(body)), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := send(t, put, []byte("ciphertexT")); code < 400 {
		t.Errorf("other bytes of the same length: %d", code)
	}
	if code, _ := send(t, put, []byte("longer ciphertext")); code < 400 {
		t.Errorf("other bytes of another length: %d", code)
	}
	bare := put
	bare.Header = nil
	if code, _ := send(t, bare, body); code < 400 {
		t.Errorf("without the header of the hash: %d", code)
	}
	other := put
	other.URL = strings.Replace(put.URL, hex.EncodeToString(i[:]), strings.Repeat("0", 64), 1)
	if code, _ := send(t, other, body); code < 400 {
		t.Errorf("under another name: %d", code)
	}
	if has, err := blobs.Has(t.Context(), []id.ID{i}); err != nil || has[0] {
		t.Fatalf("after refused uploads: %v, %v", has, err)
	}
	if code, said := send(t, put, body); code != http.StatusOK {
		t.Fatalf("put: %d %s", code, said)
	}
	get, err := blobs.Presign(i, false, 0, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if code, got := send(t, get, nil); code != http.StatusOK || got != string(body) {
		t.Errorf("get: %d %q", code, got)
	}
	past, err := s3.Open(g.Endpoint, bucket, g.keys, func() time.Time { return time.Now().Add(-2 * time.Hour) })
	if err != nil {
		t.Fatal(err)
	}
	old, err := past.Blobs("a project", limit).Presign(i, false, 0, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := send(t, old, nil); code < 400 {
		t.Errorf("an hour too late: %d", code)
	}
}

func send(t *testing.T, p store.Presigned, body []byte) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), p.Method, p.URL, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range p.Header {
		r.Header.Set(k, v)
	}
	rsp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	said, err := io.ReadAll(rsp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return rsp.StatusCode, string(said)
}

func TestEndpoint(t *testing.T) {
	for _, c := range []struct{ endpoint, bucket string }{
		{"", bucket}, {"host", bucket}, {"http://far.example", bucket}, {"https://key:secret@host", bucket},
		{"https://host?x=1", bucket}, {"ftp://host", bucket}, {"https://host", "ab"}, {"https://host", "Has/Slash"},
	} {
		if _, err := s3.Open(c.endpoint, c.bucket, s3.Keys{}, time.Now); !errors.Is(err, s3.ErrEndpoint) {
			t.Errorf("%q, %q: %v", c.endpoint, c.bucket, err)
		}
	}
}
