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
	"os"
	"path/filepath"

	"cipherdeck/attest/device"
	"cipherdeck/attest/host"
	"cipherdeck/remote/store/file"
)

// Names in the data directory.
const (
	TLSKeyFile   = "tls.key"
	softTPMFile  = device.SoftFile
	ManifestFile = host.ManifestFile
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
