package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"cipherdeck/attest/softtpm"
	"cipherdeck/remote/store/file"
)

// Names in the data directory.
const (
	TLSKeyFile   = "tls.key"
	softTPMFile  = "softtpm"
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

// softTPM starts the software TPM on the seed in the data directory: a seed of
// 32 bytes and a count of starts, which is part of every quote.
func softTPM(dir string) (*softtpm.TPM, error) {
	path := filepath.Join(dir, softTPMFile)
	var c softtpm.Config
	raw, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		_, _ = rand.Read(c.Seed[:]) // never fails: see crypto/rand
	case err != nil:
		return nil, err
	case len(raw) != len(c.Seed)+4:
		return nil, fmt.Errorf("%s: %d bytes, want %d", path, len(raw), len(c.Seed)+4)
	default:
		c.Seed = [32]byte(raw)
		c.ResetCount = binary.BigEndian.Uint32(raw[len(c.Seed):])
	}
	c.ResetCount++
	if err := file.Write(path, binary.BigEndian.AppendUint32(c.Seed[:], c.ResetCount)); err != nil {
		return nil, err
	}
	return softtpm.New(c), nil
}

// loadManifest is the signed manifest that goes into the evidence; nil when
// there is none, so that a client refuses at the manifest and says so.
func loadManifest(dir string) ([]byte, error) {
	raw, err := os.ReadFile(filepath.Join(dir, ManifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return raw, err
}
