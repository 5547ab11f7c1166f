// Package sealedlog is a small encrypted file that only grows, and forgets
// nothing that it said was written.
//
// It keeps what a person did and no server knows yet: changes made offline, the
// key of an upload under way. Every entry is a message of its own,
//
//	u32 length ‖ u32 its complement ‖ Cobblestone-256(key, context ‖ number of the entry)
//
// written and synced before Append returns. A process that is killed leaves at
// most a beginning of one entry, which was not acknowledged, and which the next
// Open cuts off. Anything else that does not open is damage, and is said; the
// complement tells a damaged length from a missing end.
package sealedlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"cipherdeck/crypto/cobblestone"
	"cipherdeck/crypto/doc"
)

// ErrDamaged is wrapped when an entry does not open.
var ErrDamaged = errors.New("a file of unsent work is damaged, or of another vault")

const headSize = 8

// MaxEntry bounds an entry.
const MaxEntry = 8 << 20

// Log is an open log. It is for one process, which holds a lock.
type Log struct {
	f       *os.File
	key     [32]byte
	context []byte
	n       uint64
}

// Open opens the log at path, or makes it, and gives its entries. Errors wrap
// ErrDamaged.
func Open(path string, key [32]byte, context []byte) (*Log, [][]byte, error) {
	_, err := os.Lstat(path)
	fresh := errors.Is(err, fs.ErrNotExist)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	l := &Log{f: f, key: key, context: context}
	if fresh {
		if err := syncDir(filepath.Dir(path)); err != nil {
			f.Close()
			return nil, nil, err
		}
	}
	all, err := l.load()
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, all, nil
}

// Read gives the entries of a log without opening it for more; none when there
// is no file.
func Read(path string, key [32]byte, context []byte) ([][]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, _, err := (&Log{f: f, key: key, context: context}).scan()
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return all, err
}

func (l *Log) load() ([][]byte, error) {
	all, end, err := l.scan()
	if err != nil {
		return nil, err
	}
	if err := l.f.Truncate(end); err != nil {
		return nil, err
	}
	_, err = l.f.Seek(end, io.SeekStart)
	return all, err
}

// scan reads entries up to the end, or to where a last one was cut off.
func (l *Log) scan() (all [][]byte, end int64, err error) {
	fi, err := l.f.Stat()
	if err != nil {
		return nil, 0, err
	}
	size := fi.Size()
	for end+headSize <= size {
		var head [headSize]byte
		if _, err := l.f.ReadAt(head[:], end); err != nil {
			return nil, 0, err
		}
		u := binary.BigEndian.Uint32(head[:])
		n := int64(u)
		if n > MaxEntry+1<<16 || binary.BigEndian.Uint32(head[4:]) != ^u {
			return nil, 0, fmt.Errorf("%w: entry %d of %d bytes", ErrDamaged, l.n, n)
		}
		if end+headSize+n > size {
			break
		}
		sealed := make([]byte, n)
		if _, err := l.f.ReadAt(sealed, end+headSize); err != nil {
			return nil, 0, err
		}
		plain, err := cobblestone.Open(l.key, l.bound(), sealed)
		if err != nil {
			return nil, 0, fmt.Errorf("%w: entry %d: %w", ErrDamaged, l.n, err)
		}
		all = append(all, plain)
		end += headSize + n
		l.n++
	}
	return all, end, nil
}

// bound is the context of the next entry.
func (l *Log) bound() []byte {
	return doc.LP([]byte("cipherdeck/sealedlog/v1"), l.context, binary.BigEndian.AppendUint64(nil, l.n))
}

// Append adds an entry. When it returns nil the entry is on the disk.
func (l *Log) Append(entry []byte) error {
	if len(entry) > MaxEntry {
		return fmt.Errorf("an entry of %d bytes is too long, limit %d", len(entry), MaxEntry)
	}
	sealed, err := cobblestone.Seal(l.key, l.bound(), entry)
	if err != nil {
		return err
	}
	at, err := l.f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	u := uint32(len(sealed))
	frame := append(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, u), ^u), sealed...)
	_, err = l.f.Write(frame)
	if err == nil {
		err = l.f.Sync()
	}
	if err != nil {
		_ = l.f.Truncate(at) // a beginning would be cut off by the next Open anyway
		_, _ = l.f.Seek(at, io.SeekStart)
		return err
	}
	l.n++
	return nil
}

// Close closes the file.
func (l *Log) Close() error { return l.f.Close() }

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		err = nil // systems that cannot sync a directory
	}
	return errors.Join(err, d.Close())
}
