// Package witness cosigns the checkpoints of other people's logs, as C2SP
// tlog-witness has it: it remembers, for each log that it was told of, the
// largest tree it has seen, and signs only what continues that one.
//
// A log that shows two people two histories needs cosignatures on both, and an
// honest witness gives one. It keeps nothing but a size and a root for each log,
// and it learns nothing of what the log holds.
package witness

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
	"cipherdeck/remote/store/file"
)

// The errors of this package, beside those of tlog and Conflict.
var (
	ErrUnknown   = errors.New("this witness was not told of the log")
	ErrUntrusted = errors.New("not signed by the key that this witness has for the log")
	ErrRequest   = errors.New("not a request to a witness")
	ErrBusy      = errors.New("another process runs this witness")
	ErrState     = errors.New("what this witness remembers is damaged")
)

// Conflict says that the caller's idea of what this witness saw is wrong, or
// that the log has two roots for one size.
type Conflict struct {
	Size uint64 // of the largest tree seen
	Fork bool   // two roots
}

// Error tells which of the two it is.
func (c *Conflict) Error() string {
	if c.Fork {
		return fmt.Sprintf("the log has two roots for %d leaves", c.Size)
	}
	return fmt.Sprintf("the largest log seen has %d leaves", c.Size)
}

const (
	keyFile = "witness.key"
	keyPEM  = "CIPHERDECK WITNESS KEY"
)

// sighting is the largest tree of a log that was cosigned.
type sighting struct {
	Origin string `json:"origin"`
	Size   uint64 `json:"size"`
	Root   id.ID  `json:"root"`
	At     int64  `json:"at"` // Unix seconds
}

// Witness is an open witness. It is safe for concurrent use.
type Witness struct {
	dir    string
	signer *tlog.Signer
	now    func() time.Time
	logs   map[string]tlog.Key
	unlock func() error

	mu sync.Mutex
}

// Open opens the witness in dir, or makes its key the first time, for the given
// logs. name is what it signs under; "" makes one of its key.
func Open(_ context.Context, dir, name string, logs []tlog.Key, now func() time.Time) (*Witness, error) {
	if now == nil {
		now = time.Now
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	w := &Witness{dir: dir, now: now, logs: map[string]tlog.Key{}, unlock: unlock}
	if err := w.load(name, logs); err != nil {
		return nil, errors.Join(err, unlock())
	}
	return w, nil
}

func (w *Witness) load(name string, logs []tlog.Key) error {
	key, err := loadKey(filepath.Join(w.dir, keyFile))
	if err != nil {
		return err
	}
	if name == "" {
		name = "cipherdeck-witness/" + hex.EncodeToString(key.Public().(ed25519.PublicKey)[:8])
	}
	if w.signer, err = tlog.NewSigner(tlog.Witness, name, key, w.now); err != nil {
		return err
	}
	for _, k := range logs {
		if k.Kind != tlog.Log {
			return fmt.Errorf("%w: %s is not the key of a log", tlog.ErrKey, k.Name)
		}
		if o, twice := w.logs[k.Name]; twice && !o.Equal(k) {
			return fmt.Errorf("%w: two keys for the log %s", tlog.ErrKey, k.Name)
		}
		w.logs[k.Name] = k
	}
	return nil
}

// Key is the public key of the witness, for the policies of others.
func (w *Witness) Key() tlog.Key { return w.signer.Key }

// Close lets another process open the witness.
func (w *Witness) Close() error { return w.unlock() }

// Add cosigns a checkpoint if path shows that it continues the tree of old
// leaves, which must be the largest one seen. What was seen is on disk before
// the signature exists.
func (w *Witness) Add(old uint64, path []id.ID, checkpoint []byte) ([]byte, error) {
	origin, err := tlog.OriginOf(checkpoint)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	log, ok := w.logs[origin]
	if !ok {
		return nil, ErrUnknown
	}
	c, err := tlog.OpenCheckpoint(checkpoint, log)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	if old > c.Size {
		return nil, fmt.Errorf("%w: from %d leaves to %d", ErrRequest, old, c.Size)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	last, err := w.last(origin)
	if err != nil {
		return nil, err
	}
	if old != last.Size {
		return nil, &Conflict{Size: last.Size}
	}
	if last.Size == c.Size && last.Root != c.Root {
		return nil, &Conflict{Size: last.Size, Fork: true}
	}
	if err := c.Continues(last.Size, last.Root, path); err != nil {
		return nil, err
	}
	if err := w.save(sighting{Origin: origin, Size: c.Size, Root: c.Root, At: w.now().Unix()}); err != nil {
		return nil, err
	}
	return w.signer.Cosign(c)
}

func (w *Witness) path(origin string) string {
	name := id.Of([]byte(origin))
	return filepath.Join(w.dir, hex.EncodeToString(name[:])+".seen")
}

// last is what was seen of a log; the empty tree before the first time. What
// cannot be read is an error: a witness that forgot would sign a fork.
func (w *Witness) last(origin string) (s sighting, err error) {
	raw, err := os.ReadFile(w.path(origin))
	if errors.Is(err, fs.ErrNotExist) {
		return sighting{Origin: origin, Root: id.Of(nil)}, nil
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(raw, &s); err != nil || s.Origin != origin {
		return s, fmt.Errorf("%w: %s", ErrState, w.path(origin))
	}
	return s, nil
}

func (w *Witness) save(s sighting) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return file.Write(w.path(s.Origin), append(raw, '\n'))
}

// loadKey reads the witness's key, or makes it the first time.
func loadKey(path string) (ed25519.PrivateKey, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		return k, file.Write(path, pem.EncodeToMemory(&pem.Block{Type: keyPEM, Bytes: k.Seed()}))
	}
	if err != nil {
		return nil, err
	}
	b, rest := pem.Decode(raw)
	if b == nil || b.Type != keyPEM || len(b.Bytes) != ed25519.SeedSize || len(rest) != 0 {
		return nil, fmt.Errorf("%w: %s is not a witness's key", ErrState, path)
	}
	return ed25519.NewKeyFromSeed(b.Bytes), nil
}
