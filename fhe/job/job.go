// Package job is what a compute node is asked and what it answers.
//
// A job names everything it needs by content id: the plan, the model, the
// evaluation keys and the ciphertexts. A node can therefore not be given one
// thing and say it ran another, and it never sees a secret key. The owner of
// the data signs the JobDoc; the node signs the Result.
package job

import (
	"context"
	"crypto"
	"errors"
	"fmt"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
)

// Document types.
const (
	DocType    = "job/doc"
	ResultType = "job/result"
)

// Size limits of the signed forms, in bytes.
const (
	MaxDoc    = 4 << 10
	MaxResult = 4 << 10
)

// Isolation levels, weakest first.
const (
	IsolationProcess uint8 = 1 // runs in the node's own process
)

// JobDoc asks for one evaluation. All IDs name blobs of the project.
type JobDoc struct {
	V            uint8    `cbor:"1,keyasint"`
	Project      id.ID    `cbor:"2,keyasint"`
	Plan         id.ID    `cbor:"3,keyasint"` // canonical plan
	Model        id.ID    `cbor:"4,keyasint"` // encoded model
	Keys         id.ID    `cbor:"5,keyasint"` // evaluation keys; zero when the plan needs none
	Inputs       id.ID    `cbor:"6,keyasint"` // a BatchSet
	Grant        id.ID    `cbor:"7,keyasint"` // id of the grant that authorises the node
	MinIsolation uint8    `cbor:"8,keyasint"`
	NotAfter     int64    `cbor:"9,keyasint"`  // Unix seconds
	Nonce        [16]byte `cbor:"10,keyasint"` // makes every job's id its own

	// For a grant to a machine's key: the key of this job, sealed to it for Terms.
	Release []byte `cbor:"11,keyasint,omitempty"`
}

// BatchSet lists the ciphertext batches of a job, or of its result, in order.
type BatchSet struct {
	V       uint8   `cbor:"1,keyasint"`
	Batches []id.ID `cbor:"2,keyasint"`
}

// Result is what the node says it did. It repeats what it was asked, so that
// a result cannot be moved to another job.
type Result struct {
	V         uint8  `cbor:"1,keyasint"`
	Job       id.ID  `cbor:"2,keyasint"` // id of the signed JobDoc
	Plan      id.ID  `cbor:"3,keyasint"`
	Model     id.ID  `cbor:"4,keyasint"`
	Inputs    id.ID  `cbor:"5,keyasint"`
	Outputs   id.ID  `cbor:"6,keyasint"` // a BatchSet
	Isolation uint8  `cbor:"7,keyasint"`
	Engine    string `cbor:"8,keyasint"` // program and library version
	Millis    int64  `cbor:"9,keyasint"` // the node's own measure; not checked

	// That the machine which was granted opened the job's key: see Prove.
	Proof []byte `cbor:"10,keyasint,omitempty"`
}

// Blobs is where a runner reads and writes, by content id. Get checks that the
// bytes match the id.
type Blobs interface {
	Get(ctx context.Context, i id.ID, max int64) ([]byte, error)
	Put(ctx context.Context, b []byte) (id.ID, error)
}

// Runner evaluates a job. It sets every field of the Result but Job.
type Runner interface {
	Run(ctx context.Context, j JobDoc, in Blobs, p progress.Sink) (Result, error)
}

// ErrMismatch is wrapped by Check when a result answers another question.
var ErrMismatch = errors.New("result does not belong to this job")

// OpenResult opens a node's signed envelope and checks that it answers job j,
// whose signed form is named name. Errors wrap ErrMismatch or those of doc.
func OpenResult(raw []byte, name id.ID, j JobDoc, node crypto.PublicKey) (Result, error) {
	var r Result
	s, _, err := doc.Open(raw, ResultType, MaxResult, doc.Keys(node))
	if err != nil {
		return r, err
	}
	if err := doc.Decode(s.Body, &r); err != nil {
		return r, fmt.Errorf("%s: %w", ResultType, err)
	}
	return r, r.check(name, j)
}

func (r Result) check(name id.ID, j JobDoc) error {
	for _, c := range []struct {
		field     string
		got, want id.ID
	}{{"job", r.Job, name}, {"plan", r.Plan, j.Plan}, {"model", r.Model, j.Model}, {"inputs", r.Inputs, j.Inputs}} {
		if c.got != c.want {
			return fmt.Errorf("%w: field %s is %s, want %s", ErrMismatch, c.field, c.got, c.want)
		}
	}
	if r.V != 1 {
		return fmt.Errorf("%w: version %d, want 1", ErrMismatch, r.V)
	}
	if r.Isolation < j.MinIsolation {
		return fmt.Errorf("%w: isolation level %d, want at least %d", ErrMismatch, r.Isolation, j.MinIsolation)
	}
	return nil
}
