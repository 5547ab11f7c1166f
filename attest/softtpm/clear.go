package softtpm

import (
	"slices"
	"time"

	"cipherdeck/attest/wire"
)

// clear is TPM2_Clear (Part 3, 24.6): a new owner. Keys of the owner's hierarchy
// cannot be made again, what was kept for him is gone, and no ticket of before
// counts. The endorsement key stays, for it is what the certificate is about.
func (t *TPM) clear(c *command, _ *reply) rc {
	switch {
	case c.handles[0] != handleLockout:
		return rcHierarchy
	case c.params.End() != nil:
		return rcSize
	}
	k := &t.kept
	k.Cleared++
	k.Owner, k.Endorse, k.Lockout = nil, nil, nil
	k.Resets, k.Clock, t.started = 0, 0, time.Now()
	k.Lock = newLockout()
	k.NV = slices.DeleteFunc(k.NV, func(x nvIndex) bool { return x.Attrs&nvPlatform == 0 })
	k.RSA = slices.DeleteFunc(k.RSA, func(s rsaSaved) bool { return s.Hierarchy == wire.HandleOwner })
	k.Objects = nil // all at handles of the owner
	t.lasting = map[uint32]*object{}
	t.objects = [slots]*object{}
	for i := range c.auths {
		c.auths[i].value = nil // the response is under the new, empty one
	}
	t.updates++
	t.save()
	return ok
}

// seed is the primary seed of a hierarchy. The owner's changes with him, that
// of the null hierarchy with every start (Part 1, 14.4).
func (t *TPM) seed(hierarchy uint32) []byte {
	of, owner := t.kept.Seed[:], []byte(nil)
	if hierarchy == handleNull {
		of = t.null[:]
	}
	if hierarchy == wire.HandleOwner && t.kept.Cleared > 0 {
		owner = wire.U32s(nil, t.kept.Cleared)
	}
	return kdfa(wire.AlgSHA256, of, "HIERARCHY", wire.U32s(nil, hierarchy), owner, 256)
}
