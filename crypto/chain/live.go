package chain

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// LiveType is the type of the document in which an owner says which blobs of a
// project are needed.
const LiveType = "project/live"

// Bounds of a Live.
const (
	MaxLive      = 16 << 10        // bytes, signed
	MaxLiveLists = 128             // blobs of ids
	MaxLiveList  = 32 * (96 << 10) // bytes of one of them
	LiveSkew     = 15 * time.Minute
)

// ErrLive is wrapped for a list of needed blobs that must not be acted on.
var ErrLive = errors.New("the list of needed blobs is not one to collect by")

// Live says which blobs a project needs as it stands at one head. The server
// cannot know: what the pieces of the items are is encrypted in the index.
type Live struct {
	V       uint8   `cbor:"1,keyasint"`
	Project id.ID   `cbor:"2,keyasint"`
	Seq     uint64  `cbor:"3,keyasint"`
	Head    id.ID   `cbor:"4,keyasint"` // at which this is what is needed
	Author  UID     `cbor:"5,keyasint"` // an owner at that head
	Time    int64   `cbor:"6,keyasint"` // Unix milliseconds
	Count   uint64  `cbor:"7,keyasint"` // ids in all lists together
	Lists   []id.ID `cbor:"8,keyasint"` // blobs of ids, 32 bytes each, ascending through all of them
}

// SignLive says that at the head of s the project needs the count ids of lists.
func (s *State) SignLive(lists []id.ID, count int, author UID, device ed25519.PrivateKey, now time.Time) ([]byte, error) {
	if len(lists) > MaxLiveLists {
		return nil, fmt.Errorf("%w: %d lists, limit %d", ErrLive, len(lists), MaxLiveLists)
	}
	return doc.Sign(LiveType, Live{V: 1, Project: s.Project, Seq: s.Seq, Head: s.Head, Author: author,
		Time: now.UnixMilli(), Count: uint64(count), Lists: append([]id.ID{}, lists...)}, device)
}

// OpenLive verifies a Live: that an owner signed it, for just this head, just
// now. One for an older head would miss what was added since.
func (s *State) OpenLive(raw []byte, now time.Time) (Live, error) {
	var l Live
	keys := func(k doc.KeyID, body []byte) (crypto.PublicKey, error) {
		if err := doc.Decode(body, &l); err != nil {
			return nil, err
		}
		m, ok := s.Members[l.Author]
		if !ok || !m.Role.Allows(OpOwn) {
			return nil, fmt.Errorf("%w: %s is not an owner", ErrRight, l.Author.Short())
		}
		return m.Account.Keys()(k, nil)
	}
	if _, _, err := doc.Open(raw, LiveType, MaxLive, keys); err != nil {
		return l, fmt.Errorf("%w: %w", ErrLive, err)
	}
	at := time.UnixMilli(l.Time)
	switch {
	case l.V != 1:
		return l, fmt.Errorf("%w: version %d, want 1", ErrLive, l.V)
	case l.Project != s.Project:
		return l, fmt.Errorf("%w: it is of project %s", ErrLive, l.Project.Short())
	case l.Seq != s.Seq || l.Head != s.Head:
		return l, fmt.Errorf("%w: it is of link %d, the head is link %d", ErrOrder, l.Seq, s.Seq)
	case at.Before(now.Add(-LiveSkew)) || at.After(now.Add(LiveSkew)):
		return l, fmt.Errorf("%w: it is of %s", ErrLive, at.UTC().Format(time.RFC3339))
	case len(l.Lists) > MaxLiveLists:
		return l, fmt.Errorf("%w: %d lists, limit %d", ErrLive, len(l.Lists), MaxLiveLists)
	}
	return l, nil
}

// LiveLists packs ids, which must be ascending and without doubles, into the
// blobs that a Live names.
func LiveLists(ids []id.ID) [][]byte {
	var out [][]byte
	for len(ids) > 0 {
		n := min(len(ids), MaxLiveList/id.Size)
		b := make([]byte, 0, n*id.Size)
		for _, i := range ids[:n] {
			b = append(b, i[:]...)
		}
		out, ids = append(out, b), ids[n:]
	}
	return out
}

// ReadLive gives the ids of a blob that a Live names to yield, each of which
// must be above last; it returns the highest.
func ReadLive(blob []byte, last id.ID, yield func(id.ID)) (id.ID, error) {
	if len(blob)%id.Size != 0 {
		return last, fmt.Errorf("%w: a list of %d bytes", ErrLive, len(blob))
	}
	for ; len(blob) > 0; blob = blob[id.Size:] {
		i := id.ID(blob[:id.Size])
		if id.Compare(last, i) >= 0 {
			return last, fmt.Errorf("%w: its ids do not ascend", ErrLive)
		}
		yield(i)
		last = i
	}
	return last, nil
}
