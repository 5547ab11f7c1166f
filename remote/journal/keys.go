package journal

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	keyPEM    = "CIPHERDECK JOURNAL KEY"
	keyPublic = "Public"
)

// loadKey reads the log's key, or makes it the first time. Clients pin it, so
// the file says which one it is: a flipped bit must not make another log.
func loadKey(path string) (ed25519.PrivateKey, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		b := &pem.Block{Type: keyPEM, Headers: map[string]string{keyPublic: publicText(k)}, Bytes: k.Seed()}
		return k, writeFile(path, pem.EncodeToMemory(b))
	}
	if err != nil {
		return nil, err
	}
	b, rest := pem.Decode(raw)
	var k ed25519.PrivateKey
	if b != nil && b.Type == keyPEM && len(b.Bytes) == ed25519.SeedSize && len(rest) == 0 {
		k = ed25519.NewKeyFromSeed(b.Bytes)
	}
	if k == nil || b.Headers[keyPublic] != publicText(k) {
		return nil, fmt.Errorf("%w: %s is not a journal's key; put it back from a backup: a new one would look like another log to every client", ErrDamaged, path)
	}
	return k, nil
}

func publicText(k ed25519.PrivateKey) string {
	return base64.StdEncoding.EncodeToString(k.Public().(ed25519.PublicKey))
}

// loadSecret reads n random bytes, or makes them the first time.
func loadSecret(path string, n int) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		raw = make([]byte, n)
		_, _ = rand.Read(raw) // never fails: see crypto/rand
		return raw, writeFile(path, raw)
	}
	if err == nil && len(raw) != n {
		err = fmt.Errorf("%w: %s has %d bytes, want %d", ErrDamaged, path, len(raw), n)
	}
	return raw, err
}

// writeFile puts a file in place, whole or not at all.
func writeFile(path string, body []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
