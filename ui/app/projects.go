package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/remote/api"
	"cipherdeck/vault"
	"cipherdeck/vault/dataset"
	"cipherdeck/vault/project"
)

// ProjectInfo is a project as the vault knows it.
type ProjectInfo struct {
	Name   string `json:"name"`
	ID     id.ID  `json:"id"`
	Server string `json:"server"`
	Seq    uint64 `json:"seq"`
}

// place is a project's place on a server, with the client's errors turned into
// the project's own.
type place struct{ *api.Project }

// CAS stores the head if it is still at revision prev.
func (p place) CAS(ctx context.Context, key string, body []byte, prev uint64) (uint64, error) {
	rev, err := p.Project.CAS(ctx, key, body, prev)
	if errors.Is(err, api.ErrConflict) {
		err = fmt.Errorf("%w: %w", project.ErrConflict, err)
	}
	return rev, err
}

// NewProject starts a project on a pinned server.
func (a *App) NewProject(ctx context.Context, name, server string) (*project.Project, error) {
	c, err := a.store(server)
	if err != nil {
		return nil, err
	}
	_, me, err := a.opened()
	if err != nil {
		return nil, err
	}
	if _, err := a.projectRecord(name); err == nil {
		return nil, fmt.Errorf("%w: you have a project called %q", ErrTaken, name)
	}
	if err := c.Enrol(ctx); err != nil {
		return nil, err
	}
	create := func(ctx context.Context, genesis []byte) (project.Server, error) {
		p, err := c.CreateProject(ctx, genesis)
		return place{p}, err
	}
	p, err := project.Create(ctx, create, me, name, a.cfg.Now)
	if err != nil {
		return nil, err
	}
	return p, a.noteProject(p, server)
}

// Project opens a project that the vault knows, by its name or id.
func (a *App) Project(ctx context.Context, name string) (*project.Project, error) {
	r, err := a.projectRecord(name)
	if err != nil {
		return nil, err
	}
	return a.open(ctx, r.Server, r.ID, project.Seen{Seq: r.Seq, Head: r.head})
}

// Join opens a project that somebody shared with me and remembers it.
func (a *App) Join(ctx context.Context, server string, pid id.ID) (*project.Project, error) {
	return a.open(ctx, server, pid, project.Seen{})
}

// Invitations lists the projects on a server that I am a member of and that
// the vault does not know yet.
func (a *App) Invitations(ctx context.Context, server string) ([]id.ID, error) {
	c, err := a.store(server)
	if err != nil {
		return nil, err
	}
	ids, err := c.Projects(ctx)
	if err != nil {
		return nil, err
	}
	var out []id.ID
	err = a.view(func(s vault.State) {
		for _, i := range ids {
			if _, ok := s.Projects[i.String()]; !ok {
				out = append(out, i)
			}
		}
	})
	return out, err
}

// Enrol makes my account known to a pinned server.
func (a *App) Enrol(ctx context.Context, server string) error {
	c, err := a.store(server)
	if err != nil {
		return err
	}
	return c.Enrol(ctx)
}

func (a *App) open(ctx context.Context, server string, pid id.ID, seen project.Seen) (*project.Project, error) {
	c, err := a.store(server)
	if err != nil {
		return nil, err
	}
	_, me, err := a.opened()
	if err != nil {
		return nil, err
	}
	p, err := project.Open(ctx, place{c.Project(pid)}, me, pid, seen, a.cfg.Now)
	if err != nil {
		return nil, err
	}
	return p, a.noteProject(p, server)
}

// noteProject pins the verified head in the vault.
func (a *App) noteProject(p *project.Project, server string) error {
	return a.update(func(s *vault.State) error {
		k := p.ID().String()
		old, ok := s.Projects[k]
		if !ok {
			old = vault.Project{Server: server, Added: a.Now().Unix()}
		}
		old.Name = p.Name()
		if seen := p.Seen(); !ok || seen.Seq >= old.Seq {
			old.Seq, old.Head = seen.Seq, seen.Head
		}
		s.Projects[k] = old
		return nil
	})
}

type projectRecord struct {
	ProjectInfo
	head id.ID
}

func (a *App) projectRecord(name string) (projectRecord, error) {
	var out []projectRecord
	err := a.view(func(s vault.State) {
		for k, p := range s.Projects {
			if i, err := id.Parse(k); err == nil && (p.Name == name || k == name) {
				out = append(out, projectRecord{ProjectInfo{p.Name, i, p.Server, p.Seq}, p.Head})
			}
		}
	})
	switch {
	case err != nil:
		return projectRecord{}, err
	case len(out) == 0:
		return projectRecord{}, fmt.Errorf("%w: project %q", ErrName, name)
	case len(out) > 1:
		return projectRecord{}, fmt.Errorf("%w: %d projects are called %q; use the id", ErrName, len(out), name)
	}
	return out[0], nil
}

