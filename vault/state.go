package vault

import (
	"cipherdeck/attest"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
	"cipherdeck/vault/journal"
	"cipherdeck/vault/secret"
)

// State is what the vault holds. A change of its shape is a new file version:
// migrate.go reads the shapes before.
type State struct {
	Account  Account            `cbor:"1,keyasint"` // who I am
	People   map[string]Person  `cbor:"2,keyasint"` // by user id, in text form
	Servers  map[string]Server  `cbor:"3,keyasint"` // by the name I gave it
	Projects map[string]Project `cbor:"4,keyasint"` // by project id, in text form
	Secrets  secret.Set         `cbor:"5,keyasint"` // by the name I gave it
	Journal  journal.Log        `cbor:"6,keyasint"` // what left the vault

	Nodes map[string]Node `cbor:"7,keyasint,omitempty"` // by user id, in text form; since version 4
}

// Account is the owner's identity. Package vault/account makes and loads it.
type Account struct {
	Name    string   `cbor:"1,keyasint"`
	Seed    [32]byte `cbor:"2,keyasint"` // root of the RSA key
	Device  [32]byte `cbor:"3,keyasint"` // seed of this device's Ed25519 and X-Wing keys
	RSA     []byte   `cbor:"4,keyasint"` // PKCS#8 DER, kept because deriving it is slow
	Genesis []byte   `cbor:"5,keyasint"` // signed account genesis
	Check   []byte   `cbor:"6,keyasint"` // signed check value of a typed secret (crypto/secret); empty if the seed was drawn

	// The RSA key was made elsewhere: no seed leads to it. It came later than the
	// first files of version 3, which have no such field and must open as before.
	Imported bool `cbor:"7,keyasint,omitempty"`

	// Since version 4, all left out when empty.
	Links  [][]byte     `cbor:"8,keyasint,omitempty"`  // signed account links after the genesis
	XWing  []byte       `cbor:"9,keyasint,omitempty"`  // the account's X-Wing private key, where it is not this device's own
	Former []FormerKeys `cbor:"10,keyasint,omitempty"` // keys before a rotation: what was sealed to them still opens
}

// FormerKeys are the private keys of an identity before it was rotated.
type FormerKeys struct {
	RSA   []byte `cbor:"1,keyasint"` // PKCS#8 DER
	XWing []byte `cbor:"2,keyasint"`
}

// String hides the account, so that no log or error can show it by accident.
func (Account) String() string { return "vault.Account(hidden)" }

// GoString hides the account from %#v.
func (a Account) GoString() string { return a.String() }

// Person is somebody I know of.
type Person struct {
	Name     string `cbor:"1,keyasint"`
	Genesis  []byte `cbor:"2,keyasint"` // signed account genesis
	Verified string `cbor:"3,keyasint"` // how: "words"; "" if not at all
	Added    int64  `cbor:"4,keyasint"` // Unix seconds

	// Since version 4.
	Links [][]byte `cbor:"5,keyasint,omitempty"` // signed account links that were accepted
	Hints []string `cbor:"6,keyasint,omitempty"` // keys that an SSH or age file names for this person; they prove nothing
}

// Server is a server I use, and what I hold it to.
type Server struct {
	Addr string   `cbor:"1,keyasint"` // host:port
	Pin  [32]byte `cbor:"2,keyasint"` // of its TLS key
	Pinned
	Added int64 `cbor:"9,keyasint"` // Unix seconds

	// Since version 4.
	Log ServerLog `cbor:"10,keyasint,omitzero"` // what is known of its journal
}

// Node is a compute node that I hold to something. It has no address: it is
// asked by way of the server of a project.
type Node struct {
	Name    string `cbor:"1,keyasint"` // as its account says
	Project string `cbor:"2,keyasint"` // through which it was asked last: key in State.Projects
	Pinned
	Added int64 `cbor:"9,keyasint"` // Unix seconds
}

// Pinned is what a machine is held to, and what it proved. Its fields are those
// of Server and of Node.
type Pinned struct {
	Product   string   `cbor:"3,keyasint"`           // which manifest it must match
	Signers   [][]byte `cbor:"4,keyasint"`           // public keys that may sign manifests
	Threshold int      `cbor:"5,keyasint"`           // how many of them must
	MinRoot   uint8    `cbor:"6,keyasint"`           // weakest root of trust I accept
	Version   uint64   `cbor:"7,keyasint"`           // highest manifest version seen
	AKName    []byte   `cbor:"8,keyasint"`           // TPM name of the first attestation key seen
	Machine   Machine  `cbor:"11,keyasint,omitzero"` // since version 4
}

