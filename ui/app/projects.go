package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/api"
	"cipherdeck/vault"
	"cipherdeck/vault/account"
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
	if errors.Is(err, api.ErrUnknown) {
		err = fmt.Errorf("%w: %w", project.ErrUnknown, err)
	}
	return rev, err
}

// GetBlob fetches a blob; one that the chain names and the server lacks is
// damage.
func (p place) GetBlob(ctx context.Context, i id.ID, off, n int64) (io.ReadCloser, error) {
	r, err := p.Project.GetBlob(ctx, i, off, n)
	if errors.Is(err, api.ErrNotFound) {
		err = fmt.Errorf("%w: %w", project.ErrDamaged, err)
	}
	return r, err
}

// storeAs is the pool that project ciphertext goes over, and who I am.
func (a *App) storeAs(ctx context.Context, server string) (*api.Client, *account.Me, error) {
	if err := a.strengthen(); err != nil {
		return nil, nil, err
	}
	if err := a.contact(ctx, server); err != nil {
		return nil, nil, err
	}
	c, err := a.store(server)
	if err != nil {
		return nil, nil, err
	}
	_, me, err := a.opened()
	return c, me, err
}

// NewProject starts a project on a pinned server.
func (a *App) NewProject(ctx context.Context, name, server string) (*project.Project, error) {
	c, me, err := a.storeAs(ctx, server)
	if err != nil {
		return nil, err
	}
	if _, err := a.projectRecord(name); err == nil {
		return nil, fmt.Errorf("%w: you have a project called %q", ErrTaken, name)
	}
	if _, _, err := a.policyOf(ctx, c, server); err != nil {
		return nil, err
	}
	if err := a.enrol(ctx, c); err != nil {
		return nil, err
	}
	create := func(ctx context.Context, genesis []byte) (project.Server, error) {
		p, err := c.CreateProject(ctx, genesis)
		return a.cached(place{p}), err
	}
	p, err := project.Create(ctx, create, me, name, a.cfg.Now)
	if err != nil {
		return nil, err
	}
	p.Trust = a.mayWrap
	return p, a.noteProject(p, server, name)
}

// Project opens a project that the vault knows, by its name or id.
func (a *App) Project(ctx context.Context, name string) (*project.Project, error) {
	r, err := a.projectRecord(name)
	if err != nil {
		return nil, err
	}
	return a.open(ctx, r.Server, r.ID, project.Seen{Seq: r.Seq, Head: r.head, State: r.state})
}

// Join opens a project that somebody shared with me and remembers it as name;
// "" takes the name that the project gives itself. Anybody can make a project
// and add me to it, so one of its owners must be verified: with unverified set,
// a stranger's project is opened all the same, and what I add to it is his.
func (a *App) Join(ctx context.Context, server string, pid id.ID, name string, unverified bool) (*project.Project, error) {
	c, me, err := a.storeAs(ctx, server)
	if err != nil {
		return nil, err
	}
	r, err := a.projectRecord(pid.String())
	if err == nil {
		return a.open(ctx, r.Server, pid, project.Seen{Seq: r.Seq, Head: r.head, State: r.state})
	}
	p, err := project.Open(ctx, a.cached(place{c.Project(pid)}), me, pid, project.Seen{}, a.cfg.Now)
	if err != nil {
		return nil, err
	}
	p.Trust = a.mayWrap
	if err := a.ownerVerified(p); err != nil && !unverified {
		return nil, err
	}
	if name == "" {
		name = p.Name()
	}
	if _, err := a.projectRecord(name); err == nil {
		return nil, fmt.Errorf("%w: you have a project called %q; say --name", ErrTaken, name)
	}
	return p, a.noteProject(p, server, name)
}

