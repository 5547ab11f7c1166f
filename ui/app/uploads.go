package app

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/vault/private"
	"cipherdeck/vault/project"
	"cipherdeck/vault/sealedlog"
)

// begun is an upload that was begun and not finished, as it is kept beside the
// vault: what project.Send needs, and which file it was.
type begun struct {
	Upload project.Upload `cbor:"1,keyasint"`
	Size   int64          `cbor:"2,keyasint"`
	Time   int64          `cbor:"3,keyasint"` // of the file, Unix nanoseconds
}

// upload sends f, and goes on with an upload of the same file that was cut
// short. When a new epoch began, it begins anew under a new key.
func (a *App) upload(ctx context.Context, p *project.Project, m project.Meta, update bool, f *os.File, sink progress.Sink) (project.Item, error) {
	fi, err := f.Stat()
	if err != nil {
		return project.Item{}, err
	}
	path, err := a.uploadPath(p, m.Name, f.Name(), update)
	if err != nil {
		return project.Item{}, err
	}
	unlock, err := private.Lock(path)
	if err != nil {
		return project.Item{}, fmt.Errorf("this file is being sent already: %w", err)
	}
	defer unlock()
	b, err := a.beginUpload(ctx, p, path, m.Name, update, fi)
	if err != nil {
		return project.Item{}, err
	}
	it, err := p.Send(ctx, b.Upload, m, f, sink)
	if isEpoch(err) {
		os.Remove(path)
		if b, err = a.beginUpload(ctx, p, path, m.Name, update, fi); err != nil {
			return it, err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return it, err
		}
		it, err = p.Send(ctx, b.Upload, m, f, sink)
	}
	if err == nil {
		os.Remove(path)
	}
	return it, err
}

// uploadPath is where the state of an upload is kept: one place for one file
// and one name in one project.
func (a *App) uploadPath(p *project.Project, name, file string, update bool) (string, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(a.cfg.Home, "uploads")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	pid := p.ID()
	key := id.Of(doc.LP(pid[:], []byte(name), []byte(abs), fmt.Append(nil, update)))
	return filepath.Join(dir, hex.EncodeToString(key[:16])), nil
}

// beginUpload takes up what is kept at path, or begins and keeps it.
func (a *App) beginUpload(ctx context.Context, p *project.Project, path, name string, update bool, fi os.FileInfo) (begun, error) {
	var b begun
	_, me, err := a.opened()
	if err != nil {
		return b, err
	}
	key, err := project.LocalKey(me, p.ID(), "upload")
	if err != nil {
		return b, err
	}
	pid := p.ID()
	all, err := sealedlog.Read(path, key, pid[:])
	if err == nil && len(all) == 1 && doc.Decode(all[0], &b) == nil && b.Upload.Epoch == p.State().Epoch().Number {
		b.Upload.Again = true
		if b.Size != fi.Size() || b.Time != fi.ModTime().UnixNano() {
			a.notice("the file changed since its upload was cut short; what is the same is not sent again")
		} else {
			a.notice("going on with the upload that was cut short")
		}
		return b, nil
	}
	// Nothing to go on with, or it belongs to an epoch that is over.
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return b, err
	}
	u, err := p.Begin(ctx, name, update)
	if err != nil {
		return b, err
	}
	b = begun{Upload: u, Size: fi.Size(), Time: fi.ModTime().UnixNano()}
	raw, err := doc.Encode(b)
	if err != nil {
		return b, err
	}
	l, _, err := sealedlog.Open(path, key, pid[:])
	if err != nil {
		return b, err
	}
	defer l.Close()
	return b, l.Append(raw)
}
