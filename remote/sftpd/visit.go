package sftpd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/pkg/sftp"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
)

// visit answers one person's requests.
type visit struct {
	d     *Door
	guest Guest
	files chan struct{} // that he has open
}

// parse takes a path apart: "/" has no project, a folder no blob.
func parse(path string) (pid, blob id.ID, depth int, err error) {
	parts := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	if len(parts) > 2 {
		return pid, blob, 0, os.ErrNotExist
	}
	for n, into := range []*id.ID{&pid, &blob}[:len(parts)] {
		if *into, err = id.Parse(parts[n]); err != nil {
			return pid, blob, 0, fmt.Errorf("%w: %w", os.ErrNotExist, err)
		}
	}
	return pid, blob, len(parts), nil
}

// answer turns an error into one that SFTP has a word for.
func answer(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrDenied):
		return sftp.ErrSSHFxPermissionDenied
	case errors.Is(err, store.ErrNotFound), errors.Is(err, os.ErrNotExist):
		return sftp.ErrSSHFxNoSuchFile
	case errors.Is(err, store.ErrMismatch):
		return errors.New("refused: these bytes are not what the name says")
	case errors.Is(err, store.ErrTooLarge):
		return errors.New("refused: larger than the server takes")
	case errors.Is(err, store.ErrCorrupt):
		return errors.New("the stored bytes are damaged")
	}
	return sftp.ErrSSHFxFailure
}

// open finds the blobs and the blob of a request.
func (v *visit) open(r *sftp.Request, write bool) (store.Blobs, id.ID, error) {
	pid, blob, depth, err := parse(r.Filepath)
	if err != nil {
		return nil, blob, err
	}
	if depth != 2 {
		return nil, blob, ErrDenied
	}
	b, err := v.d.house.Blobs(r.Context(), v.guest, pid, write)
	return b, blob, err
}

// take is a file that may be open; nil when there are too many.
func (v *visit) take() func() {
	select {
	case v.files <- struct{}{}:
	default:
		return nil
	}
	select {
	case v.d.files <- struct{}{}:
		return sync.OnceFunc(func() { <-v.d.files; <-v.files })
	default:
		<-v.files
		return nil
	}
}

var errCrowded = errors.New("too many files are open: try again")

// Fileread gives a blob, whole and checked before its first byte.
func (v *visit) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	b, i, err := v.open(r, false)
	if err != nil {
		return nil, answer(err)
	}
	free := v.take()
	if free == nil {
		return nil, errCrowded
	}
	body, err := readAll(r.Context(), b, i)
	if err != nil {
		free()
		return nil, answer(err)
	}
	return reading{bytes.NewReader(body), free}, nil
}

func readAll(ctx context.Context, b store.Blobs, i id.ID) (_ []byte, err error) {
	r, _, err := b.Get(ctx, i)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return io.ReadAll(r)
}

// reading is a blob that is being read.
type reading struct {
	*bytes.Reader
	free func()
}

// Close makes room for another file.
func (r reading) Close() error { r.free(); return nil }

// Filewrite takes a blob, and stores it when it is closed and is what its name
// says.
func (v *visit) Filewrite(r *sftp.Request) (io.WriterAt, error) {
	b, i, err := v.open(r, true)
	if err != nil {
		return nil, answer(err)
	}
	free := v.take()
	if free == nil {
		return nil, errCrowded
	}
	return &writing{v: v, b: b, id: i, ctx: r.Context(), free: free}, nil
}

// writing is a blob that is being written; its parts come in any order.
type writing struct {
	v    *visit
	b    store.Blobs
	id   id.ID
	ctx  context.Context
	free func()

	mu   sync.Mutex
	body []byte
	bad  error
}

// WriteAt keeps p.
func (w *writing) WriteAt(p []byte, off int64) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	end := off + int64(len(p))
	if off < 0 || end > w.v.d.max {
		w.bad = answer(store.ErrTooLarge)
		return 0, w.bad
	}
	if end > int64(len(w.body)) {
		w.body = append(w.body, make([]byte, end-int64(len(w.body)))...)
	}
	return copy(w.body[off:], p), nil
}

