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

	"cipherdeck/remote/store/file"
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
		return k, file.Write(path, pem.EncodeToMemory(b))
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
		return raw, file.Write(path, raw)
	}
	if err == nil && len(raw) != n {
		err = fmt.Errorf("%w: %s has %d bytes, want %d", ErrDamaged, path, len(raw), n)
	}
	return raw, err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