// Projects lists the projects that the vault knows, by name.
func (a *App) Projects() ([]ProjectInfo, error) {
	var out []ProjectInfo
	err := a.view(func(s vault.State) {
		for k, p := range s.Projects {
			if i, err := id.Parse(k); err == nil {
				out = append(out, ProjectInfo{p.Name, i, p.Server, p.Seq})
			}
		}
	})
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, err
}

// AddFile seals a file into a project. A dataset is read once first, so that
// what is not a table of numbers is refused before anything is sent.
func (a *App) AddFile(ctx context.Context, p *project.Project, path string, kind project.Kind, sink progress.Sink) (project.Item, error) {
	meta := project.Item{Kind: kind, Name: filepath.Base(path)}
	f, err := os.Open(path)
	if err != nil {
		return project.Item{}, err
	}
	defer f.Close()
	if kind == project.Dataset {
		t, err := dataset.ReadCSV(path, f)
		if err != nil {
			return project.Item{}, err
		}
		meta.Columns, meta.Rows = t.Columns, int64(len(t.Rows))
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return project.Item{}, err
		}
	}
	it, err := p.Add(ctx, meta, f, sink)
	if err != nil {
		return it, err
	}
	return it, a.noteProject(p, "")
}

// Share makes a verified person a member. With unverified set, a person whose
// words were not compared will do.
func (a *App) Share(ctx context.Context, p *project.Project, uid chain.UID, role chain.Role, unverified bool) error {
	if m, ok := p.State().Members[uid]; ok {
		return fmt.Errorf("%w: %s is a member already, as %s; revoke first to change the role", ErrTaken, m.Account.Name, m.Role)
	}
	acc, err := a.verified(uid, unverified)
	if err != nil {
		return err
	}
	if err := p.Share(ctx, acc, role); err != nil {
		return err
	}
	return a.noteProject(p, "")
}

// Revoke removes a member, with a new epoch, and says what he could read.
func (a *App) Revoke(ctx context.Context, p *project.Project, uid chain.UID) (project.Report, error) {
	_, me, err := a.opened()
	if err != nil {
		return project.Report{}, err
	}
	if uid == me.Account.UID {
		return project.Report{}, fmt.Errorf("%w: a member cannot remove himself: he would know the new key; ask another owner", ErrInput)
	}
	if _, ok := p.State().Members[uid]; !ok {
		return project.Report{}, fmt.Errorf("%w: %s is not a member", ErrName, uid.Short())
	}
	rep, err := p.Remove(ctx, uid)
	if err != nil {
		return rep, err
	}
	return rep, a.noteProject(p, "")
}

// GrantNode fetches a node's account from the project's server and lets it run
// jobs of the project. The node sees ciphertext only, whoever it is.
func (a *App) GrantNode(ctx context.Context, p *project.Project, node chain.UID, life time.Duration) (id.ID, error) {
	server, err := a.ServerOf(p)
	if err != nil {
		return id.ID{}, err
	}
	c, err := a.store(server)
	if err != nil {
		return id.ID{}, err
	}
	raw, err := c.Account(ctx, node)
	if err != nil {
		return id.ID{}, err
	}
	acc, err := chain.OpenAccount(raw)
	if err != nil {
		return id.ID{}, err
	}
	if acc.UID != node {
		return id.ID{}, fmt.Errorf("%w: the server answered with account %s", ErrPin, acc.UID)
	}
	g, err := p.Grant(ctx, acc, a.Now().Add(life))
	if err != nil {
		return g, err
	}
	return g, a.noteProject(p, "")
}

// ServerOf is the name of the pinned server that stores p.
func (a *App) ServerOf(p *project.Project) (string, error) {
	r, err := a.projectRecord(p.ID().String())
	return r.Server, err
}

// Reach is what my keys could open of project p if its server gave me
// everything it has. p is another member's: this asks what a removed member
// could still do, without believing the server's refusal.
func (a *App) Reach(ctx context.Context, p *project.Project) (project.Reach, error) {
	_, me, err := a.opened()
	if err != nil {
		return project.Reach{}, err
	}
	return project.ReachOf(ctx, p.Server(), me, p.ID())
}
