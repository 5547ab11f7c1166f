package server

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"

	"github.com/google/go-tpm/tpm2/transport"

	"cipherdeck/attest"
	"cipherdeck/attest/eventlog"
)

// The events of a server's log, in this order, before "ready".
const (
	eventBinary   = "binary"
	eventConfig   = "config"
	eventManifest = "manifest"
	eventTLSKey   = "tls-key"
	eventJobKey   = "job-key"
)

// Golden is what a manifest has to say of a server that runs this very program
// with configuration c. The keys are bound to the connection instead.
func Golden(c Config) ([]attest.Golden, error) {
	binary, err := binaryDigest()
	if err != nil {
		return nil, err
	}
	config, err := c.Digest()
	if err != nil {
		return nil, err
	}
	return []attest.Golden{
		{Name: eventBinary, Any: [][32]byte{binary}},
		{Name: eventConfig, Any: [][32]byte{config}},
		{Name: eventManifest, Bound: true},
		{Name: eventTLSKey, Bound: true},
		{Name: eventJobKey, Bound: true},
		{Name: eventlog.Ready, Any: [][32]byte{eventlog.ReadyDigest()}},
	}, nil
}

// measure logs what is about to run and extends PCR 14 with it. After it the
// log is closed: nothing may be added while the server runs.
func measure(tpm transport.TPM, c Config, manifest []byte, spki [32]byte, jobKey []byte) ([]byte, error) {
	binary, err := binaryDigest()
	if err != nil {
		return nil, err
	}
	config, err := c.Digest()
	if err != nil {
		return nil, err
	}
	b, err := eventlog.NewBuilder(tpm)
	if err != nil {
		return nil, err
	}
	for _, e := range []struct {
		name   string
		digest [32]byte
		text   string
	}{
		{eventBinary, binary, "the running program"},
		{eventConfig, config, "the configuration, without listen and data_dir"},
		{eventManifest, sha256.Sum256(manifest), "the signed manifest; of no bytes when there is none"},
		{eventTLSKey, spki, "the TLS key, SubjectPublicKeyInfo"},
		{eventJobKey, sha256.Sum256(jobKey), "the key for sealed jobs; of no bytes when there is none"},
	} {
		if err := b.Add(e.name, e.digest, e.text); err != nil {
			return nil, fmt.Errorf("measure %s: %w", e.name, err)
		}
	}
	return b.Close()
}

// binaryDigest is the SHA-256 of the program that runs. The link in /proc leads
// to the very file that was started, also when its path has a new one by now.
func binaryDigest() (sum [32]byte, err error) {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		path, err := os.Executable()
		if err != nil {
			return sum, fmt.Errorf("measure the program: %w", err)
		}
		if f, err = os.Open(path); err != nil {
			return sum, fmt.Errorf("measure the program: %w", err)
		}
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, fmt.Errorf("measure the program: %w", err)
	}
	return [32]byte(h.Sum(nil)), nil
}
