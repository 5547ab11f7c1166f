package softtpm

import (
	"errors"
	"fmt"
	"slices"

	"cipherdeck/attest/wire"
	"cipherdeck/crypto/doc"
)

// ErrState is wrapped when what was kept of a TPM is damaged.
var ErrState = errors.New("state of the software TPM is damaged")

const (
	keptVersion = 1
	maxRSA      = 16 // RSA primaries
)

// kept is what survives a restart, in deterministic CBOR.
type kept struct {
	V       uint8      `cbor:"1,keyasint"`
	Seed    [32]byte   `cbor:"2,keyasint"`
	Resets  uint32     `cbor:"3,keyasint"`
	Clock   uint64     `cbor:"4,keyasint"`
	Orderly bool       `cbor:"5,keyasint"` // it was shut down, not cut off
	Owner   []byte     `cbor:"6,keyasint,omitempty"`
	Endorse []byte     `cbor:"7,keyasint,omitempty"`
	Lockout []byte     `cbor:"8,keyasint,omitempty"`
	Lock    lockout    `cbor:"9,keyasint"`
	NV      []nvIndex  `cbor:"10,keyasint,omitempty"`
	Objects []lasting  `cbor:"11,keyasint,omitempty"`
	RSA     []rsaSaved `cbor:"12,keyasint,omitempty"`
	Cleared uint32     `cbor:"13,keyasint,omitempty"` // how often there was a new owner
}

// lasting is a persistent object.
type lasting struct {
	_         struct{} `cbor:",toarray"`
	Handle    uint32
	Public    []byte
	Sensitive []byte
	Parent    []byte // its parent's qualified name, or the handle of a hierarchy
	Hierarchy uint32
}

// rsaSaved is an RSA primary: made once, since primes are not found from a
// seed in a way that other versions of the library would repeat.
type rsaSaved struct {
	_         struct{} `cbor:",toarray"`
	Of        [32]byte // hierarchy and template
	Hierarchy uint32
	PKCS      []byte
}

// Start powers a TPM on that keeps its state: raw is what keep was last given,
// nil the first time. keep must have stored it when it returns; when it fails,
// the TPM answers nothing more. Errors wrap ErrState.
func Start(raw []byte, keep func([]byte) error) (*TPM, error) {
	k := kept{V: keptVersion, Orderly: true, Lock: newLockout()}
	if raw == nil {
		copy(k.Seed[:], random(len(k.Seed)))
	} else if err := doc.Decode(raw, &k); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrState, err)
	}
	if k.V != keptVersion {
		return nil, fmt.Errorf("%w: version %d, want %d", ErrState, k.V, keptVersion)
	}
	return start(k, keep)
}

// StartSeeded is Start for a TPM of before it kept a state: a seed and the count
// of its starts.
func StartSeeded(c Config, keep func([]byte) error) (*TPM, error) {
	return start(kept{V: keptVersion, Seed: c.Seed, Resets: c.ResetCount, Orderly: true, Lock: newLockout()}, keep)
}

func start(k kept, keep func([]byte) error) (*TPM, error) {
	k.Resets++
	t := power(k, keep)
	for _, o := range k.Objects {
		if code := t.restore(o); code != ok {
			return nil, fmt.Errorf("%w: persistent object %08x", ErrState, o.Handle)
		}
	}
	t.kept.Orderly = false
	if t.kept.nv(handleECCert) == nil {
		if err := t.certifyEK(); err != nil {
			return nil, err
		}
	}
	t.save()
	return t, t.broken
}

// save hands the state to its keeper.
func (t *TPM) save() {
	if t.keep == nil || t.broken != nil {
		return
	}
	k := t.kept
	k.Clock = t.clock()
	raw, err := doc.Encode(k)
	if err == nil {
		err = t.keep(raw)
	}
	t.broken = err
}

func (k *kept) auth(h uint32) []byte {
	switch h {
	case wire.HandleOwner:
		return k.Owner
	case wire.HandleEndorsement:
		return k.Endorse
	case handleLockout:
		return k.Lockout
	}
	return nil
}

func (k *kept) setAuth(h uint32, value []byte) bool {
	value = slices.Clone(value)
	switch h {
	case wire.HandleOwner:
		k.Owner = value
	case wire.HandleEndorsement:
		k.Endorse = value
	case handleLockout:
		k.Lockout = value
	default:
		return false
	}
	return true
}

// persistent is the object at a persistent handle.
func (t *TPM) persistent(h uint32) *object { return t.lasting[h] }

func (t *TPM) restore(l lasting) rc {
	pub, code := parseTemplate(l.Public)
	if code != ok {
		return code
	}
	o, code := openSensitive(pub, l.Sensitive, l.Parent, l.Hierarchy)
	if code == ok {
		t.lasting[l.Handle] = o
	}
	return code
}

// evictControl is TPM2_EvictControl (Part 3, 28.5): it keeps a loaded object,
// or forgets a kept one.
func (t *TPM) evictControl(c *command, _ *reply) rc {
	h, at := c.handles[1], c.params.U32()
	o := t.object(h)
	switch {
	case c.params.End() != nil:
		return rcSize
	case c.handles[0] != wire.HandleOwner:
		return rcHierarchy
	case o == nil:
		return rcReference
	case at < firstPersistent || at >= firstPersistent+0x800000: // the owner's half
		return rcValue
	}
	if h >= firstPersistent {
		if h != at {
			return rcHandle
		}
		delete(t.lasting, h)
		t.kept.Objects = slices.DeleteFunc(t.kept.Objects, func(l lasting) bool { return l.Handle == h })
		t.save()
		return ok
	}
	switch {
	case o.hierarchy == handleNull:
		return rcAttributes
	case t.lasting[at] != nil:
		return rcNVDefined
	case len(t.lasting) >= maxPersistent:
		return rcNVSpace
	case o.public == nil || o.external:
		return rcAttributes
	}
	sensitive, code := o.sensitive()
	if code != ok {
		return code
	}
	t.lasting[at] = o
	t.kept.Objects = append(t.kept.Objects, lasting{Handle: at, Public: o.public, Sensitive: sensitive, Parent: o.parent, Hierarchy: o.hierarchy})
	t.save()
	return ok
}
