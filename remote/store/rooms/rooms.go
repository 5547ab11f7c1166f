package rooms

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
	"cipherdeck/remote/store/file"
	"cipherdeck/remote/store/ipfs"
	"cipherdeck/remote/store/mirror"
	"cipherdeck/remote/store/s3"
	"cipherdeck/remote/store/sftp"
)

// Options is what a house of rooms is made of.
type Options struct {
	Dir    string // of this machine: blobs of kind file, and the names of all rooms
	Max    int64  // bytes of a blob
	Place  Place
	Second *Place                    // of a copy of everything, or nil
	Shared bool                      // another process may have the rooms open too: it clears its own leftovers
	Healed func(id.ID, id.ID, error) // told of a project's blob that was mended; may be nil
	Now    func() time.Time
}

// House is the rooms of all projects.
type House struct {
	o      Options
	places []place
	close  []io.Closer

	mu   sync.Mutex
	open map[id.ID]store.Blobs
}

// place opens the room of a name somewhere.
type place func(name string) (store.Blobs, error)

// Open reads the keys of every place; it connects to none.
func Open(o Options) (*House, error) {
	h := &House{o: o, open: map[id.ID]store.Blobs{}}
	all := []Place{o.Place}
	if o.Second != nil {
		all = append(all, *o.Second)
	}
	for n, p := range all {
		if err := p.Check(); err != nil {
			return nil, errors.Join(err, h.Close())
		}
		open, err := h.place(p, n == 1)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%w: kind %s: %w", ErrConfig, p.Kind, err), h.Close())
		}
		h.places = append(h.places, open)
	}
	if o.Second != nil && *o.Second == o.Place {
		return nil, errors.Join(fmt.Errorf("%w: both copies would be in the same place", ErrConfig), h.Close())
	}
	return h, nil
}

func (h *House) place(p Place, second bool) (place, error) {
	switch p.Kind {
	case S3:
		return h.s3(p)
	case SFTP:
		c, err := sftp.Open(sftp.Target{Addr: p.Addr, User: p.User, Dir: p.Dir, KeyFile: p.KeyFile, HostKey: p.HostKey})
		if err != nil {
			return nil, err
		}
		h.close = append(h.close, c)
		return func(name string) (store.Blobs, error) { return c.Blobs(name, h.o.Max), nil }, nil
	case IPFS:
		token, err := secret(p.TokenFile)
		if err != nil {
			return nil, err
		}
		n, err := ipfs.Open(p.Endpoint, token)
		if err != nil {
			return nil, err
		}
		return func(name string) (store.Blobs, error) { return n.Blobs(name, h.o.Max), nil }, nil
	}
	dir := p.Dir
	if dir == "" {
		dir = h.o.Dir
	}
	if second && filepath.Clean(dir) == filepath.Clean(h.o.Dir) {
		return nil, errors.New("dir: the second copy needs a folder of its own, best on another disk")
	}
	if h.o.Shared {
		return func(name string) (store.Blobs, error) { return file.Join(filepath.Join(dir, name), h.o.Max) }, nil
	}
	return func(name string) (store.Blobs, error) { return file.Open(filepath.Join(dir, name), h.o.Max) }, nil
}

func (h *House) s3(p Place) (place, error) {
	access, err := secret(p.AccessKeyFile)
	if err != nil {
		return nil, err
	}
	key, err := secret(p.SecretKeyFile)
	if err != nil {
		return nil, err
	}
	b, err := s3.Open(p.Endpoint, p.Bucket, s3.Keys{Access: access, Secret: key, Region: p.Region}, h.o.Now)
	if err != nil {
		return nil, err
	}
	return func(name string) (store.Blobs, error) {
		blobs := b.Blobs(strings.Trim(p.Prefix+"/"+name, "/"), h.o.Max)
		if !p.Direct || h.o.Second != nil { // who comes directly would fill one of two places
			return struct{ store.Blobs }{blobs}, nil
		}
		return blobs, nil
	}, nil
}

// secret is the one line of a file that only its owner may read.
func secret(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s: others may read it: chmod 600", path)
	}
	raw, err := os.ReadFile(path)
	return strings.TrimSpace(string(raw)), err
}

// Room is the blobs of project pid. It must exist: a room that is opened is
// remembered.
func (h *House) Room(pid id.ID) (store.Blobs, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if have, ok := h.open[pid]; ok {
		return have, nil
	}
	name := hex.EncodeToString(pid[:])
	if err := file.MakeDir(filepath.Join(h.o.Dir, name)); err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	var all []store.Blobs
	for _, p := range h.places {
		b, err := p(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		all = append(all, b)
	}
	b := all[0]
	if len(all) == 2 {
		b = mirror.New(all[0], all[1], h.o.Max, func(i id.ID, why error) {
			if h.o.Healed != nil {
				h.o.Healed(pid, i, why)
			}
		})
	}
	h.open[pid] = b
	return b, nil
}

// Names are the projects that have a room.
func (h *House) Names() ([]id.ID, error) {
	entries, err := os.ReadDir(h.o.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	var all []id.ID
	for _, e := range entries {
		var i id.ID
		if n, err := hex.Decode(i[:], []byte(e.Name())); len(e.Name()) == 2*len(i) && err == nil && n == len(i) {
			all = append(all, i)
		}
	}
	return all, nil
}

// Close ends what connections there are.
func (h *House) Close() error {
	var all []error
	for _, c := range h.close {
		all = append(all, c.Close())
	}
	return errors.Join(all...)
}
