package softtpm

import (
	"bytes"
	"slices"

	"cipherdeck/attest/wire"
)

const (
	handleNV  = 0x01000000
	maxNVData = 2048
	maxNV     = 32

	// Where a chip has its certificates (EK Credential Profile, 2.2.1.4 and 2.2.1.5).
	handleECCert = 0x01C0000A // of the ECC P-256 EK
	handleCA     = 0x01C00100 // first of its chain
)

// The attributes of an index that are known here (TPMA_NV, Part 2, 13.4).
const (
	nvOwnerWrite  = 1 << 1
	nvAuthWrite   = 1 << 2
	nvPolicyWrite = 1 << 3
	nvOwnerRead   = 1 << 17
	nvAuthRead    = 1 << 18
	nvPolicyRead  = 1 << 19
	nvNoDA        = 1 << 25
	nvWritten     = 1 << 29
	nvPlatform    = 1 << 30
	nvKnown       = nvOwnerWrite | nvAuthWrite | nvPolicyWrite | nvOwnerRead | nvAuthRead | nvPolicyRead | nvNoDA
)

// nvIndex is one index of non-volatile memory, of ordinary data.
type nvIndex struct {
	_      struct{} `cbor:",toarray"`
	Handle uint32
	Alg    uint16
	Attrs  uint32
	Policy []byte
	Auth   []byte
	Data   []byte
}

func (k *kept) nv(h uint32) *nvIndex {
	for i := range k.NV {
		if k.NV[i].Handle == h {
			return &k.NV[i]
		}
	}
	return nil
}

// public is the TPMS_NV_PUBLIC of x (Part 2, 13.6).
func (x *nvIndex) public() []byte {
	out := wire.U32s(wire.U16s(wire.U32s(nil, x.Handle), x.Alg), x.Attrs)
	return wire.U16s(wire.Sized(out, x.Policy), uint16(len(x.Data)))
}

func (x *nvIndex) entity() entity {
	return entity{name: nameOf(x.Alg, x.public()), auth: x.Auth, policy: x.Policy, alg: x.Alg,
		byUser: x.Attrs&(nvAuthRead|nvAuthWrite) != 0, byAdmin: true, lockout: x.Attrs&nvNoDA == 0}
}

// nvDefine is TPM2_NV_DefineSpace (Part 3, 31.3).
func (t *TPM) nvDefine(c *command, _ *reply) rc {
	auth := bytes.Clone(trimAuth(c.params.Sized(maxAuth)))
	p := wire.NewReader(c.params.Sized(256))
	x := nvIndex{Handle: p.U32(), Alg: p.U16(), Attrs: p.U32(), Policy: bytes.Clone(p.Sized(maxDigest)), Auth: auth}
	size := p.U16()
	switch {
	case c.params.End() != nil || p.End() != nil:
		return rcSize
	case c.handles[0] != wire.HandleOwner:
		return rcHierarchy
	case x.Handle>>24 != handleNV>>24:
		return rcHandle
	case hashFunc(x.Alg) == nil:
		return rcHash
	case x.Attrs&^uint32(nvKnown) != 0, x.Attrs&(nvOwnerWrite|nvAuthWrite|nvPolicyWrite) == 0, x.Attrs&(nvOwnerRead|nvAuthRead|nvPolicyRead) == 0:
		return rcAttributes
	case size > maxNVData, len(x.Policy) != 0 && len(x.Policy) != hashSize(x.Alg):
		return rcSize
	case t.kept.nv(x.Handle) != nil:
		return rcNVDefined
	case len(t.kept.NV) >= maxNV:
		return rcNVSpace
	}
	x.Data = make([]byte, size)
	t.kept.NV = append(t.kept.NV, x)
	t.save()
	return ok
}

// nvUndefine is TPM2_NV_UndefineSpace (Part 3, 31.4).
func (t *TPM) nvUndefine(c *command, _ *reply) rc {
	x := t.kept.nv(c.handles[1])
	switch {
	case c.params.End() != nil:
		return rcSize
	case x == nil:
		return rcHandle
	case c.handles[0] != wire.HandleOwner || x.Attrs&nvPlatform != 0:
		return rcNVAuth
	}
	t.kept.NV = slices.DeleteFunc(t.kept.NV, func(i nvIndex) bool { return i.Handle == c.handles[1] })
	t.save()
	return ok
}

// nvAccess is the index that a command is about, if its authorization is of
// the right kind.
func (t *TPM) nvAccess(c *command, owner, user, policy uint32) (*nvIndex, rc) {
	x := t.kept.nv(c.handles[1])
	if x == nil {
		return nil, rcHandle
	}
	allowed := uint32(owner)
	if c.handles[0] == c.handles[1] {
		allowed = user
		if s := c.auths[0].s; s != nil && s.kind == kindPolicy {
			allowed = policy
		}
	} else if c.handles[0] != wire.HandleOwner {
		return nil, rcNVAuth
	}
	if x.Attrs&allowed == 0 {
		return nil, rcNVAuth
	}
	return x, ok
}

// nvWrite is TPM2_NV_Write (Part 3, 31.7).
func (t *TPM) nvWrite(c *command, _ *reply) rc {
	data, offset := c.params.Sized(maxNVData), int(c.params.U16())
	x, code := t.nvAccess(c, nvOwnerWrite, nvAuthWrite, nvPolicyWrite)
	switch {
	case c.params.End() != nil:
		return rcSize
	case code != ok:
		return code
	case offset+len(data) > len(x.Data):
		return rcNVRange
	}
	copy(x.Data[offset:], data)
	x.Attrs |= nvWritten
	t.save()
	return ok
}

// nvRead is TPM2_NV_Read (Part 3, 31.13).
func (t *TPM) nvRead(c *command, r *reply) rc {
	size, offset := int(c.params.U16()), int(c.params.U16())
	x, code := t.nvAccess(c, nvOwnerRead, nvAuthRead, nvPolicyRead)
	switch {
	case c.params.End() != nil:
		return rcSize
	case code != ok:
		return code
	case x.Attrs&nvWritten == 0:
		return rcNVUnwritten
	case offset+size > len(x.Data):
		return rcNVRange
	case size > 1024:
		return rcValue
	}
	r.params = wire.Sized(nil, x.Data[offset:offset+size])
	return ok
}

// nvReadPublic is TPM2_NV_ReadPublic (Part 3, 31.6).
func (t *TPM) nvReadPublic(c *command, r *reply) rc {
	x := t.kept.nv(c.handles[0])
	switch {
	case c.params.End() != nil:
		return rcSize
	case x == nil:
		return rcHandle
	}
	r.params = wire.Sized(wire.Sized(nil, x.public()), x.entity().name)
	return ok
}
