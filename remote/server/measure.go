package server

import (
	"crypto/sha256"

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

// measured is what is about to run, for PCR 14. There is no key for sealed jobs:
// servers run none.
func measured(c Config, manifest []byte, spki [32]byte) ([]self.Event, error) {
	binary, err := self.Of()
	if err != nil {
		return nil, err
	}
	config, err := c.Digest()
	if err != nil {
		return nil, err
	}
	return []self.Event{binary,
		{Name: eventConfig, Digest: config, Text: "the configuration, without listen and data_dir"},
		self.Signed(manifest),
		{Name: eventTLSKey, Digest: spki, Text: "the TLS key, SubjectPublicKeyInfo"},
		{Name: eventJobKey, Digest: sha256.Sum256(nil), Text: "the key for sealed jobs; of no bytes when there is none"},
	}, nil
}
