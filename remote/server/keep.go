package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"cipherdeck/attest/device"
	"cipherdeck/attest/manifest"
	"cipherdeck/remote/store/file"
)

// Names in the data directory.
const (
	TLSKeyFile   = "tls.key"
	softTPMFile  = device.SoftFile
	ManifestFile = "manifest.bin"
	storeDir     = "store"
	blobDir      = "blobs"
)

// loadTLSKey reads the server's TLS key, or makes it at the first start. Its
// hash is what clients pin, so it must outlive every restart.
func loadTLSKey(dir string) (*ecdsa.PrivateKey, error) {
	path := filepath.Join(dir, TLSKeyFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newTLSKey(path)
	}
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(raw)
	if block == nil || block.Type != "PRIVATE KEY" || len(rest) != 0 {
		return nil, fmt.Errorf("%s: want one PEM block PRIVATE KEY", path)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%s: want an ECDSA key on P-256", path)
	}
	return key, nil
}

func newTLSKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, file.Write(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// openTPM opens the TPM of the configuration, with its state in the data
// directory.
func openTPM(c Config, dir string) (*device.Device, error) {
	spec := c.TPM
	if spec == "" {
		spec = device.Soft
	}
	d, err := device.Open(spec, dir)
	if err != nil {
		return nil, fmt.Errorf("tpm: %w", err)
	}
	return d, nil
}

// loadManifest is the signed manifest that goes into the evidence; nil when
// there is none. A bad one is shown all the same: clients refuse at its link and
// say why, and what is stored here can still be fetched.
func loadManifest(dir string, now time.Time, log *slog.Logger) ([]byte, error) {
	raw, err := os.ReadFile(filepath.Join(dir, ManifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := manifest.Peek(raw)
	if err != nil {
		log.Warn("the manifest is not well formed: clients that attest will refuse", "file", ManifestFile, "err", err)
		return raw, nil
	}
	if end := time.Unix(m.NotAfter, 0); !now.Before(end) {
		log.Warn("the manifest has ended: clients that attest will refuse", "file", ManifestFile, "ended", end.UTC().Format(time.DateOnly))
	}
	return raw, nil
}
