package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
)

// Project is one project's place on the server.
type Project struct {
	c   *Client
	pid id.ID
}

// Project is the place of pid, which need not exist.
func (c *Client) Project(pid id.ID) *Project { return &Project{c: c, pid: pid} }

// ID is the id of the project.
func (p *Project) ID() id.ID { return p.pid }

func (p *Project) path(parts ...string) string {
	return "/v1/projects/" + p.pid.String() + "/" + strings.Join(parts, "/")
}

// Head is the newest signed link and its revision. key must be HeadKey.
func (p *Project) Head(ctx context.Context, key string) ([]byte, uint64, error) {
	if key != HeadKey {
		return nil, 0, fmt.Errorf("document %q: %w: a project has %q only", key, ErrNotFound, HeadKey)
	}
	ctx, cancel := limit(ctx, 0)
	defer cancel()
	rsp, err := p.c.send(ctx, request{method: http.MethodGet, path: p.path(HeadKey), again: true})
	if err != nil {
		return nil, 0, fmt.Errorf("head of %s: %w", p.pid.Short(), err)
	}
	var raw []byte
	if err := decode(rsp, &raw); err != nil {
		return nil, 0, fmt.Errorf("head of %s: %w", p.pid.Short(), err)
	}
	rev, err := strconv.ParseUint(strings.Trim(rsp.Header.Get("ETag"), `"`), 10, 64)
	if err != nil {
		return nil, 0, fmt.Errorf("head of %s: %w: no revision", p.pid.Short(), ErrServer)
	}
	return raw, rev, nil
}

// CAS makes body, a signed link whose blob is already there, the head if the
// revision is still prev. Errors: ErrConflict; ErrUnknown when the answer was
// lost, so that only reading the head tells.
func (p *Project) CAS(ctx context.Context, key string, body []byte, prev uint64) (uint64, error) {
	if key != HeadKey {
		return 0, fmt.Errorf("document %q: %w: a project has %q only", key, ErrNotFound, HeadKey)
	}
	var r RevReply
	err := p.c.do(ctx, request{method: http.MethodPut, path: p.path(HeadKey), body: body, typ: TypeCBOR, signed: true,
		header: map[string]string{"If-Match": `"` + strconv.FormatUint(prev, 10) + `"`}}, &r)
	return r.Rev, err
}

// Have says which blobs are there, in the order of ids.
func (p *Project) Have(ctx context.Context, ids []id.ID) ([]bool, error) {
	all := make([]bool, 0, len(ids))
	for len(ids) > 0 {
		n := min(len(ids), MaxHave)
		q, err := request{method: http.MethodPost, path: p.path("blobs", "have"), again: true}.asJSON(HaveRequest{IDs: ids[:n]})
		if err != nil {
			return nil, err
		}
		var r HaveReply
		if err := p.c.do(ctx, q, &r); err != nil {
			return nil, err
		}
		if len(r.Have) != n {
			return nil, fmt.Errorf("have: %w: %d answers to %d questions", ErrServer, len(r.Have), n)
		}
		all, ids = append(all, r.Have...), ids[n:]
	}
	return all, nil
}

// PutBlob stores the n bytes of r, whose SHA-256 is i. It may be repeated; the
// client does so by itself when r can seek.
func (p *Project) PutBlob(ctx context.Context, i id.ID, n int64, r io.Reader) error {
	if p.putDirect(ctx, i, n, r) {
		return nil
	}
	seeker, again := r.(io.Seeker)
	src := &touched{Reader: io.LimitReader(r, n)}
	start := int64(0)
	if again {
		var err error
		if start, err = seeker.Seek(0, io.SeekCurrent); err != nil {
			again = false
		}
	}
	return p.c.do(ctx, request{method: http.MethodPut, path: p.path("blobs", i.String()), size: n, typ: TypeBytes, again: again,
		stream: func() (io.Reader, error) {
			switch {
			case !src.read.Load():
			case !again:
				return nil, fmt.Errorf("blob %s: %w: it cannot be sent twice", i, ErrUnreachable)
			default:
				if _, err := seeker.Seek(start, io.SeekStart); err != nil {
					return nil, err
				}
				src = &touched{Reader: io.LimitReader(r, n)}
			}
			return src, nil
		}}, nil)
}

// touched remembers whether anything was read of it.
type touched struct {
	io.Reader
	read atomic.Bool
}

// Read reads on.
func (t *touched) Read(p []byte) (int, error) {
	t.read.Store(true)
	return t.Reader.Read(p)
}

