package api

import (
	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
)

// HeadKey is the one document of a project: its newest signed link.
const HeadKey = "head"

// MaxBlob is the most bytes that a blob has on any server.
const MaxBlob = 16 << 20

// MaxHave is how many ids one Have request may ask about.
const MaxHave = 10000

// Header fields and content types.
const (
	TypeJSON  = "application/json"
	TypeCBOR  = "application/cbor"         // signed documents, as they were signed
	TypeBytes = "application/octet-stream" // blobs
)

// Meta is what anybody may know of a server.
type Meta struct {
	Version      string `json:"version"` // of this protocol: "v1"
	Product      string `json:"product"`
	Enrolment    string `json:"enrolment"` // "open" or "closed"
	MaxBlob      int64  `json:"max_blob_bytes"`
	MaxHave      int    `json:"max_have"`
	LeaseSeconds int    `json:"lease_seconds"`
	SFTP         string `json:"sftp,omitempty"`    // host:port of the SFTP door
	SSHKey       string `json:"ssh_key,omitempty"` // its key, as known_hosts has it

	Journal   string `json:"journal"`                   // the log's key, as a vkey: pinned by clients
	Alerts    int    `json:"alerts"`                    // since the start: documents restored, damage mended
	LastAlert int64  `json:"last_alert,omitempty"`      // Unix seconds
	MayLose   bool   `json:"may_lose_writes,omitempty"` // its store may lose what it acknowledged, and the operator knows
}

// ChallengeReply starts a login.
type ChallengeReply struct {
	Nonce []byte `json:"nonce"` // 32 bytes, good once and for a minute
}

// LoginRequest ends it.
type LoginRequest struct {
	UID   chain.UID `json:"uid"`
	Login []byte    `json:"login"` // doc.Signed of a Login
}

// LoginReply carries the token, which is good on this connection only.
type LoginReply struct {
	Token     string `json:"token"`
	ExpiresIn int    `json:"expires_in"`       // seconds
	Direct    bool   `json:"direct,omitempty"` // blobs may be fetched and put by presigned requests
}

// ProjectsReply lists ids.
type ProjectsReply struct {
	Projects []id.ID `json:"projects"`
}

// ProjectReply names a project.
type ProjectReply struct {
	Project id.ID `json:"project"`
}

// RevReply is the revision after a write.
type RevReply struct {
	Rev uint64 `json:"rev"`
}

// HaveRequest asks which blobs are there.
type HaveRequest struct {
	IDs []id.ID `json:"ids"`
}

// HaveReply answers in the order of the question.
type HaveReply struct {
	Have []bool `json:"have"`
}

// JobState is where a job stands.
type JobState string

// The states of a job. Done and Failed are final.
const (
	JobQueued JobState = "queued"
	JobLeased JobState = "leased"
	JobDone   JobState = "done"
	JobFailed JobState = "failed"
)

// JobStatus is a job as the server sees it. Only Result says anything that can
// be checked: it is the envelope that the node signed.
type JobStatus struct {
	ID        id.ID     `json:"id"`
	Project   id.ID     `json:"project"`
	State     JobState  `json:"state"`
	Node      chain.UID `json:"node"`
	Attempt   int       `json:"attempt"` // 1 when it is leased for the first time
	Done      int64     `json:"done"`    // progress in the node's units
	Total     int64     `json:"total"`   // 0 if not known
	Phase     string    `json:"phase,omitempty"`
	Reason    string    `json:"reason,omitempty"` // why it failed, or was queued again
	Submitted int64     `json:"submitted"`        // Unix milliseconds, the server's clock
	Result    []byte    `json:"result,omitempty"` // doc.Signed of a job.Result
	Rev       uint64    `json:"rev"`              // rises with every change
}

// Final reports whether the job will not change any more.
func (s JobStatus) Final() bool { return s.State == JobDone || s.State == JobFailed }

// JobReply names a job.
type JobReply struct {
	Job id.ID `json:"job"`
}

// MaxJobs is how many jobs one answer lists: a page must stay far below what a
// client reads.
const MaxJobs = 2048

// JobsReply lists jobs, newest first, without their results.
type JobsReply struct {
	Jobs []JobStatus `json:"jobs"`
	More bool        `json:"more,omitempty"` // ask again, with past = the last of these
}

// Lease is a job handed to a node.
type Lease struct {
	Project     id.ID    `json:"project"`
	Job         id.ID    `json:"job"`
	Doc         []byte   `json:"doc"`                   // doc.Signed of a job.JobDoc
	Author      []byte   `json:"author"`                // signed account genesis of who asked
	AuthorLinks [][]byte `json:"authorLinks,omitempty"` // and the links after it
	Grant       []byte   `json:"grant,omitempty"`       // body of the grant, for a job with a release
	Token       string   `json:"token"`
	Attempt     int      `json:"attempt"`
	Seconds     int      `json:"seconds"` // until it ends, counted from now: clocks may differ
}

// LeaseReport is what a node says of a job that it holds.
type LeaseReport struct {
	Project id.ID  `json:"project"`
	Job     id.ID  `json:"job"`
	Token   string `json:"token"`
	Done    int64  `json:"done,omitempty"`   // extend: progress
	Total   int64  `json:"total,omitempty"`  // extend
	Phase   string `json:"phase,omitempty"`  // extend
	Result  []byte `json:"result,omitempty"` // complete: doc.Signed of a job.Result
	Reason  string `json:"reason,omitempty"` // fail
	Retry   bool   `json:"retry,omitempty"`  // fail: give it back, somebody may try again
}

// ExtendReply says how long the lease lasts now.
type ExtendReply struct {
	Seconds int `json:"seconds"`
}

// CollectReply says what a collection found, and did unless it was dry.
type CollectReply struct {
	Blobs        int64 `json:"blobs"`
	Bytes        int64 `json:"bytes"`
	Marked       int64 `json:"marked"` // not needed, and waiting for the end of the grace
	MarkedBytes  int64 `json:"marked_bytes"`
	Deleted      int64 `json:"deleted"`
	DeletedBytes int64 `json:"deleted_bytes"`
	GraceHours   int   `json:"grace_hours"`
	Dry          bool  `json:"dry"`
}

// PresignRequest asks for a request to where a blob is kept; the answer is a
// store.Presigned.
type PresignRequest struct {
	Size int64 `json:"size"` // of what will be put
}