// Machine is what a machine proved of itself, and what it is held to. The pins
// of its identity are EK and Pinned.AKName.
type Machine struct {
	EK       []byte            `cbor:"1,keyasint,omitempty"` // SubjectPublicKeyInfo of its endorsement key
	Enrolled *attest.Enrolment `cbor:"2,keyasint,omitempty"`
	Boot     *attest.Boot      `cbor:"3,keyasint,omitempty"` // of the last good verdict that was written down
	PCRs     []attest.PCRValue `cbor:"4,keyasint,omitempty"` // of it
	Deny     uint64            `cbor:"5,keyasint,omitempty"` // highest deny list seen
	Manifest id.ID             `cbor:"6,keyasint,omitzero"`  // of the highest version seen
	Baseline string            `cbor:"7,keyasint,omitempty"`
	Roots    []attest.Root     `cbor:"8,keyasint,omitempty"`  // makers that I accept for it besides the shipped ones
	History  []Judged          `cbor:"9,keyasint,omitempty"`  // oldest first, MaxHistory at most
	Held     string            `cbor:"10,keyasint,omitempty"` // why no job goes there until a person resumes it
	Good     *GoodState        `cbor:"11,keyasint,omitempty"` // of the last good verdict before jobs were suspended
	Quiet    map[int64]Quiet   `cbor:"12,keyasint,omitempty"` // what followed the entry of History with that At
	JobKey   []byte            `cbor:"13,keyasint,omitempty"` // that lived in its TPM at the last good verdict that was written down
}

// MaxHistory bounds the history of a machine.
const MaxHistory = 100

// Judged is one verdict of the past, written down when something was new.
type Judged struct {
	_       struct{} `cbor:",toarray"`
	At      int64    // Unix seconds
	Word    string
	Broken  string // the link that broke, "" when none did
	Resets  uint32
	Version uint64  // of the manifest
	Changed []uint8 // registers that differ from the last good verdict
	Note    string  // for a person
}

// ServerLog is what I know of a server's journal, and hold it to.
type ServerLog struct {
	Key       string        `cbor:"1,keyasint"`           // the log's key, pinned at first contact
	Size      uint64        `cbor:"2,keyasint"`           // of the largest log seen
	Root      id.ID         `cbor:"3,keyasint,omitzero"`  // its root
	Watched   tlog.Frontier `cbor:"4,keyasint,omitzero"`  // how far I have read every leaf
	Promises  [][]byte      `cbor:"5,keyasint,omitempty"` // signed, not yet seen to be kept
	Witnesses []string      `cbor:"6,keyasint,omitempty"` // keys of the witnesses that count for me
	Need      int           `cbor:"7,keyasint,omitempty"` // how many of them must have signed
}

// Project is a project I am in, and the last head I verified: the server must
// show a chain that contains it.
type Project struct {
	Name   string `cbor:"1,keyasint"`
	Server string `cbor:"2,keyasint"` // key in State.Servers
	Seq    uint64 `cbor:"3,keyasint"`
	Head   id.ID  `cbor:"4,keyasint"`
	Added  int64  `cbor:"5,keyasint"` // Unix seconds

	// Since version 4.
	State   id.ID             `cbor:"6,keyasint,omitzero"`  // digest of the verified state at Head, which a cache may keep
	Invites map[string]Invite `cbor:"7,keyasint,omitempty"` // invitations I gave out, by their id in hex
}

// Invite is an invitation that waits for its answer.
type Invite struct {
	Secret  [16]byte `cbor:"1,keyasint"`
	Role    uint8    `cbor:"2,keyasint"`
	Expires int64    `cbor:"3,keyasint"` // Unix seconds
}

// fill makes every map one that can be written to.
func (s *State) fill() {
	if s.People == nil {
		s.People = map[string]Person{}
	}
	if s.Servers == nil {
		s.Servers = map[string]Server{}
	}
	if s.Projects == nil {
		s.Projects = map[string]Project{}
	}
	if s.Secrets == nil {
		s.Secrets = secret.Set{}
	}
	if s.Nodes == nil {
		s.Nodes = map[string]Node{}
	}
}

func (s *State) wipe() {
	clear(s.Account.Seed[:])
	clear(s.Account.Device[:])
	clear(s.Account.RSA)
	clear(s.Account.XWing)
	for _, k := range s.Account.Former {
		clear(k.RSA)
		clear(k.XWing)
	}
	for _, x := range s.Secrets {
		x.Wipe()
	}
	*s = State{}
}
