package app

import (
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"cipherdeck/crypto/id"
	"cipherdeck/vault/project"
)

// folder is a cache of blobs on disk: ciphertext and links, as a server has
// them. Nobody trusts it: who reads from it checks names. It is not synced, and
// everything in it may be removed at any time.
type folder struct {
	dir  string
	sync bool // what is put is on the disk then, and never removed: it is no cache

	mu    sync.Mutex
	fresh int64 // bytes written since it was last made smaller
}

// How large a cache grows, and how much of it stays when it is made smaller.
const (
	cacheMost  = 512 << 20
	cacheLeast = 384 << 20
	cacheLook  = 32 << 20 // bytes written between two looks
)

// cached is srv with this machine's cache in front, if there is one.
func (a *App) cached(srv project.Server) project.Server {
	if c := a.cache(); c != nil {
		return project.Cached(srv, c)
	}
	return srv
}

// cache is where this machine keeps blobs; nil for nowhere.
func (a *App) cache() *folder {
	if a.cfg.StateDir == "" {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.blobs == nil {
		a.blobs = &folder{dir: filepath.Join(a.cfg.StateDir, "blobs")}
	}
	return a.blobs
}

func (f *folder) path(i id.ID) string {
	name := hex.EncodeToString(i[:])
	return filepath.Join(f.dir, name[:2], name)
}

// Get is blob i as it was kept.
func (f *folder) Get(i id.ID) ([]byte, bool) {
	b, err := readBounded(f.path(i), 2*project.PieceSize)
	return b, err == nil
}

// Has reports whether blob i is kept.
func (f *folder) Has(i id.ID) bool {
	_, err := os.Stat(f.path(i))
	return err == nil
}

// Put keeps a blob. What cannot be kept is fetched again later.
func (f *folder) Put(i id.ID, b []byte) {
	path := f.path(i)
	if _, err := os.Stat(path); err == nil {
		return
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "new-")
	if err != nil {
		return
	}
	_, err = tmp.Write(b)
	if err == nil && f.sync {
		err = tmp.Sync()
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err != nil || os.Rename(tmp.Name(), path) != nil {
		os.Remove(tmp.Name())
		return
	}
	if f.sync {
		return
	}
	f.mu.Lock()
	f.fresh += int64(len(b))
	look := f.fresh > cacheLook
	if look {
		f.fresh = 0
	}
	f.mu.Unlock()
	if look {
		f.shrink(cacheMost, cacheLeast)
	}
}

// IDs are the names of all blobs that are kept.
func (f *folder) IDs() ([]id.ID, error) {
	var out []id.ID
	err := filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		if err != nil || d.IsDir() {
			return nil
		}
		raw, err := hex.DecodeString(d.Name())
		if err != nil {
			return nil // left by a process that was killed
		}
		if i, err := id.FromBytes(raw); err == nil {
			out = append(out, i)
		}
		return nil
	})
	return out, err
}

// shrink removes the oldest files when there are more than most bytes.
func (f *folder) shrink(most, least int64) {
	type file struct {
		path string
		fs.FileInfo
	}
	var all []file
	var total int64
	_ = filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if fi, err := d.Info(); err == nil {
			all = append(all, file{path, fi})
			total += fi.Size()
		}
		return nil
	})
	if total <= most {
		return
	}
	slices.SortFunc(all, func(a, b file) int { return a.ModTime().Compare(b.ModTime()) })
	for _, x := range all {
		if total <= least {
			return
		}
		if os.Remove(x.path) == nil {
			total -= x.Size()
		}
	}
}
