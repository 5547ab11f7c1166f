package server

import (
	"crypto/sha256"

	"github.com/google/go-tpm/tpm2/transport"

	"cipherdeck/attest"
	"cipherdeck/attest/eventlog"
	"cipherdeck/attest/self"
)

// The events of a server's log besides those of package self, before "ready".
const (
	eventConfig = "config"
	eventTLSKey = "tls-key"
	eventJobKey = "job-key"
)

// Golden is what a manifest has to say of a server that runs this very program
// with configuration c. The keys are bound to the connection instead.
func Golden(c Config) ([]attest.Golden, error) {
	binary, err := self.Program()
	if err != nil {
		return nil, err
	}
	config, err := c.Digest()
	if err != nil {
		return nil, err
	}
	return []attest.Golden{
		{Name: self.Binary, Any: [][32]byte{binary}},
		{Name: eventConfig, Any: [][32]byte{config}},
		{Name: self.Manifest, Bound: true},
		{Name: eventTLSKey, Bound: true},
		{Name: eventJobKey, Bound: true},
		{Name: eventlog.Ready, Any: [][32]byte{eventlog.ReadyDigest()}},
	}, nil
}

// measure logs what is about to run and extends PCR 14 with it. After it the
// log is closed: nothing may be added while the server runs.
func measure(tpm transport.TPM, c Config, manifest []byte, spki [32]byte, jobKey []byte) ([]byte, error) {
	binary, err := self.Of()
	if err != nil {
		return nil, err
	}
	config, err := c.Digest()
	if err != nil {
		return nil, err
	}
	return self.Measure(tpm, binary,
		self.Event{Name: eventConfig, Digest: config, Text: "the configuration, without listen and data_dir"},
		self.Signed(manifest),
		self.Event{Name: eventTLSKey, Digest: spki, Text: "the TLS key, SubjectPublicKeyInfo"},
		self.Event{Name: eventJobKey, Digest: sha256.Sum256(jobKey), Text: "the key for sealed jobs; of no bytes when there is none"},
	)
}
