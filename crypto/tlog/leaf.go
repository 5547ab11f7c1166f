package tlog

import (
	"crypto/sha256"
	"fmt"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// MaxLeaf bounds a leaf in bytes.
const MaxLeaf = 1 << 10

// The actions that put a signed document into the journal. Others are events,
// which name no document.
const (
	ActAccount     = "account"      // an account genesis
	ActAccountLink = "account-link" // a later link of an account chain
	ActProject     = "project"      // a project genesis
	ActLink        = "link"         // a later link of a project
	ActJob         = "job"
	ActResult      = "result"
	ActCheck       = "check"     // a check value of a typed secret
	ActLive        = "live"      // an owner's word for which blobs of a project are needed
	ActManifest    = "manifest"  // the golden manifest that a server shows
	ActCollected   = "collected" // which blobs of a project were deleted by it; not signed
)

// Leaf is one entry of a server's journal: what was accepted, not by whom and
// from where. Object and Doc are tags: whoever knows the account, the project
// or the document finds its entries, and nobody else learns which it was.
type Leaf struct {
	V      uint8  `cbor:"1,keyasint"`
	Time   int64  `cbor:"2,keyasint"` // Unix milliseconds, the server's clock
	Action string `cbor:"3,keyasint"`
	Object id.ID  `cbor:"4,keyasint"` // Tag of what it is about
	Doc    id.ID  `cbor:"5,keyasint"` // DocTag of the signed document; zero for an event
	Actor  []byte `cbor:"6,keyasint"` // 16 bytes under the server's salt; empty: the server itself
	Seq    uint64 `cbor:"7,keyasint"` // of a link; 0 for what has no sequence
}

// The kinds of object.
const (
	KindAccount = "account" // 20 bytes of user id
	KindProject = "project" // 32 bytes of id
	KindJob     = "job"     // project and job, 64 bytes
	KindCheck   = "check"   // the name of a check value, 32 bytes
	KindEvent   = "event"   // what an event is about, when it is none of these
	kindDoc     = "doc"
)

// Tag hides which object an entry is about from who does not know it: ids are
// too long to be guessed.
func Tag(kind string, name []byte) id.ID {
	return sha256.Sum256(doc.LP([]byte("cipherdeck/journal/v1"), []byte(kind), name))
}

// DocTag hides a document in the same way: the hash alone would tell the user
// id of an account.
func DocTag(raw []byte) id.ID {
	name := id.Of(raw)
	return Tag(kindDoc, name[:])
}

// Encode writes a leaf.
func (l Leaf) Encode() ([]byte, error) {
	raw, err := doc.Encode(l)
	if err != nil {
		return nil, err
	}
	return raw, l.check(len(raw))
}

// OpenLeaf reads a leaf. Errors wrap ErrLeaf.
func OpenLeaf(raw []byte) (l Leaf, err error) {
	if len(raw) > MaxLeaf {
		return l, l.check(len(raw))
	}
	if err := doc.Decode(raw, &l); err != nil {
		return Leaf{}, fmt.Errorf("%w: %w", ErrLeaf, err)
	}
	return l, l.check(len(raw))
}

func (l Leaf) check(size int) error {
	switch {
	case size > MaxLeaf:
		return fmt.Errorf("%w: %d bytes, limit %d", ErrLeaf, size, MaxLeaf)
	case l.V != 1:
		return fmt.Errorf("%w: version %d, want 1", ErrLeaf, l.V)
	case len(l.Action) < 1 || len(l.Action) > 32 || !plainWord(l.Action):
		return fmt.Errorf("%w: the action is not 1 to 32 of a-z and -", ErrLeaf)
	case len(l.Actor) != 0 && len(l.Actor) != 16:
		return fmt.Errorf("%w: actor of %d bytes, want 16 or none", ErrLeaf, len(l.Actor))
	}
	return nil
}

func plainWord(s string) bool {
	for _, r := range s {
		if r != '-' && (r < 'a' || r > 'z') {
			return false
		}
	}
	return true
}
