// Package store is what a server keeps and knows nothing of: documents with a
// revision, a queue of work, and blobs of ciphertext named by their hash.
//
// Three small interfaces, one conformance suite, several engines below this
// package. A document is durable when Put returns nil: an engine that
// acknowledges before the bytes are on disk is not an engine.
package store

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"cipherdeck/crypto/id"
)

// Rev is the revision of one document; 0 means that it does not exist.
type Rev uint64

// Doc is one stored document.
type Doc struct {
	Key  string // segments of [A-Za-z0-9_-] joined by "/"
	Rev  Rev
	Body []byte
	Gone bool // only in Watch: it was deleted, and Rev is the revision of that
}

// The errors of every engine. ErrUnknown means that the outcome of a write is
// not known: read again before you retry.
var (
	ErrConflict    = errors.New("document changed meanwhile")
	ErrNotFound    = errors.New("not found")
	ErrUnavailable = errors.New("store unavailable")
	ErrUnknown     = errors.New("outcome of the write is not known")
	ErrCorrupt     = errors.New("stored bytes are damaged")
	ErrLease       = errors.New("lease is not held any more")
	ErrKey         = errors.New("not a key: want segments of A-Z a-z 0-9 _ - joined by /")
	ErrMismatch    = errors.New("bytes do not match their name or length")
	ErrTooLarge    = errors.New("larger than the store takes")
	ErrRewound     = errors.New("the store has not come to this revision: it is an older copy of itself")
)

// Docs is compare-and-swap documents. A prefix is whole segments ("jobs" or
// "jobs/") and means the documents below it; "" means all. A revision is never
// used twice, so a document made again after its deletion has a new one.
type Docs interface {
	Get(ctx context.Context, key string) (Doc, error)                        // linearizable; ErrNotFound
	Put(ctx context.Context, key string, body []byte, prev Rev) (Rev, error) // ErrConflict; durable on nil
	Delete(ctx context.Context, key string, prev Rev) error                  // ErrConflict; ErrNotFound
	List(ctx context.Context, prefix string) iter.Seq2[Doc, error]           // in the order of keys
	// Watch yields each document that changed after a revision, as it is now, and then every change until ctx
	// ends. After 0 that is all there are. Of a document that changed several times before the watch began it
	// may yield the last change only; a deletion is remembered for MarkerLife. ErrRewound when after has not
	// been reached.
	Watch(ctx context.Context, prefix string, after Rev) iter.Seq2[Doc, error]
}

// MarkerLife is for how long a watcher that comes back is told of a deletion.
// Who was away longer watches from 0.
const MarkerLife = time.Hour

// Lease is the right to work on one job until a time.
type Lease struct {
	Job     string
	Token   string // opaque; shows that the caller holds the lease
	Until   time.Time
	Attempt int // 1 for the first
}

// Queue hands out work, at least once: a lease that is not extended goes to
// another worker, and from then on the first worker's calls fail with ErrLease.
type Queue interface {
	Enqueue(ctx context.Context, class, job string) error                       // idempotent while the job waits or is leased
	Lease(ctx context.Context, class string, wait time.Duration) (Lease, error) // ErrNotFound when none came
	Extend(ctx context.Context, l Lease) (Lease, error)
	Done(ctx context.Context, l Lease) error
	Retry(ctx context.Context, l Lease, after time.Duration, why string) error // gives the job back, to be leased not before after
	Bury(ctx context.Context, l Lease, why string) error                       // gives the job up; Enqueue makes it a new one
	Dead(ctx context.Context, class string) iter.Seq2[DeadJob, error]          // what was given up, in the order of names
}

// DeadJob is a job that was given up. When is for the caller to say: the
// attempts are in the lease.
type DeadJob struct {
	Job     string
	Attempt int
	Why     string
}

// BlobInfo is one blob of a list. At is when it was put last, and zero in a
// store that does not note it.
type BlobInfo struct {
	ID   id.ID
	Size int64
	At   time.Time
}

// Blobs keeps bytes under their SHA-256. Put verifies while it writes and is
// idempotent; Get of a damaged blob fails with ErrCorrupt by its last byte.
//
// There is no reading of a part: a hash proves a whole only, and blobs are
// small (a piece is a little more than 1 MiB). Who needs a part reads up to it.
type Blobs interface {
	Has(ctx context.Context, ids []id.ID) ([]bool, error)
	Put(ctx context.Context, i id.ID, size int64, r io.Reader) error // ErrMismatch, ErrTooLarge; heals a damaged blob
	Get(ctx context.Context, i id.ID) (io.ReadCloser, int64, error)  // ErrNotFound
	Delete(ctx context.Context, i id.ID) error                       // nil when it is not there
	List(ctx context.Context) iter.Seq2[BlobInfo, error]             // in no order; reads none; ends after an error
}

// Presigned is a request to where the blobs are, which whoever holds it may
// send without a key of his own.
type Presigned struct {
	Method string            `json:"method"`
	URL    string            `json:"url"`
	Header map[string]string `json:"header,omitempty"` // each must be sent as it is
}

// Presigner is Blobs that let a client come to them directly. What it put is
// there when Has says so.
type Presigner interface {
	Presign(i id.ID, put bool, size int64, life time.Duration) (Presigned, error)
}
