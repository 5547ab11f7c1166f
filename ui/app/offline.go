package app

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/seal"
	"cipherdeck/remote/api"
	"cipherdeck/vault/private"
	"cipherdeck/vault/project"
	"cipherdeck/vault/sealedlog"
)

// unsent is the place of what was done to a project while its server was not
// there: a sealed log of changes, and the pieces they need.
type unsent struct {
	dir string
	pid id.ID
	key [32]byte
	out *folder
}

// frame is an entry of the log: a change, or a note that keys went out.
type frame struct {
	Op   *project.Op `cbor:"1,keyasint,omitempty"`
	Sent uint32      `cbor:"2,keyasint,omitempty"` // epoch in force then
}

func (a *App) unsent(pid id.ID) (*unsent, error) {
	_, me, err := a.opened()
	if err != nil {
		return nil, err
	}
	key, err := project.LocalKey(me, pid, "offline")
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(a.cfg.Home, "offline", hex.EncodeToString(pid[:16]))
	return &unsent{dir: dir, pid: pid, key: key, out: &folder{dir: filepath.Join(dir, "blobs"), sync: true}}, nil
}

func (u *unsent) path() string { return filepath.Join(u.dir, "log") }

// read gives the changes that wait, and the epoch under which their keys went
// out last; 0 if they did not.
func (u *unsent) read() (ops []project.Op, sent uint32, err error) {
	all, err := sealedlog.Read(u.path(), u.key, u.pid[:])
	for _, raw := range all {
		var f frame
		if err := doc.Decode(raw, &f); err != nil {
			return nil, 0, fmt.Errorf("%w: %w", sealedlog.ErrDamaged, err)
		}
		if f.Op != nil {
			ops = append(ops, *f.Op)
		}
		sent = max(sent, f.Sent)
	}
	return ops, sent, err
}

// Append keeps a change. When it returns nil the change is on the disk.
func (u *unsent) Append(o project.Op) error {
	unlock, err := u.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return u.add(frame{Op: &o})
}

func (u *unsent) add(frames ...frame) error {
	if err := os.MkdirAll(u.dir, 0o700); err != nil {
		return err
	}
	return u.addTo(u.path(), frames...)
}

func (u *unsent) addTo(path string, frames ...frame) error {
	l, _, err := sealedlog.Open(path, u.key, u.pid[:])
	if err != nil {
		return err
	}
	defer l.Close()
	for _, f := range frames {
		raw, err := doc.Encode(f)
		if err != nil {
			return err
		}
		if err := l.Append(raw); err != nil {
			return err
		}
	}
	return nil
}

// lock keeps another process of mine away.
func (u *unsent) lock() (func(), error) {
	if err := os.MkdirAll(u.dir, 0o700); err != nil {
		return nil, err
	}
	return private.Lock(u.path())
}

// rekey gives all content a new key, in a new log that takes the place of the
// old one.
func (u *unsent) rekey(ops []project.Op) ([]project.Op, error) {
	next := u.path() + ".new"
	if err := os.Remove(next); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	out, frames := make([]project.Op, len(ops)), make([]frame, len(ops))
	for k := range ops {
		var err error
		if out[k], err = project.Rekey(ops[k], u.out); err != nil {
			return nil, err
		}
		frames[k] = frame{Op: &out[k]}
	}
	if err := u.addTo(next, frames...); err != nil {
		return nil, err
	}
	return out, os.Rename(next, u.path())
}

// drop forgets everything: the log first, because pieces without it are nothing.
func (u *unsent) drop() error {
	if err := os.Remove(u.path()); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.RemoveAll(u.out.dir)
}

// ProjectHere opens a project. With offline, or when its server is not
// reachable, it is opened from what this machine keeps, as it was seen last;
// changes are kept then, until SyncProject sends them.
func (a *App) ProjectHere(ctx context.Context, name string, offline bool) (*project.Project, error) {
	if !offline {
		p, err := a.Project(ctx, name)
		if err == nil {
			a.tellUnsent(p)
			return p, nil
		}
		if !errors.Is(err, api.ErrUnreachable) || a.cache() == nil {
			return nil, err
		}
		q, here := a.openHere(ctx, name)
		if here != nil {
			return nil, err
		}
		a.notice(fmt.Sprintf("! the server is not reachable: this is the project as it was seen here, at link %d", q.State().Seq))
		return q, nil
	}
	if a.cache() == nil {
		return nil, fmt.Errorf("%w: nothing is kept on this machine", project.ErrOffline)
	}
	return a.openHere(ctx, name)
}

func (a *App) openHere(ctx context.Context, name string) (*project.Project, error) {
	r, err := a.projectRecord(name)
	if err != nil {
		return nil, err
	}
	_, me, err := a.opened()
	if err != nil {
		return nil, err
	}
	u, err := a.unsent(r.ID)
	if err != nil {
		return nil, err
	}
	p, err := project.Open(ctx, project.Local(r.head, a.cache(), u.out), me, r.ID, project.Seen{Seq: r.Seq, Head: r.head}, a.cfg.Now)
	if err != nil {
		return nil, err
	}
	ops, _, err := u.read()
	if err != nil {
		return nil, err
	}
	return p, p.KeepIntents(ctx, u, ops)
}

