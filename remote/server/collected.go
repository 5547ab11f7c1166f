package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
	"cipherdeck/remote/journal"
	"cipherdeck/remote/store"
)

// maxCollected is how many ids one document of deletions has, so that it is
// well below what the journal takes.
const maxCollected = 16 << 10

// collected is what a collection deletes. Nobody signs it: its leaf is in the
// tree that the server signs.
type collected struct {
	V       uint8   `cbor:"1,keyasint"`
	Project id.ID   `cbor:"2,keyasint"`
	Live    id.ID   `cbor:"3,keyasint"` // the hash of the owner's signed word for it
	Time    int64   `cbor:"4,keyasint"` // Unix milliseconds
	Blobs   []id.ID `cbor:"5,keyasint"` // ascending
}

// collected writes into the journal what will be deleted now.
func (s *Server) collected(ctx context.Context, pid, live id.ID, now time.Time, ids []id.ID) error {
	slices.SortFunc(ids, id.Compare)
	body, err := doc.Encode(collected{V: 1, Project: pid, Live: live, Time: now.UnixMilli(), Blobs: ids})
	if err != nil {
		return err
	}
	if _, err := s.journal.Record(ctx, journal.Entry{Action: tlog.ActCollected, Object: projectTag(pid), Body: body}); err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return nil
}

func liveEntry(l chain.Live, raw []byte) journal.Entry {
	return journal.Entry{Action: tlog.ActLive, Object: projectTag(l.Project), Body: raw, Actor: l.Author[:], Seq: l.Seq}
}
