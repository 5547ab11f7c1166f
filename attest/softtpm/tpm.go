// Package softtpm is a TPM 2.0 in software, inside this process.
//
// It speaks the real wire protocol (TPM 2.0 Library, Parts 1 to 3), so the
// same client code drives it, swtpm and a chip; only the root of the verdict
// differs. It exists so that attestation can be run, shown and tested on any
// machine. It protects nothing from the machine it runs on: its seed lies in
// ordinary memory, its maker is "SOFT", and it has no endorsement key
// certificate, so no verifier can mistake it for hardware.
//
// Built: P-256, SHA-256, password sessions; Startup, Shutdown, GetRandom,
// GetCapability, CreatePrimary, Create, Load, ReadPublic, FlushContext,
// PCR_Read, PCR_Extend, Quote. Not built: HMAC and policy sessions, NV, RSA,
// other banks, dictionary-attack lockout (so every key must be noDA),
// persistent objects.
package softtpm

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/google/go-tpm/tpm2/transport"
)

// MaxCommand is the longest command and response, in bytes.
const MaxCommand = 4096

// slots is how many transient objects fit, as in common chips: callers that
// forget to flush fail here too.
const slots = 3

const firstTransient = 0x80000000

// Config is what survives a restart of the machine.
type Config struct {
	Seed       [32]byte // primary seed: equal seeds give equal primary keys
	ResetCount uint32   // how often the TPM was started; the caller counts it
}

// TPM is one running software TPM. Its methods may be called concurrently.
type TPM struct {
	mu      sync.Mutex
	seed    [32]byte
	resets  uint32
	started time.Time
	pcrs    [pcrCount][32]byte
	updates uint32 // PCR update counter
	objects [slots]*object
}

var _ transport.TPM = (*TPM)(nil)

// New powers a TPM on and does the Startup(CLEAR) that firmware would do: all
// PCRs are at their start values and no object is loaded.
func New(c Config) *TPM {
	t := &TPM{seed: c.Seed, resets: c.ResetCount, started: time.Now()}
	for i := firstLocality4; i <= lastLocality4; i++ {
		for j := range t.pcrs[i] {
			t.pcrs[i][j] = 0xFF
		}
	}
	return t
}

// Send runs one command frame and returns its response frame. It never
// returns an error: bad frames get a TPM response code.
func (t *TPM) Send(in []byte) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, code := parseCommand(in)
	if code != ok {
		return failure(code), nil
	}
	if code := t.authorize(&c); code != ok {
		return failure(code), nil
	}
	var r reply
	if code := c.spec.run(t, &c, &r); code != ok {
		return failure(code), nil
	}
	return r.frame(&c), nil
}

// authorize compares the password of every handle that needs one.
func (t *TPM) authorize(c *command) rc {
	for i, password := range c.passwords {
		h := c.handles[i]
		if h < firstTransient {
			if len(trimAuth(password)) != 0 { // hierarchies and PCRs have the empty auth
				return rcBadAuth
			}
			continue
		}
		o := t.object(h)
		if o == nil {
			return rcReference
		}
		if !o.passwordOpens(password) {
			return rcBadAuth
		}
	}
	return ok
}

// clock is milliseconds since the start; it never decides anything.
func (t *TPM) clock() uint64 { return uint64(time.Since(t.started).Milliseconds()) }

func (t *TPM) object(h uint32) *object {
	if h < firstTransient || h >= firstTransient+slots {
		return nil
	}
	return t.objects[h-firstTransient]
}

func (t *TPM) place(o *object) (uint32, rc) {
	for i := range t.objects {
		if t.objects[i] == nil {
			t.objects[i] = o
			return firstTransient + uint32(i), ok
		}
	}
	return 0, rcObjectMemory
}

func failure(code rc) []byte {
	out := binary.BigEndian.AppendUint16(nil, tagNoSessions)
	out = binary.BigEndian.AppendUint32(out, 10)
	return binary.BigEndian.AppendUint32(out, uint32(code))
}
