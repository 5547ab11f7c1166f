// Package chain verifies the two kinds of signed chain: accounts, which say
// which keys are a person, and projects, which say who may do what.
//
// A project is a list of links. Each is a signed document that names its
// predecessor by hash, so one head pins all history; each is checked against
// the roles as they stood just before it. Server and client run this same
// code: the server to refuse bad links early, the client because it does not
// believe the server. There is no secret here and nothing is unwrapped.
//
// The order of checks in Next is: size and encoding, project, sequence,
// predecessor, author's role at that point, signature by the author's device,
// the rules of the link's kind, epoch, state root.
package chain

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// LinkType is the document type of a project link.
const LinkType = "project/link"

// MaxLink bounds the signed form of a link, in bytes.
const MaxLink = 64 << 10

// MaxMembers bounds a project.
const MaxMembers = 1000

// The errors of verification. All others wrap ErrLink.
var (
	ErrLink   = errors.New("project link is not valid")
	ErrRight  = errors.New("author's role does not allow this")
	ErrOrder  = errors.New("link does not follow the head")
	ErrGrant  = errors.New("no valid grant for this node")
	ErrOwners = errors.New("a project needs an owner: the last one cannot go")
)

// The kinds of link.
const (
	KindGenesis = "genesis"
	KindAdd     = "add"
	KindRemove  = "remove"
	KindRotate  = "rotate"
	KindPut     = "put"
	KindGrant   = "grant"
	KindUngrant = "ungrant"
)

// Link is the signed body of one step.
type Link struct {
	V       uint8   `cbor:"1,keyasint"`
	Project id.ID   `cbor:"2,keyasint"` // id of the genesis link; zero in the genesis itself
	Seq     uint64  `cbor:"3,keyasint"` // 0 for the genesis
	Prev    id.ID   `cbor:"4,keyasint"` // id of the link before; zero in the genesis
	Epoch   uint32  `cbor:"5,keyasint"` // after this link
	Time    int64   `cbor:"6,keyasint"` // Unix milliseconds; advisory
	Author  UID     `cbor:"7,keyasint"`
	Kind    string  `cbor:"8,keyasint"`
	Body    doc.Raw `cbor:"9,keyasint"`
	Root    id.ID   `cbor:"10,keyasint"` // of the state after this link
}

// Epoch is a change of the project key. Wraps names a blob: the new key
// wrapped for every member. Prev is the key before, sealed under the new one,
// so that a member can read what was written earlier.
type Epoch struct {
	Number uint32   `cbor:"1,keyasint"`
	Commit [32]byte `cbor:"2,keyasint"` // commitment to the key
	Prev   []byte   `cbor:"3,keyasint"` // empty in the genesis
	Wraps  id.ID    `cbor:"4,keyasint"`
}

// Wrap is one entry of the blob that Epoch.Wraps names: an array of them,
// ascending by UID.
type Wrap struct {
	_    struct{} `cbor:",toarray"`
	UID  UID
	Body []byte // hybrid stanza body
}

// GenesisBody starts a project.
type GenesisBody struct {
	Nonce [32]byte `cbor:"1,keyasint"` // makes the project's id its own; context of its keys
	Owner []byte   `cbor:"2,keyasint"` // signed account genesis of the author
	Epoch Epoch    `cbor:"3,keyasint"`
}

// AddBody makes somebody a member.
type AddBody struct {
	Account []byte `cbor:"1,keyasint"` // signed account genesis
	Role    Role   `cbor:"2,keyasint"`
	Wrap    []byte `cbor:"3,keyasint"` // the epoch key for the new member
}

// RemoveBody ends a membership. The new epoch is in the same link, so there is
// no moment at which the removed member could read what is written next.
type RemoveBody struct {
	UID   UID   `cbor:"1,keyasint"`
	Epoch Epoch `cbor:"2,keyasint"`
}

// RotateBody changes the project key.
type RotateBody struct {
	Epoch Epoch `cbor:"1,keyasint"`
}

// PutBody replaces the encrypted index of items.
type PutBody struct {
	Index id.ID `cbor:"1,keyasint"`
}

// GrantBody lets a node run jobs of the project until a time.
type GrantBody struct {
	Node     []byte `cbor:"1,keyasint"` // signed account genesis of kind node
	NotAfter int64  `cbor:"2,keyasint"` // Unix seconds
}

// UngrantBody ends a grant early.
type UngrantBody struct {
	Grant id.ID `cbor:"1,keyasint"` // SHA-256 of the grant's body
}

// open decodes raw and verifies its signature by the device that who finds.
func open(raw []byte, who func(*Link) (ed25519.PublicKey, error)) (*Link, id.ID, error) {
	var l Link
	keys := func(k doc.KeyID, body []byte) (crypto.PublicKey, error) {
		if err := doc.Decode(body, &l); err != nil {
			return nil, err
		}
		pub, err := who(&l)
		if err != nil {
			return nil, err
		}
		return doc.Keys(pub)(k, nil)
	}
	s, name, err := doc.Open(raw, LinkType, MaxLink, keys)
	if err != nil {
		return nil, id.ID{}, fmt.Errorf("%w: %w", ErrLink, err)
	}
	if len(s.Sigs) != 1 {
		return nil, id.ID{}, fmt.Errorf("%w: %d signatures, want 1", ErrLink, len(s.Sigs))
	}
	return &l, name, nil
}

// PrevOf reads the predecessor of a link without verifying anything: for
// walking back to the genesis, from which everything is then verified.
func PrevOf(raw []byte) (id.ID, uint64, error) {
	var s doc.Signed
	var l Link
	if len(raw) > MaxLink {
		return id.ID{}, 0, fmt.Errorf("%w: %d bytes, limit %d", ErrLink, len(raw), MaxLink)
	}
	if err := doc.Decode(raw, &s); err != nil {
		return id.ID{}, 0, fmt.Errorf("%w: %w", ErrLink, err)
	}
	if err := doc.Decode(s.Body, &l); err != nil {
		return id.ID{}, 0, fmt.Errorf("%w: %w", ErrLink, err)
	}
	return l.Prev, l.Seq, nil
}