// Unsent is how many changes of p wait on this machine.
func (a *App) Unsent(p *project.Project) (int, error) {
	u, err := a.unsent(p.ID())
	if err != nil {
		return 0, err
	}
	ops, _, err := u.read()
	return len(ops), err
}

func (a *App) tellUnsent(p *project.Project) {
	if n, err := a.Unsent(p); err != nil {
		a.notice("! " + err.Error())
	} else if n > 0 {
		a.notice(fmt.Sprintf("! waiting here: %d change(s) made offline; send with: project sync", n))
	}
}

// SyncProject sends what was done offline.
func (a *App) SyncProject(ctx context.Context, name string, sink progress.Sink) (*project.Project, []project.Outcome, error) {
	r, err := a.projectRecord(name)
	if err != nil {
		return nil, nil, err
	}
	u, err := a.unsent(r.ID)
	if err != nil {
		return nil, nil, err
	}
	unlock, err := u.lock()
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	ops, sent, err := u.read()
	if err != nil {
		return nil, nil, err
	}
	p, err := a.Project(ctx, name)
	if err != nil {
		return nil, nil, refusedIntents(err, len(ops))
	}
	if len(ops) == 0 {
		return p, nil, u.drop()
	}
	done, err := u.send(ctx, p, ops, sent, sink)
	if err != nil {
		return nil, nil, refusedIntents(err, len(ops))
	}
	if err := a.noteHead(p); err != nil {
		return nil, nil, err
	}
	return p, done, u.drop()
}

// send sends ops; under new keys when those they have went out in an epoch that
// is over.
func (u *unsent) send(ctx context.Context, p *project.Project, ops []project.Op, sent uint32, sink progress.Sink) ([]project.Outcome, error) {
	var err error
	for range 3 {
		if sent != 0 && sent != p.State().Epoch().Number && project.HasKeys(ops) {
			if ops, err = u.rekey(ops); err != nil {
				return nil, err
			}
		}
		var done []project.Outcome
		done, err = p.Sync(ctx, ops, u.out, func(epoch uint32) error {
			sent = epoch
			return u.add(frame{Sent: epoch})
		}, sink)
		if !isEpoch(err) {
			return done, err
		}
	}
	return nil, err
}

// refusedIntents says where the work of somebody is who may not send it.
func refusedIntents(err error, n int) error {
	if n > 0 && (errors.Is(err, project.ErrNotMember) || errors.Is(err, chain.ErrRight) || errors.Is(err, api.ErrForbidden)) {
		return fmt.Errorf("%w: %d changes made offline are not sent; project sync --export DIR writes them to files here, --discard forgets them", err, n)
	}
	return err
}

// ExportUnsent writes the content of changes that wait into the folder dir,
// with a list of all of them, and gives the names of the files.
func (a *App) ExportUnsent(name, dir string) ([]string, error) {
	r, err := a.projectRecord(name)
	if err != nil {
		return nil, err
	}
	u, err := a.unsent(r.ID)
	if err != nil {
		return nil, err
	}
	ops, _, err := u.read()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	type line struct {
		Do   string   `json:"do"`
		Name string   `json:"item,omitempty"`
		File string   `json:"file,omitempty"`
		Text string   `json:"text,omitempty"`
		Tags []string `json:"tags,omitempty"`
		Drop []string `json:"untag,omitempty"`
	}
	var lines []line
	var files []string
	for k, o := range ops {
		l := line{Do: o.Do, Name: o.Name, Text: o.Text, Tags: o.Tags, Drop: o.Untag}
		if o.Version != nil {
			l.File = fmt.Sprintf("%d-%s", k+1, fileName(o.Name))
			if err := seal.WriteFile(filepath.Join(dir, l.File), false, func(w io.Writer) error { return project.WriteContent(o, u.out, w) }); err != nil {
				return nil, err
			}
			files = append(files, l.File)
		}
		lines = append(lines, l)
	}
	raw, err := json.MarshalIndent(lines, "", "  ")
	if err != nil {
		return nil, err
	}
	list := "changes.json"
	err = seal.WriteFile(filepath.Join(dir, list), false, func(w io.Writer) error { _, err := w.Write(append(raw, '\n')); return err })
	return append(files, list), err
}

// fileName makes the name of an item one for a file.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`/\:*?"<>|`, r) || r == 0x7f {
			return '_'
		}
		return r
	}, name)
}

// DiscardUnsent forgets what was done offline, and says how many changes.
func (a *App) DiscardUnsent(name string) (int, error) {
	r, err := a.projectRecord(name)
	if err != nil {
		return 0, err
	}
	u, err := a.unsent(r.ID)
	if err != nil {
		return 0, err
	}
	unlock, err := u.lock()
	if err != nil {
		return 0, err
	}
	defer unlock()
	ops, _, err := u.read()
	if err != nil {
		return 0, err
	}
	return len(ops), u.drop()
}
