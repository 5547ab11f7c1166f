package journal

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
	"cipherdeck/remote/store/file"
)

// maxBody bounds what is read of one; links are the largest documents.
const maxBody = 1 << 20

// bodies are the documents, each in a file named by its tag. They are a second
// copy: a store that lost one gets it from here, and the other way round.
type bodies struct{ dir string }

func (b bodies) path(tag id.ID) string {
	s := hex.EncodeToString(tag[:])
	return filepath.Join(b.dir, s[:2], s[2:])
}

func (b bodies) has(tag id.ID) bool {
	_, err := os.Stat(b.path(tag))
	return err == nil
}

func (b bodies) put(raw []byte) error {
	path := b.path(tlog.DocTag(raw))
	dir := filepath.Dir(path)
	if err := os.Mkdir(dir, 0o700); err == nil {
		if err := syncDir(b.dir); err != nil {
			return err
		}
	} else if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := errors.Join(syncDir(b.dir), syncDir(filepath.Dir(b.dir))); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := file.Write(path, raw); err != nil {
		return err
	}
	// Somebody has it again, and it was accepted again.
	if err := os.Remove(path + forgotten); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// get reads a document; one that does not match its tag is ErrDamaged.
func (b bodies) get(tag id.ID) ([]byte, error) {
	path := b.path(tag)
	if fi, err := os.Stat(path); err == nil && fi.Size() > maxBody {
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrDamaged, path, fi.Size())
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(path + forgotten); err == nil {
			return nil, ErrForgotten
		}
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	if tlog.DocTag(raw) != tag {
		return nil, fmt.Errorf("%w: %s", ErrDamaged, path)
	}
	return raw, nil
}

// forgotten marks a document that was removed on purpose, so that nobody takes
// it for lost. The mark says nothing that the leaf does not say.
const forgotten = ".forgotten"

// forget removes a document, after the mark is on disk. The leaf stays, and says
// nothing by itself.
func (b bodies) forget(tag id.ID) error {
	path := b.path(tag)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := file.Write(path+forgotten, nil); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// Body is a document that was recorded. Errors wrap ErrNotFound,
// ErrForgotten or ErrDamaged.
func (l *Log) Body(doc id.ID) ([]byte, error) { return l.bodies.get(doc) }

// PutBody keeps a document whose body file is missing or damaged.
func (l *Log) PutBody(raw []byte) error { return l.bodies.put(raw) }

// Forget removes a document from the bodies, for whoever has a right to that. A
// store that still has it makes the journal keep it again at the next comparison.
func (l *Log) Forget(doc id.ID) error { return l.bodies.forget(doc) }
