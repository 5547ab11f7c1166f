// Package storetest is the one conformance suite of the store's engines: what
// passes here may stand below the server.
package storetest

import (
	"testing"
	"time"

	"cipherdeck/remote/store"
)

// Engines is what is tested; a nil part is skipped.
type Engines struct {
	Docs  store.Docs
	Queue store.Queue // whose leases last as long as was asked for
	Blobs store.Blobs // takes blobs of up to MaxBlob bytes, at least 4096

	MaxBlob int64
	// Reopen closes the engines and opens them on what they kept; nil for an
	// engine that keeps nothing.
	Reopen func(t *testing.T) Engines
	// Damage flips one bit of a stored blob, and Truncate cuts its last byte
	// off; nil when that is not possible.
	Damage   func(t *testing.T, name string)
	Truncate func(t *testing.T, name string)
}

// patience is how long a test waits for what must happen before it fails.
const patience = 30 * time.Second

// How long leases last: in tests that wait for their end, and in the others,
// where a slow disk must not end one.
const (
	short = 1500 * time.Millisecond
	long  = 10 * time.Minute
)

// Run runs the suite; open gives fresh, empty engines whose leases last for
// the given time.
func Run(t *testing.T, open func(t *testing.T, lease time.Duration) Engines) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Engines)
		has  func(Engines) bool
	}{
		{"docs/compare and swap", testCAS, hasDocs},
		{"docs/delete", testDelete, hasDocs},
		{"docs/keys", testKeys, hasDocs},
		{"docs/list", testList, hasDocs},
		{"docs/watch", testWatch, hasDocs},
		{"docs/watch resumed", testResume, hasDocs},
		{"docs/read after write", testFresh, hasDocs},
		{"docs/one winner", testRace, hasDocs},
		{"docs/cancelled", testCancelled, hasDocs},
		{"docs/kept", testDocsKept, hasDocs},
		{"queue/once", testOnce, hasQueue},
		{"queue/idempotent", testIdempotent, hasQueue},
		{"queue/expiry", testExpiry, hasQueue},
		{"queue/extend", testExtend, hasQueue},
		{"queue/retry", testRetry, hasQueue},
		{"queue/rest", testRest, hasQueue},
		{"queue/dead", testDead, hasQueue},
		{"queue/classes", testClasses, hasQueue},
		{"queue/many leases", testMany, hasQueue},
		{"queue/kept", testQueueKept, hasQueue},
		{"blobs/round trip", testBlob, hasBlobs},
		{"blobs/refused", testBlobRefused, hasBlobs},
		{"blobs/list", testBlobList, hasBlobs},
		{"blobs/damaged", testBlobDamaged, hasBlobs},
		{"blobs/truncated", testBlobTruncated, hasBlobs},
		{"blobs/concurrent", testBlobConcurrent, hasBlobs},
		{"blobs/kept", testBlobKept, hasBlobs},
	} {
		t.Run(c.name, func(t *testing.T) {
			lease := long
			if c.name == "queue/expiry" || c.name == "queue/extend" {
				lease = short
			}
			e := open(t, lease)
			if !c.has(e) {
				t.Skip("the engine does not have this part")
			}
			c.test(t, e)
		})
	}
}

func hasDocs(e Engines) bool  { return e.Docs != nil }
func hasQueue(e Engines) bool { return e.Queue != nil }
func hasBlobs(e Engines) bool { return e.Blobs != nil }
