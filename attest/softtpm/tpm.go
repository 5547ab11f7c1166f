// Package softtpm is a TPM 2.0 in software, inside this process.
//
// It speaks the real wire protocol (TPM 2.0 Library, Parts 1 to 3), so the
// same client code drives it, swtpm and a chip; only the root of the verdict
// differs. It exists so that attestation can be run, shown and tested on any
// machine. It protects nothing from the machine it runs on: its seed lies in
// ordinary memory, its maker is "SOFT", and its endorsement key certificate is
// signed by itself and bears a mark, so no verifier can mistake it for hardware.
//
// Built: ECC (P-256, P-384) and RSA keys, sealed data, the SHA-256 and SHA-384
// banks, password, HMAC and policy sessions, salted and bound, with parameter
// encryption; the null hierarchy, credentials, quotes, certifications of keys,
// creations and time, NV, saved and persistent objects, dictionary-attack
// lockout, a new owner. Not built: saved sessions, audit sessions, symmetric and
// HMAC keys, hash sequences, import and duplication, counters in NV, localities
// other than 0.
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

const (
	firstTransient  = 0x80000000
	firstPersistent = 0x81000000
	maxPersistent   = 7
)

// Config is what survives a restart of the machine, for a TPM that keeps
// nothing else. See Start for one that does.
type Config struct {
	Seed       [32]byte // primary seed: equal seeds give equal primary keys
	ResetCount uint32   // how often the TPM was started; the caller counts it
}

// TPM is one running software TPM. Its methods may be called concurrently.
type TPM struct {
	mu       sync.Mutex
	kept     kept
	keep     func([]byte) error
	started  time.Time
	commands map[uint32]spec
	pcrs     banks
	updates  uint32 // PCR update counter
	objects  [slots]*object
	lasting  map[uint32]*object
	sessions [sessionSlots]*session
	lock     *lockout
	contexts [32]byte   // key of saved contexts
	null     [32]byte   // seed of the null hierarchy
	passing  []rsaSaved // RSA primaries of it
	sequence uint64     // of them
	broken   error      // of keep: nothing more is answered
}

var _ transport.TPM = (*TPM)(nil)

// New powers a TPM on and does the Startup(CLEAR) that firmware would do: all
// PCRs are at their start values and no object is loaded. What it is asked to
// keep is gone with it.
func New(c Config) *TPM {
	return power(kept{V: keptVersion, Seed: c.Seed, Resets: c.ResetCount, Orderly: true, Lock: newLockout()}, nil)
}

func power(k kept, keep func([]byte) error) *TPM {
	t := &TPM{kept: k, keep: keep, started: time.Now(), commands: table(), pcrs: newBanks(), lasting: map[uint32]*object{}}
	t.lock = &t.kept.Lock
	t.lock.started(k.Orderly)
	copy(t.contexts[:], random(len(t.contexts)))
	copy(t.null[:], random(len(t.null)))
	return t
}

// Send runs one command frame and returns its response frame. The error is
// nil: bad frames get a TPM response code.
func (t *TPM) Send(in []byte) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.broken != nil {
		return failure(rcFailure), nil
	}
	c, code := t.parseCommand(in)
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
	if t.broken != nil {
		return failure(rcFailure), nil
	}
	return r.frame(&c, t.answers(&c, &r)), nil
}

// clock is milliseconds of all times that it ran, as far as they were kept.
func (t *TPM) clock() uint64 {
	return t.kept.Clock + t.uptime()
}

// uptime is milliseconds since the start.
func (t *TPM) uptime() uint64 { return uint64(time.Since(t.started).Milliseconds()) }

func (t *TPM) object(h uint32) *object {
	if h >= firstPersistent {
		return t.persistent(h)
	}
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
