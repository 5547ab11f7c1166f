package channel

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"cipherdeck/attest"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// A node has no address: it asks its server for work, and a client can ask it
// something only by way of that server, which is not trusted. There is no TLS
// connection whose exporter both ends know. In its place stand the node's own
// keys: the quote binds its user id and its identity key, and that key signs
// the answer. The server can withhold an answer; it cannot give another
// machine's, an older one, or its own.

// The kinds of question that a node is asked.
const (
	KindAttest = "attest" // body: Challenge; answer: NodeReply
	KindEnrol  = "enrol"  // body: Enrolling; answer: 32 bytes
)

const (
	nodeBindDomain = "cipherdeck/attest/node/v1"
	// NodeAnswerType is the document type of what a node signs.
	NodeAnswerType = "attest/node-answer"
	maxNodeAnswer  = 1 << 10
	maxNodeID      = 64
	// MaxNodeReply bounds what a node answers, in bytes.
	MaxNodeReply = MaxEvidence + 2*maxNodeAnswer
)

// LinkNode comes first in a verdict about a node.
const LinkNode = "node.answer"

// ErrNode is wrapped when an answer does not come from the node that was asked.
var ErrNode = errors.New("answer is not of this node")

// NodeName is who a node is, as its account says.
type NodeName struct {
	UID []byte // of the account
	Key ed25519.PublicKey
}

// NodeAnswer is who answered a challenge, and how that is known.
type NodeAnswer struct {
	_      struct{} `cbor:",toarray"`
	UID    []byte
	Key    []byte // Ed25519 public key of the account
	Signed []byte // doc.Signed of a nodeSaid, by Key
}

// NodeReply is what goes over the wire.
type NodeReply struct {
	_        struct{} `cbor:",toarray"`
	Evidence []byte
	Signed   []byte
}

// nodeSaid is what a node signs: which question it answered, and with what.
type nodeSaid struct {
	_         struct{} `cbor:",toarray"`
	UID       []byte
	Challenge id.ID // SHA-256 of the challenge
	Evidence  id.ID // SHA-256 of the evidence
}

// BindNode is the qualifying data of a node's quote; p.SPKI and p.EKM are not
// used:
//
//	SHA256(LP(domain) ‖ LP(nonce) ‖ LP(uid) ‖ LP(SHA256(identity key)) ‖ LP(SHA256(job key)) ‖
//	       LP(SHA256(manifest)) ‖ LP(SHA256(challenge)) ‖ LP(SHA256(logs)))
func BindNode(uid []byte, key [32]byte, p Parts) [32]byte {
	return p.bind(nodeBindDomain, uid, key[:])
}

// NodeResponder answers for a node what comes by way of its server.
type NodeResponder struct {
	r   *Responder
	uid []byte
	key ed25519.PrivateKey
}

// NewNodeResponder answers for the node with this account. m.SPKI is not used.
func NewNodeResponder(m Machine, uid []byte, key ed25519.PrivateKey) *NodeResponder {
	return &NodeResponder{NewResponder(m), uid, key}
}

// Answer answers one question. Errors wrap ErrChallenge when whoever asked is
// at fault.
func (n *NodeResponder) Answer(_ context.Context, kind string, body []byte) ([]byte, error) {
	switch kind {
	case KindAttest:
		return n.attest(body)
	case KindEnrol:
		return n.r.activate(body, func(challenge []byte) ([32]byte, error) {
			bind, _, err := n.bind(challenge)
			return bind, err
		})
	}
	return nil, fmt.Errorf("%w: kind %q", ErrChallenge, kind)
}

func (n *NodeResponder) bind(challenge []byte) ([32]byte, attest.Challenge, error) {
	c, err := parseChallenge(challenge)
	if err != nil {
		return [32]byte{}, c, err
	}
	m := n.r.m
	return BindNode(n.uid, sha256.Sum256(n.key.Public().(ed25519.PublicKey)), Parts{
		Nonce: c.Nonce, JobKey: m.JobKey, Manifest: m.Manifest, Challenge: challenge, Logs: AllLogs(m.Log, m.Firmware, m.IMA),
	}), c, nil
}

func (n *NodeResponder) attest(challenge []byte) ([]byte, error) {
	bind, c, err := n.bind(challenge)
	if err != nil {
		return nil, err
	}
	evidence, err := n.r.encoded(bind, c)
	if err != nil {
		return nil, err
	}
	signed, err := doc.Sign(NodeAnswerType, nodeSaid{UID: n.uid, Challenge: id.Of(challenge), Evidence: id.Of(evidence)}, n.key)
	if err != nil {
		return nil, err
	}
	return doc.Encode(NodeReply{Evidence: evidence, Signed: signed})
}

