package node

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"fmt"
	"time"

	"cipherdeck/attest/grant"
	"cipherdeck/crypto/chain"
	"cipherdeck/fhe/job"
	"cipherdeck/remote/api"
)

// Keys opens the keys of jobs that are sealed to this machine. *grant.Key does,
// with a TPM.
type Keys interface {
	PublicKey() *ecdh.PublicKey
	Open(sealed []byte, t grant.Terms, now time.Time) ([grant.KeySize]byte, error)
}

// The reasons for which a node does not run a job that is for a machine's key.
var (
	// ErrKey means that this machine is not any more what was granted.
	ErrKey = errors.New("its key does not open in this state: the machine was changed or restarted since it was granted")
	// ErrNoKey means that it never was.
	ErrNoKey = errors.New("the job is for a key in the TPM of a machine, and this node has none")
	// ErrScope is wrapped when the grant that the job names is not for this job.
	ErrScope = errors.New("the job is not within its grant")
)

// jobKey is the key of one job; nil when the job has none.
type jobKey [grant.KeySize]byte

func (k *jobKey) wipe() {
	if k != nil {
		clear(k[:])
	}
}

// prove is the proof that goes into the result of the job.
func (k *jobKey) prove(r job.Result) ([]byte, error) {
	if k == nil {
		return nil, nil
	}
	return r.Prove(*k)
}

// release opens the key of a job that is for a machine's key, when the grant that
// it names lets this node run it.
func (n Node) release(l api.Lease, j job.JobDoc) (*jobKey, error) {
	switch {
	case len(j.Release) == 0:
		return nil, nil
	case n.Keys == nil:
		return nil, ErrNoKey
	}
	g, err := chain.OpenGrant(l.Grant, j.Grant)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrScope, err)
	}
	switch {
	case !g.Node.Device.Equal(n.Identity.Public()):
		return nil, fmt.Errorf("%w: it is for node %s", ErrScope, g.Node.UID.Short())
	case !n.Now().Before(g.NotAfter):
		return nil, fmt.Errorf("%w: it has ended", ErrScope)
	case !g.Allows(j.Model):
		return nil, fmt.Errorf("%w: it is not for model %s", ErrScope, j.Model.Short())
	case !bytes.Equal(g.Key, n.Keys.PublicKey().Bytes()):
		return nil, ErrKey // made anew since
	}
	key, err := n.Keys.Open(j.Release, j.Terms(), n.Now())
	if errors.Is(err, grant.ErrState) || errors.Is(err, grant.ErrGone) {
		return nil, ErrKey
	}
	if err != nil {
		return nil, err
	}
	return (*jobKey)(&key), nil
}
