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
// predecessor, that the author is a member, the account links that come along,
// that the author's device is valid in his account as the project knows it,
// signatures, the rules of the link's kind and the author's right at that point,
// epoch, state root.
//
// An account's links travel in the project's links (field accounts), so that a
// project is verified from its own bytes alone and nobody's account can go
// backwards in it.
package chain

import (
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// LinkType is the document type of a project link.
const LinkType = "project/link"

// MaxLink bounds the signed form of a link, in bytes.
const MaxLink = 128 << 10

// MaxMembers bounds a project.
const MaxMembers = 1000

// The errors of verification. All others wrap ErrLink.
var (
	ErrLink   = errors.New("project link is not valid")
	ErrRight  = errors.New("author's role does not allow this")
	ErrOrder  = errors.New("link does not follow the head")
	ErrGrant  = errors.New("no valid grant for this node")
	ErrOwners = errors.New("a project needs an owner: the last one cannot go")
	ErrInvite = errors.New("invitation is not open: used, withdrawn or over")
)

// The kinds of link.
const (
	KindGenesis    = "genesis"
	KindAdd        = "add"
	KindRole       = "role"
	KindRemove     = "remove"
	KindLeave      = "leave"
	KindRotate     = "rotate"
	KindPut        = "put"
	KindGrant      = "grant"
	KindUngrant    = "ungrant"
	KindInvite     = "invite"
	KindUninvite   = "uninvite"
	KindDelegate   = "delegate"
	KindUndelegate = "undelegate"
	KindAccount    = "account"
)

// strong reports whether links of this kind need ML-DSA-65 beside Ed25519: all
// that change who may do or read what. A put and a member's own account links
// are Ed25519 alone; the links of an account are signed strongly themselves.
func strong(kind string) bool { return kind != KindPut && kind != KindAccount }

// Versions of a link. A chain may begin with links of version 1, which had one
// Ed25519 signature each; after the first of version 2 there are no others.
const (
	linkV1 = 1
	linkV2 = 2
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

	// Since version 2.
	Device   doc.KeyID `cbor:"11,keyasint,omitzero"`  // of the author
	Account  id.ID     `cbor:"12,keyasint,omitzero"`  // head of the author's account, after Accounts
	Accounts []News    `cbor:"13,keyasint,omitempty"` // account links that the project does not have yet
}

// News are links of a member's account, those after the ones that the project
// has.
type News struct {
	_     struct{} `cbor:",toarray"`
	UID   UID
	Links [][]byte
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

// InviteID names an invitation.
type InviteID [16]byte

// String is the hex of i.
func (i InviteID) String() string { return hex.EncodeToString(i[:]) }

// ParseInviteID reads what String writes. Errors wrap ErrInvite.
func ParseInviteID(s string) (InviteID, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(InviteID{}) {
		return InviteID{}, fmt.Errorf("%w: its id is %d characters of 0-9 and a-f", ErrInvite, 2*len(InviteID{}))
	}
	return InviteID(b), nil
}

// AddBody makes somebody a member.
type AddBody struct {
	Account []byte   `cbor:"1,keyasint"`           // signed account genesis
	Role    Role     `cbor:"2,keyasint"`           //
	Wrap    []byte   `cbor:"3,keyasint"`           // the epoch key for the new member
	Links   [][]byte `cbor:"4,keyasint,omitempty"` // his account's links
	Invite  InviteID `cbor:"5,keyasint,omitzero"`  // the invitation that this uses up
}

// RoleBody changes what a member may do. An auditor holds no key, so nobody
// becomes one or stops being one this way: remove and add him.
type RoleBody struct {
	UID  UID  `cbor:"1,keyasint"`
	Role Role `cbor:"2,keyasint"`
}

// RemoveBody ends a membership. The new epoch is in the same link, so there is
// no moment at which the removed member could read what is written next.
type RemoveBody struct {
	UID   UID   `cbor:"1,keyasint"`
	Epoch Epoch `cbor:"2,keyasint"`
}

// LeaveBody ends the author's own membership. He cannot make the next epoch,
// whose key he would know: the state says that one is due (State.Due).
type LeaveBody struct{}

// InviteBody opens an invitation. The secret that answers it is not here.
type InviteBody struct {
	ID       InviteID `cbor:"1,keyasint"`
	Role     Role     `cbor:"2,keyasint"`
	NotAfter int64    `cbor:"3,keyasint"` // Unix seconds
}

// UninviteBody withdraws an invitation.
type UninviteBody struct {
	ID InviteID `cbor:"1,keyasint"`
}

// DelegateBody lends some of the author's rights to another member until a
// time. With Parent set, they are rights that were lent to the author by that
// delegation. What is lent can be lent on, never more and never longer.
type DelegateBody struct {
	To       UID   `cbor:"1,keyasint"`
	Ops      []Op  `cbor:"2,keyasint"` // ascending; OpWrite to OpManage
	NotAfter int64 `cbor:"3,keyasint"` // Unix seconds
	Parent   id.ID `cbor:"4,keyasint,omitzero"`
}

// UndelegateBody ends a delegation early, and all that were made from it.
type UndelegateBody struct {
	ID id.ID `cbor:"1,keyasint"` // SHA-256 of the delegation's body, see BodyID
}

// AccountBody is empty: the link brings account links and nothing else.
type AccountBody struct{}

// RotateBody changes the project key.
type RotateBody struct {
	Epoch Epoch `cbor:"1,keyasint"`
}

// PutBody replaces the encrypted index of items.
type PutBody struct {
	Index id.ID `cbor:"1,keyasint"`
}

// GrantBody lets a node run jobs of the project until a time. One with a Key is
// for a machine that was attested: jobs are for that key only, which lives in the
// machine's TPM and works in one measured state (attest/grant).
type GrantBody struct {
	Node     []byte `cbor:"1,keyasint"` // signed account genesis of kind node
	NotAfter int64  `cbor:"2,keyasint"` // Unix seconds

	Key    []byte  `cbor:"3,keyasint,omitempty"` // uncompressed point on P-256
	AKName []byte  `cbor:"4,keyasint,omitempty"` // TPM name of the attestation key that certified Key
	Op     GrantOp `cbor:"5,keyasint,omitempty"` // what jobs may do; 0: GrantBlind
	Models []id.ID `cbor:"6,keyasint,omitempty"` // ascending, MaxGrantModels at most: jobs name one of them; none: any
}

// GrantOp is what a grant lets a node do.
type GrantOp uint8

// The operations of grants.
const (
	GrantBlind GrantOp = 1 // evaluate on ciphertext
)

// MaxGrantModels bounds the scope of one grant.
const MaxGrantModels = 16

// UngrantBody ends a grant early.
type UngrantBody struct {
	Grant id.ID `cbor:"1,keyasint"` // SHA-256 of the grant's body
}

// open decodes raw and verifies that exactly the keys signed it that who names.
func open(raw []byte, who func(*Link) ([]crypto.PublicKey, error), check func(func() error) error) (*Link, id.ID, error) {
	var l Link
	var want []crypto.PublicKey
	keys := func(k doc.KeyID, body []byte) (_ crypto.PublicKey, err error) {
		if want == nil {
			if err := doc.Decode(body, &l); err != nil {
				return nil, err
			}
			if want, err = who(&l); err != nil {
				return nil, err
			}
		}
		return doc.Keys(want...)(k, nil)
	}
	s, name, err := doc.OpenWith(raw, LinkType, MaxLink, keys, check)
	if err == nil {
		err = signedByAll(s, want)
	}
	if err != nil {
		return nil, id.ID{}, fmt.Errorf("%w: %w", ErrLink, err)
	}
	return &l, name, nil
}

// now checks a signature on the spot.
func now(f func() error) error { return f() }

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
