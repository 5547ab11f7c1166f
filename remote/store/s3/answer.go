package s3

import (
	"context"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
)

// maxXML bounds an answer that is no blob.
const maxXML = 4 << 20

// refusal is the error of an answer that is none of success.
func refusal(rsp *http.Response) error {
	var e struct{ Code, Message string }
	_ = xml.NewDecoder(io.LimitReader(rsp.Body, maxXML)).Decode(&e) // HEAD has no body
	_ = rsp.Body.Close()
	said := fmt.Sprintf("the bucket answers %d %.60q", rsp.StatusCode, e.Code)
	switch {
	case e.Code == "NoSuchBucket":
		return fmt.Errorf("%w: %w: %s", store.ErrUnavailable, errRefused, said)
	case rsp.StatusCode == http.StatusNotFound:
		return store.ErrNotFound
	case e.Code == "BadDigest" || e.Code == "XAmzContentSHA256Mismatch" || e.Code == "InvalidDigest":
		return fmt.Errorf("%w: %s", store.ErrMismatch, said)
	case rsp.StatusCode >= 500 || rsp.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("%w: %s", store.ErrUnavailable, said)
	}
	return fmt.Errorf("%w: %w: %s", store.ErrUnavailable, errRefused, said)
}

// page is one answer of ListObjectsV2.
type page struct {
	IsTruncated           bool
	NextContinuationToken string
	Contents              []struct {
		Key          string
		Size         int64
		LastModified time.Time
	}
}

// List asks for page after page. What is not named like a blob is none.
func (s *Blobs) List(ctx context.Context) iter.Seq2[store.BlobInfo, error] {
	return func(yield func(store.BlobInfo, error) bool) {
		q := url.Values{"list-type": {"2"}, "prefix": {s.prefix}}
		for {
			p, err := s.b.page(ctx, q)
			if err != nil {
				yield(store.BlobInfo{}, fmt.Errorf("list blobs: %w", err))
				return
			}
			for _, o := range p.Contents {
				var i id.ID
				name := strings.TrimPrefix(o.Key, s.prefix)
				if len(name) != 2*len(i) {
					continue
				}
				if _, err := hex.Decode(i[:], []byte(name)); err != nil {
					continue
				}
				if !yield(store.BlobInfo{ID: i, Size: o.Size, At: o.LastModified}, nil) {
					return
				}
			}
			if !p.IsTruncated || p.NextContinuationToken == "" || p.NextContinuationToken == q.Get("continuation-token") {
				return
			}
			q.Set("continuation-token", p.NextContinuationToken)
		}
	}
}

func (b *Bucket) page(ctx context.Context, q url.Values) (p page, err error) {
	rsp, err := b.send(ctx, http.MethodGet, "", q, nil, nil)
	if err != nil {
		return p, err
	}
	if err := xml.NewDecoder(io.LimitReader(rsp.Body, maxXML)).Decode(&p); err != nil {
		err = fmt.Errorf("%w: its list is not XML: %w", store.ErrUnavailable, err)
		return p, errors.Join(err, rsp.Body.Close())
	}
	return p, rsp.Body.Close()
}

// Presign is one request that its holder may send to the bucket without any
// key until life is over: to read blob i, or to put the size bytes of that
// name and no others, since the hash and the length are part of what is signed.
func (s *Blobs) Presign(i id.ID, put bool, size int64, life time.Duration) (store.Presigned, error) {
	method, header := http.MethodGet, map[string]string(nil)
	if put {
		if size < 0 || size > s.max {
			return store.Presigned{}, fmt.Errorf("blob %s: %w: %d bytes, limit %d", i, store.ErrTooLarge, size, s.max)
		}
		method, header = http.MethodPut, map[string]string{checksum: checksumOf(i), "Content-Length": fmt.Sprint(size)}
	}
	r, err := s.b.request(context.Background(), method, s.key(i), header, nil)
	if err != nil {
		return store.Presigned{}, err
	}
	s.b.keys.presign(r, life, s.b.now())
	return store.Presigned{Method: method, URL: r.URL.String(), Header: header}, nil
}