// TransferError is told when the connection broke.
func (w *writing) TransferError(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bad = err
}

// Close stores the blob. The connection's context may be over already when it
// is called, and then nothing is stored.
func (w *writing) Close() error {
	defer w.free()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bad != nil {
		return w.bad
	}
	err := w.b.Put(context.WithoutCancel(w.ctx), w.id, int64(len(w.body)), bytes.NewReader(w.body))
	w.body = nil
	return answer(err)
}

// Filecmd refuses everything that would change a file. Mode and times, which
// clients set after an upload, a blob has none of: that is passed over.
func (v *visit) Filecmd(r *sftp.Request) error {
	if r.Method == "Setstat" {
		_, _, err := v.open(r, true)
		return answer(err)
	}
	return sftp.ErrSSHFxOpUnsupported
}

// Filelist lists projects or blobs, or tells of one of them.
func (v *visit) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	pid, blob, depth, err := parse(r.Filepath)
	if err != nil {
		return nil, answer(err)
	}
	var l list
	switch {
	case r.Method == "List" && depth == 0:
		l, err = v.projects(r.Context())
	case r.Method == "List" && depth == 1:
		l, err = v.blobs(r.Context(), pid)
	case r.Method == "Stat" && depth == 0:
		l = list{entry{name: "/", dir: true}}
	case r.Method == "Stat" && depth == 1:
		_, err = v.d.house.Blobs(r.Context(), v.guest, pid, false)
		l = list{entry{name: pid.String(), dir: true}}
	case r.Method == "Stat":
		l, err = v.stat(r.Context(), pid, blob)
	default:
		return nil, sftp.ErrSSHFxOpUnsupported
	}
	if err != nil {
		return nil, answer(err)
	}
	return l, nil
}

func (v *visit) projects(ctx context.Context) (l list, err error) {
	all, err := v.d.house.Projects(ctx, v.guest)
	for _, pid := range all {
		l = append(l, entry{name: pid.String(), dir: true})
	}
	return l, err
}

func (v *visit) blobs(ctx context.Context, pid id.ID) (l list, err error) {
	b, err := v.d.house.Blobs(ctx, v.guest, pid, false)
	if err != nil {
		return nil, err
	}
	for info, err := range b.List(ctx) {
		if err != nil {
			return nil, err
		}
		l = append(l, entry{name: info.ID.String(), size: info.Size, at: info.At})
	}
	return l, nil
}

func (v *visit) stat(ctx context.Context, pid, blob id.ID) (list, error) {
	b, err := v.d.house.Blobs(ctx, v.guest, pid, false)
	if err != nil {
		return nil, err
	}
	r, size, err := b.Get(ctx, blob)
	if err != nil {
		return nil, err
	}
	return list{entry{name: blob.String(), size: size}}, r.Close()
}

// list is entries, given out in parts.
type list []fs.FileInfo

// ListAt copies entries from off on.
func (l list) ListAt(into []fs.FileInfo, off int64) (int, error) {
	if off >= int64(len(l)) {
		return 0, io.EOF
	}
	n := copy(into, l[off:])
	if n < len(into) {
		return n, io.EOF
	}
	return n, nil
}

// entry is a folder or a blob.
type entry struct {
	name string
	size int64
	at   time.Time
	dir  bool
}

// Name is the last part of its path.
func (e entry) Name() string { return e.name }

// Size is in bytes.
func (e entry) Size() int64 { return e.size }

// Mode says that nobody may change it here.
func (e entry) Mode() fs.FileMode {
	if e.dir {
		return fs.ModeDir | 0o500
	}
	return 0o400
}

// ModTime is when a blob was put.
func (e entry) ModTime() time.Time { return e.at }

// IsDir tells folders.
func (e entry) IsDir() bool { return e.dir }

// Sys is nothing.
func (e entry) Sys() any { return nil }
