package softtpm

import "cipherdeck/attest/wire"

// lockout guards what can be guessed: after Max wrong tries everything that
// counts them is refused, until time passes (Part 1, section 19.8).
type lockout struct {
	_        struct{} `cbor:",toarray"`
	Tries    uint32
	Max      uint32
	Recovery uint32 // seconds after which one try is forgiven; 0: never
	Last     uint64 // clock of the last wrong try, or of the last one forgiven
	Used     bool   // something guarded was used since the last orderly stop

}

func newLockout() lockout { return lockout{Max: 32, Recovery: 600} }

// started counts one try when the TPM lost power while it was in use: a guess
// whose failure was never written down must not be free.
func (l *lockout) started(orderly bool) {
	if !orderly && l.Used {
		l.Tries++
	}
	l.Used = false
}

func (l *lockout) failed(now uint64) {
	l.forgive(now)
	l.Tries++
	l.Last = now
}

func (l *lockout) forgive(now uint64) {
	for l.Recovery > 0 && l.Tries > 0 && now-l.Last >= uint64(l.Recovery)*1000 && now > l.Last {
		l.Tries--
		l.Last += uint64(l.Recovery) * 1000
	}
}

func (l *lockout) locked(now uint64) bool {
	l.forgive(now)
	return l.Tries >= l.Max
}

// lockReset is TPM2_DictionaryAttackLockReset (Part 3, 25.2).
func (t *TPM) lockReset(c *command, _ *reply) rc {
	switch {
	case c.handles[0] != handleLockout:
		return rcHierarchy
	case c.params.End() != nil:
		return rcSize
	}
	t.lock.Tries = 0
	t.save()
	return ok
}

// lockParameters is TPM2_DictionaryAttackParameters (Part 3, 25.3). Recovery of
// the lockout hierarchy itself has no time of its own here.
func (t *TPM) lockParameters(c *command, _ *reply) rc {
	tries, recovery := c.params.U32(), c.params.U32()
	c.params.U32()
	switch {
	case c.handles[0] != handleLockout:
		return rcHierarchy
	case c.params.End() != nil:
		return rcSize
	}
	t.lock.Max, t.lock.Recovery = tries, recovery
	t.save()
	return ok
}

// hierarchyChangeAuth is TPM2_HierarchyChangeAuth (Part 3, 24.8).
func (t *TPM) hierarchyChangeAuth(c *command, _ *reply) rc {
	value := c.params.Sized(32)
	if c.params.End() != nil {
		return rcSize
	}
	if !t.kept.setAuth(c.handles[0], trimAuth(value)) {
		return rcHierarchy
	}
	for i := range c.auths {
		if i < c.spec.auths {
			c.auths[i].value = trimAuth(value) // the response is under the new one
		}
	}
	t.save()
	return ok
}

// stirRandom is TPM2_StirRandom (Part 3, 16.2): there is nothing to stir.
func (t *TPM) stirRandom(c *command, _ *reply) rc {
	c.params.Sized(128)
	if c.params.End() != nil {
		return rcSize
	}
	return ok
}

// selfTest is TPM2_SelfTest (Part 3, 10.2): the library tests itself at start.
func (t *TPM) selfTest(c *command, _ *reply) rc {
	full := c.params.U8()
	switch {
	case c.params.End() != nil:
		return rcSize
	case full > 1:
		return rcValue
	}
	return ok
}

// readClock is TPM2_ReadClock (Part 3, 29.1).
func (t *TPM) readClock(c *command, r *reply) rc {
	if c.params.End() != nil {
		return rcSize
	}
	r.params = append(u64(nil, t.clock()), t.clockInfo()...)
	return ok
}

// clockInfo is TPMS_CLOCK_INFO (Part 2, 10.11.6).
func (t *TPM) clockInfo() []byte {
	out := wire.U32s(u64(nil, t.clock()), t.kept.Resets, 0) // no resume, so no restarts
	return append(out, safe)
}
