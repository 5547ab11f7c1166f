package server

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/backup"
	"cipherdeck/remote/store"
	"cipherdeck/remote/store/file"
	"cipherdeck/remote/store/jetstream"
)

// ErrInTheWay says that a restore would have to replace something.
var ErrInTheWay = errors.New("the folder is not empty")

// Restored is what came out of a bundle, after everything in it was verified.
type Restored struct {
	backup.Report
	Checked
}

// Restore makes the data directory dir of a bundle. Everything is written beside it
// and verified there: the TLS key against the header and, when pin is set, against
// the server that is meant; every blob against its hash, every project from its
// genesis. Only then it gets its name, so a bundle that is wrong changes nothing.
// dir must not exist, or be empty. Blobs go to files, whatever they came from. A
// bundle of an older format becomes a directory of that format.
func Restore(ctx context.Context, r io.Reader, dir string, pin *[32]byte) (Restored, error) {
	if err := vacant(dir); err != nil {
		return Restored{}, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return Restored{}, err
	}
	aside, err := os.MkdirTemp(filepath.Dir(dir), ".restore-*")
	if err != nil {
		return Restored{}, err
	}
	defer os.RemoveAll(aside)
	out, err := unpack(ctx, r, aside, pin)
	if err != nil {
		return out, err
	}
	if err := vacant(dir); err != nil { // it took a while
		return out, err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return out, err
	}
	return out, os.Rename(aside, dir)
}

func vacant(dir string) error {
	list, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && len(list) > 0 {
		err = fmt.Errorf("%s: %w: %s is there", dir, ErrInTheWay, list[0].Name())
	}
	return err
}

// unpack writes a bundle into the empty folder dir and verifies it.
func unpack(ctx context.Context, r io.Reader, dir string, pin *[32]byte) (Restored, error) {
	var out Restored
	e, err := jetstream.Open(ctx, jetstream.Config{Dir: filepath.Join(dir, storeDir), Lease: DefaultConfig().lease()})
	if err != nil {
		return out, err
	}
	u := &unpacking{ctx: ctx, dir: dir, pin: pin, docs: e.Docs(), rooms: map[id.ID]store.Blobs{}}
	out.Report, err = backup.Read(r, u)
	if err := errors.Join(err, e.Close()); err != nil {
		return out, err
	}
	have, err := pinOf(dir)
	if err != nil {
		return out, fmt.Errorf("%w: its TLS key: %w", backup.ErrBundle, err)
	}
	if got := hex.EncodeToString(have[:]); got != out.Pin {
		return out, fmt.Errorf("%w: the TLS key in it is of another server than its header says", ErrOtherData)
	}
	cfg := DefaultConfig()
	cfg.DataDir = dir
	err = offline(ctx, cfg, func(s *Server) (err error) {
		if s.format != out.Format {
			return fmt.Errorf("%w: its header says format %d, its files say %d", backup.ErrBundle, out.Format, s.format)
		}
		if s.format == Format {
			if err := checkStore(ctx, s.engine.Docs(), s.pin); err != nil {
				return err
			}
		}
		out.Checked, err = s.Check(ctx)
		return err
	})
	return out, err
}

// unpacking is a data directory in the making.
type unpacking struct {
	ctx   context.Context
	dir   string
	pin   *[32]byte
	docs  store.Docs
	rooms map[id.ID]store.Blobs
}

// Header refuses what this program cannot restore, before anything is written.
func (u *unpacking) Header(h backup.Header) error {
	switch {
	case h.Format > Format:
		return fmt.Errorf("%w: format %d, this program knows %d", ErrNewerData, h.Format, Format)
	case u.pin != nil && hex.EncodeToString(u.pin[:]) != h.Pin:
		return fmt.Errorf("%w: this is the backup of another server: its key is %.16s…", ErrOtherData, h.Pin)
	}
	return nil
}

// Doc writes a document.
func (u *unpacking) Doc(key string, body []byte) error {
	_, err := u.docs.Put(u.ctx, key, body, 0)
	return err
}

// File writes a private file.
func (u *unpacking) File(name string, body []byte) error {
	path := filepath.Join(u.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return file.Write(path, body)
}

// Blob writes a blob; its hash is checked on the way.
func (u *unpacking) Blob(b backup.Blob, body []byte) error {
	room, ok := u.rooms[b.Project]
	if !ok {
		f, err := file.Open(filepath.Join(u.dir, blobDir, hex.EncodeToString(b.Project[:])), backup.MaxSmall)
		if err != nil {
			return err
		}
		room = f
		u.rooms[b.Project] = room
	}
	return room.Put(u.ctx, b.ID, int64(len(body)), bytes.NewReader(body))
}