// GetBlob opens n bytes of blob i from off; n < 0 means to its end. When that
// is the whole blob its hash is checked, and the last byte comes only if it is
// right: a damaged one ends with ErrDamaged. A part cannot be checked.
func (p *Project) GetBlob(ctx context.Context, i id.ID, off, n int64) (io.ReadCloser, error) {
	if off < 0 {
		return nil, fmt.Errorf("blob %s: %w: offset %d", i, ErrInvalid, off)
	}
	if off == 0 && n < 0 {
		if body := p.getDirect(ctx, i); body != nil {
			return body, nil
		}
	}
	ctx, cancel := limit(ctx, 0)
	v := url.Values{}
	if off != 0 || n >= 0 {
		v.Set("off", strconv.FormatInt(off, 10))
		v.Set("n", strconv.FormatInt(n, 10))
	}
	rsp, err := p.c.send(ctx, request{method: http.MethodGet, path: withQuery(p.path("blobs", i.String()), v), again: true})
	if err == nil && rsp.StatusCode != http.StatusOK {
		err = decode(rsp, nil)
	}
	if err == nil && rsp.ContentLength < 0 {
		err = errors.Join(fmt.Errorf("%w: no length", ErrServer), rsp.Body.Close())
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("blob %s: %w", i, err)
	}
	b := &blob{cut: &broken{r: rsp.Body}, body: rsp.Body, cancel: cancel}
	b.Reader = b.cut
	if off == 0 && n < 0 {
		b.Reader = store.Verify(b.cut, i, rsp.ContentLength)
	}
	return b, nil
}

// blob is the body of an answer whose context must outlive GetBlob.
type blob struct {
	io.Reader
	cut    *broken
	body   io.Closer
	cancel context.CancelFunc
}

// Read reads on; a transfer that breaks off is ErrUnreachable.
func (b *blob) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && err != io.EOF && (b.cut.err != nil || !errors.Is(err, ErrDamaged)) {
		err = fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return n, err
}

// broken remembers that the transfer itself failed, which looks like damage to
// whoever checks the hash of what came.
type broken struct {
	r   io.Reader
	err error
}

// Read passes everything on.
func (b *broken) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// Close ends the transfer.
func (b *blob) Close() error {
	defer b.cancel()
	return b.body.Close()
}

// SubmitJob hands in a signed job.JobDoc; its blobs must be there already. The
// job's id is that of the document, so it may be repeated.
func (p *Project) SubmitJob(ctx context.Context, raw []byte) (id.ID, error) {
	var r JobReply
	if err := p.c.do(ctx, request{method: http.MethodPost, path: p.path("jobs"), body: raw, typ: TypeCBOR, signed: true, again: true}, &r); err != nil {
		return id.ID{}, err
	}
	if want := id.Of(raw); r.Job != want {
		return id.ID{}, fmt.Errorf("submit job: %w: named %s, want %s", ErrServer, r.Job, want)
	}
	return r.Job, nil
}

// Job is the status of job i. With a wait it answers when the status is newer
// than revision after, or when the time is over.
func (p *Project) Job(ctx context.Context, i id.ID, wait time.Duration, after uint64) (JobStatus, error) {
	v := url.Values{}
	if wait > 0 {
		v.Set("wait", wait.String())
		v.Set("after", strconv.FormatUint(after, 10))
	}
	var s JobStatus
	err := p.c.do(ctx, request{method: http.MethodGet, path: withQuery(p.path("jobs", i.String()), v), again: true, wait: wait}, &s)
	return s, err
}

// maxPages bounds how many answers of a server one list is made of.
const maxPages = 64

// Jobs are the jobs of the project, newest first, without their results.
func (p *Project) Jobs(ctx context.Context) ([]JobStatus, error) {
	all := []JobStatus{}
	v := url.Values{}
	for range maxPages {
		var r JobsReply
		err := p.c.do(ctx, request{method: http.MethodGet, path: withQuery(p.path("jobs"), v), again: true}, &r)
		if err != nil {
			return nil, err
		}
		all = append(all, r.Jobs...)
		if !r.More || len(r.Jobs) == 0 {
			return all, nil
		}
		v.Set("past", r.Jobs[len(r.Jobs)-1].ID.String())
	}
	return nil, fmt.Errorf("jobs of %s: %w: more than %d pages", p.pid.Short(), ErrServer, maxPages)
}

func withQuery(path string, v url.Values) string {
	if len(v) == 0 {
		return path
	}
	return path + "?" + v.Encode()
}