// ownerVerified finds an owner of p whose words were compared, or who is me.
func (a *App) ownerVerified(p *project.Project) error {
	_, me, err := a.opened()
	if err != nil {
		return err
	}
	owners := ""
	for u, m := range p.State().Members {
		if m.Role != chain.Owner {
			continue
		}
		if u == me.Account.UID {
			return nil
		}
		if _, err := a.verified(u, false); err == nil {
			return nil
		}
		owners += fmt.Sprintf(" %s (calls himself %s)", u, m.Account.Name)
	}
	return fmt.Errorf("%w: project %s is owned by%s: compare words first", ErrVerify, p.ID().Short(), owners)
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
	c, _, err := a.storeAs(ctx, server)
	if err != nil {
		return err
	}
	if _, _, err := a.policyOf(ctx, c, server); err != nil {
		return err
	}
	return a.enrol(ctx, c)
}

func (a *App) open(ctx context.Context, server string, pid id.ID, seen project.Seen) (*project.Project, error) {
	p, err := a.openUnheard(ctx, server, pid, seen)
	if err != nil {
		return nil, err
	}
	if err := a.confer(ctx, p, server); err != nil {
		return nil, err
	}
	return p, a.noteHead(p)
}

// confer compares the words of the other members with p and leaves mine. Only a
// contradiction is an error: words that cannot be fetched now are not heard, and
// project show says how old the newest one is.
func (a *App) confer(ctx context.Context, p *project.Project, server string) error {
	c, err := a.store(server)
	if err != nil {
		return err
	}
	err = p.Confer(ctx, c.Project(p.ID()))
	if errors.Is(err, project.ErrFork) || errors.Is(err, project.ErrRollback) {
		return err
	}
	return nil
}

func (a *App) openUnheard(ctx context.Context, server string, pid id.ID, seen project.Seen) (*project.Project, error) {
	c, me, err := a.storeAs(ctx, server)
	if err != nil {
		return nil, err
	}
	p, err := project.Open(ctx, a.cached(place{c.Project(pid)}), me, pid, seen, a.cfg.Now)
	if err != nil {
		return nil, err
	}
	v, err := a.look(ctx, server)
	if err != nil {
		return nil, err
	}
	if err := a.gossip(ctx, server, v); err != nil {
		return nil, err
	}
	p.Trust = a.mayWrap
	// What cannot be fetched now is fetched when it is needed.
	_ = p.Prefetch(ctx)
	return p, a.noteHead(p)
}

// noteProject remembers a project that is new here, under a name that is mine:
// what a project calls itself later does not change it.
func (a *App) noteProject(p *project.Project, server, name string) error {
	return a.update(func(s *vault.State) error {
		seen := p.Seen()
		s.Projects[p.ID().String()] = vault.Project{Name: name, Server: server, Added: a.Now().Unix(), Seq: seen.Seq, Head: seen.Head}
		return nil
	})
}

// noteHead pins the verified head of a known project in the vault. Another
// session may have pinned a newer one; a head that this chain does not contain
// is never replaced.
func (a *App) noteHead(p *project.Project) error {
	return a.update(func(s *vault.State) error {
		k, seen := p.ID().String(), p.Seen()
		old, ok := s.Projects[k]
		switch {
		case !ok:
			return fmt.Errorf("%w: project %s", ErrName, p.ID().Short())
		case old.Seq > seen.Seq:
			return nil
		case !p.Contains(project.Seen{Seq: old.Seq, Head: old.Head}):
			return fmt.Errorf("%w: link %d is not the one seen here before", project.ErrFork, old.Seq)
		}
		old.Seq, old.Head, old.State = seen.Seq, seen.Head, seen.State
		s.Projects[k] = old
		return nil
	})
}

// Repair puts back the newest index of p that opens.
func (a *App) Repair(ctx context.Context, p *project.Project) (uint64, error) {
	seq, err := p.Repair(ctx)
	if err != nil {
		return 0, err
	}
	return seq, a.noteHead(p)
}

type projectRecord struct {
	ProjectInfo
	head, state id.ID
}

func (a *App) projectRecord(name string) (projectRecord, error) {
	var out []projectRecord
	err := a.view(func(s vault.State) {
		for k, p := range s.Projects {
			if i, err := id.Parse(k); err == nil && (p.Name == name || k == name) {
				out = append(out, projectRecord{ProjectInfo{p.Name, i, p.Server, p.Seq}, p.Head, p.State})
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
	return a.noteHead(p)
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
	return rep, a.noteHead(p)
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
