package node

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"log/slog"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/channel"
	"cipherdeck/attest/eventlog"
	"cipherdeck/attest/grant"
	"cipherdeck/attest/host"
	"cipherdeck/attest/self"
)

// eventNodeKey is what a node measures besides what servers do: whose it is. A
// server measures its TLS key at this place, so a manifest of the one never fits
// the other.
const eventNodeKey = "node-key"

// Golden is what a manifest has to say of a node that runs this very program.
// The manifest and the key are bound to the answer instead.
func Golden() ([]attest.Golden, error) {
	binary, err := self.Program()
	if err != nil {
		return nil, err
	}
	return []attest.Golden{
		{Name: self.Binary, Any: [][32]byte{binary}},
		{Name: self.Manifest, Bound: true},
		{Name: eventNodeKey, Bound: true},
		{Name: eventlog.Ready, Any: [][32]byte{eventlog.ReadyDigest()}},
	}, nil
}

// Machine is the machine of a node, measured, with a key in its TPM that jobs
// are sealed to and that works until the machine is changed or restarted.
type Machine struct {
	Keys      *grant.Key
	Kind      string // of its TPM, see host.Host
	host      *host.Host
	responder *channel.NodeResponder
}

// OpenMachine measures the machine of the node with this account and opens its
// TPM; the manifest lies in s.Dir. Do it before the node asks for work. Errors
// are those of host.Open.
func OpenMachine(s host.Spec, uid []byte, key ed25519.PrivateKey, log *slog.Logger, now time.Time) (*Machine, error) {
	signed, err := host.ReadManifest(s.Dir, now, log)
	if err != nil {
		return nil, err
	}
	binary, err := self.Of()
	if err != nil {
		return nil, err
	}
	h, err := host.Open(s, signed, binary, self.Signed(signed),
		self.Event{Name: eventNodeKey, Digest: sha256.Sum256(key.Public().(ed25519.PublicKey)), Text: "the node's identity key"})
	if err != nil {
		return nil, err
	}
	m := &Machine{Kind: h.Kind, host: h}
	// After the log is closed: the key is for the state that it is in now.
	if m.Keys, err = grant.NewKey(h.TPM, h.AK, attest.SHA256, channel.PCRs()); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	own := h.Machine
	own.JobKey = m.Keys.Point
	own.Key = &channel.Certified{}
	own.Key.Public, own.Key.Attest, own.Key.Signature = m.Keys.Certified()
	m.responder = channel.NewNodeResponder(own, uid, key)
	return m, nil
}

// Answer answers what clients ask: see Node.Answer.
func (m *Machine) Answer(ctx context.Context, kind string, body []byte) ([]byte, error) {
	return m.responder.Answer(ctx, kind, body)
}

// Close closes the TPM.
func (m *Machine) Close() error { return m.host.Close() }