// Carry takes a question to a node and brings the answer; the way is not
// trusted.
type Carry func(ctx context.Context, kind string, body []byte) ([]byte, error)

// AskNode attests a node by way of its server. Errors are those of
// Transcript.Judge, of carry, and ErrResponse; the transcript is nil when there
// was no answer that could be read.
func AskNode(ctx context.Context, carry Carry, n NodeName, policy attest.Policy, subject string, now time.Time) (*attest.Verdict, *Transcript, error) {
	_, challenge, err := Ask(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	raw, err := carry(ctx, KindAttest, challenge)
	if err != nil {
		return nil, nil, fmt.Errorf("attest %s: %w", subject, err)
	}
	var reply NodeReply
	if len(raw) > MaxNodeReply {
		return nil, nil, fmt.Errorf("attest %s: %w: %d bytes, limit %d", subject, ErrResponse, len(raw), MaxNodeReply)
	}
	if err := doc.Decode(raw, &reply); err != nil {
		return nil, nil, fmt.Errorf("attest %s: %w: %w", subject, ErrResponse, err)
	}
	t := &Transcript{
		V: transcriptVersion, Subject: subject, At: now.Unix(), EKM: []byte{}, Challenge: challenge, Evidence: reply.Evidence,
		Node: &NodeAnswer{UID: n.UID, Key: n.Key, Signed: reply.Signed},
	}
	v, err := t.conclude(ctx, policy, now, func(body []byte) ([]byte, error) { return carry(ctx, KindEnrol, body) })
	if err != nil {
		err = fmt.Errorf("attest %s: %w", subject, err)
	}
	return v, t, err
}

// check reports whether the node answered this challenge with this evidence. A
// nil answer is of no node and says nothing.
func (a *NodeAnswer) check(challenge, evidence []byte) error {
	if a == nil {
		return nil
	}
	if len(a.Key) != ed25519.PublicKeySize || len(a.UID) == 0 || len(a.UID) > maxNodeID {
		return fmt.Errorf("%w: its key has %d bytes, its id %d", ErrNode, len(a.Key), len(a.UID))
	}
	s, _, err := doc.Open(a.Signed, NodeAnswerType, maxNodeAnswer, doc.Keys(ed25519.PublicKey(a.Key)))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNode, err)
	}
	var said nodeSaid
	if err := doc.Decode(s.Body, &said); err != nil {
		return fmt.Errorf("%w: %w", ErrNode, err)
	}
	switch {
	case string(said.UID) != string(a.UID):
		return fmt.Errorf("%w: signed as %s, asked %s", ErrNode, attest.Short(said.UID), attest.Short(a.UID))
	case said.Challenge != id.Of(challenge):
		return fmt.Errorf("%w: it answers challenge %s, asked %s", ErrNode, said.Challenge.Short(), id.Of(challenge).Short())
	case said.Evidence != id.Of(evidence):
		return fmt.Errorf("%w: it signed evidence %s, got %s", ErrNode, said.Evidence.Short(), id.Of(evidence).Short())
	}
	return nil
}

// answeredBy puts the link of the node's own signature in front. When it is
// broken, nothing after it was checked of this node.
func answeredBy(v *attest.Verdict, a NodeAnswer, broken error) {
	l := attest.Link{
		ID: LinkNode, Claim: "The node that was asked answered this challenge with this evidence",
		Rule:      "its identity key signed its user id and the hashes of challenge and evidence; the key is that of the account",
		NotProven: "That the identity key lies in this TPM, or that nobody else holds it; the quote says that a machine with this key measured itself.",
		Why:       "The answer came by way of the server, which could give that of another machine.",
		State:     attest.Pass, Found: "signed by " + attest.Short(a.Key),
		Data: []attest.Datum{{Name: "node", Value: a.UID}, {Name: "identity key", Value: a.Key}},
	}
	if broken != nil {
		l.State, l.Found = attest.Fail, broken.Error()
		for i := range v.Links {
			v.Links[i].State, v.Links[i].Found = attest.NotChecked, ""
		}
	}
	v.Links = append([]attest.Link{l}, v.Links...)
}

// JobKeyOf is the key that a verdict says lives in the machine's TPM and works
// in this state only: link job.key held. nil otherwise.
func JobKeyOf(v *attest.Verdict) []byte {
	if l := v.Link(attest.LinkJobKey); l == nil || l.State != attest.Pass && l.State != attest.Software {
		return nil
	}
	return v.JobKey
}
