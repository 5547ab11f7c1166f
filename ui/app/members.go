package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/api"
	"cipherdeck/vault"
	"cipherdeck/vault/account"
	"cipherdeck/vault/project"
)

// SetRole changes what a member of p may do.
func (a *App) SetRole(ctx context.Context, p *project.Project, uid chain.UID, role chain.Role) error {
	if m, ok := p.State().Members[uid]; !ok {
		return fmt.Errorf("%w: %s is not a member", ErrName, uid.Short())
	} else if m.Role == role {
		return fmt.Errorf("%w: %s is %s already", ErrTaken, m.Account.Name, role)
	}
	if err := p.SetRole(ctx, uid, role); err != nil {
		return err
	}
	return a.noteHead(p)
}

// Leave ends my own membership of p. The vault goes on knowing the project until
// it is told to forget it.
func (a *App) Leave(ctx context.Context, p *project.Project) error { return p.Leave(ctx) }

// RotateProject gives p a new key.
func (a *App) RotateProject(ctx context.Context, p *project.Project) error {
	if err := p.Rotate(ctx); err != nil {
		return err
	}
	return a.noteHead(p)
}

// Delegate lends some of my rights in p to another member for a time.
func (a *App) Delegate(ctx context.Context, p *project.Project, to chain.UID, ops []chain.Op, life time.Duration, parent id.ID) (id.ID, error) {
	i, err := p.Delegate(ctx, to, ops, a.Now().Add(life), parent)
	if err != nil {
		return i, err
	}
	return i, a.noteHead(p)
}

// Undelegate ends a delegation.
func (a *App) Undelegate(ctx context.Context, p *project.Project, i id.ID) error {
	if err := p.Undelegate(ctx, i); err != nil {
		return err
	}
	return a.noteHead(p)
}

// Ungrant ends the grant of a node.
func (a *App) Ungrant(ctx context.Context, p *project.Project, i id.ID) error {
	if err := p.Ungrant(ctx, i); err != nil {
		return err
	}
	return a.noteHead(p)
}

// ProjectUnheard is Project without listening to the words of other members: one
// who says what is not so must not keep the others from removing him.
func (a *App) ProjectUnheard(ctx context.Context, name string) (*project.Project, error) {
	r, err := a.projectRecord(name)
	if err != nil {
		return nil, err
	}
	return a.openUnheard(ctx, r.Server, r.ID, project.Seen{Seq: r.Seq, Head: r.head, State: r.state})
}

// Word is my signed word about the head of p, for a teammate who compares it by
// another way than the server.
func (a *App) Word(p *project.Project) ([]byte, error) { return p.Statement() }

// Invite opens an invitation to p and remembers its secret until it is used. The
// token is the only other place that has it.
func (a *App) Invite(ctx context.Context, p *project.Project, role chain.Role, life time.Duration) (project.Invitation, string, error) {
	server, err := a.ServerOf(p)
	if err != nil {
		return project.Invitation{}, "", err
	}
	code, err := a.codeOf(server)
	if err != nil {
		return project.Invitation{}, "", err
	}
	until := a.Now().Add(life)
	i, err := p.Invite(ctx, role, until, code)
	if err != nil {
		return i, "", err
	}
	err = a.update(func(s *vault.State) error {
		k := p.ID().String()
		r := s.Projects[k]
		if r.Invites == nil {
			r.Invites = map[string]vault.Invite{}
		}
		r.Invites[i.ID.String()] = vault.Invite{Secret: i.Secret, Role: uint8(role), Expires: until.Unix()}
		s.Projects[k] = r
		return nil
	})
	if err != nil {
		return i, "", err
	}
	if err := a.noteHead(p); err != nil {
		return i, "", err
	}
	text, err := i.Token()
	return i, text, err
}

// Uninvite withdraws an invitation.
func (a *App) Uninvite(ctx context.Context, p *project.Project, i chain.InviteID) error {
	if err := p.Uninvite(ctx, i); err != nil {
		return err
	}
	if err := a.forgetInvite(p.ID(), i); err != nil {
		return err
	}
	return a.noteHead(p)
}

func (a *App) forgetInvite(pid id.ID, i chain.InviteID) error {
	return a.update(func(s *vault.State) error {
		delete(s.Projects[pid.String()].Invites, i.String())
		return nil
	})
}

// Accept answers the invitation in token. The server must be pinned, with the key
// that the token names; the project is known to the vault from then on, with the
// head that the token pins, and opens once the inviter has admitted me.
func (a *App) Accept(ctx context.Context, token, name string) (ProjectInfo, error) {
	i, err := project.ParseToken(token)
	if err != nil {
		return ProjectInfo{}, err
	}
	server, err := a.serverOfCode(i.Server)
	if err != nil {
		return ProjectInfo{}, err
	}
	if name == "" {
		name = i.Name
	}
	if err := chain.CheckName(name); err != nil {
		return ProjectInfo{}, fmt.Errorf("%w: %w", project.ErrToken, err)
	}
	if r, err := a.projectRecord(name); err == nil && r.ID != i.Project {
		return ProjectInfo{}, fmt.Errorf("%w: you have a project called %q; say --name", ErrTaken, name)
	}
	c, me, err := a.storeAs(ctx, server)
	if err != nil {
		return ProjectInfo{}, err
	}
	if err := a.enrol(ctx, c); err != nil {
		return ProjectInfo{}, err
	}
	from, _, err := a.account(ctx, server, i.From)
	if err != nil {
		return ProjectInfo{}, err
	}
	answer, err := project.Accept(i, me)
	if err != nil {
		return ProjectInfo{}, err
	}
	if err := c.Project(i.Project).PutAccept(ctx, i.ID, answer); err != nil {
		return ProjectInfo{}, err
	}
	err = a.update(func(s *vault.State) error {
		k := i.Project.String()
		if _, ok := s.Projects[k]; !ok {
			s.Projects[k] = vault.Project{Name: name, Server: server, Added: a.Now().Unix(), Seq: i.Seq, Head: i.Head}
		}
		notePerson(s, from, levelInvite, a.Now())
		return nil
	})
	return ProjectInfo{Name: name, ID: i.Project, Server: server, Seq: i.Seq}, err
}

// levelInvite says that a person's keys are those of who held a token of mine, or
// gave me one.
const levelInvite = "invite"

// notePerson remembers an account whose keys are known in this way, unless more
// is known of it already, or it has other keys than were accepted.
func notePerson(s *vault.State, acc *chain.Account, how string, now time.Time) {
	k := acc.UID.String()
	old, known := s.People[k]
	if known && old.Verified != "" {
		return
	}
	if known {
		if was, err := chain.OpenAccountChain(old.Genesis, old.Links); err != nil || account.Follows(was, acc) != nil {
			return
		}
	}
	if !known {
		old.Added = now.Unix()
	}
	s.People[k] = vault.Person{Name: acc.Name, Genesis: acc.Raw, Links: acc.Links, Hints: old.Hints, Verified: how, Added: old.Added}
}

// Guest is somebody who has answered an invitation of mine.
type Guest struct {
	Name   string `json:"name"`
	UID    string `json:"uid"`
	Role   string `json:"role"`
	Invite string `json:"invite"`
}

// Admit makes everybody a member of p who answered an invitation of mine with its
// secret. Answers without it, which a server could make, are counted and passed
// over.
func (a *App) Admit(ctx context.Context, p *project.Project) (in []Guest, foreign int, err error) {
	server, err := a.ServerOf(p)
	if err != nil {
		return nil, 0, err
	}
	c, err := a.store(server)
	if err != nil {
		return nil, 0, err
	}
	all, err := c.Project(p.ID()).Accepts(ctx)
	if err != nil {
		return nil, 0, err
	}
	open, err := a.invites(p.ID())
	if err != nil {
		return nil, 0, err
	}
	var late error
	for _, raw := range all {
		g, acc, i, ok := answered(p, raw, open)
		if !ok {
			foreign++
			continue
		}
		if _, still := p.State().Invites[i]; !still {
			continue // used up by another answer, or withdrawn
		}
		if err := p.Admit(ctx, acc, i); err != nil {
			late = errors.Join(late, err) // the others need not wait for him
			continue
		}
		in = append(in, g)
		err := a.update(func(s *vault.State) error {
			notePerson(s, acc, levelInvite, a.Now())
			delete(s.Projects[p.ID().String()].Invites, i.String())
			return nil
		})
		if err != nil {
			return in, foreign, err
		}
	}
	return in, foreign, errors.Join(late, a.noteHead(p))
}

// answered finds the invitation of mine that an answer is good for.
func answered(p *project.Project, raw []byte, open map[chain.InviteID]vault.Invite) (Guest, *chain.Account, chain.InviteID, bool) {
	for i, v := range open {
		acc, err := p.Answered(raw, i, v.Secret)
		if err == nil {
			return Guest{Name: acc.Name, UID: acc.UID.String(), Role: chain.Role(v.Role).String(), Invite: i.String()}, acc, i, true
		}
	}
	return Guest{}, nil, chain.InviteID{}, false
}

func (a *App) invites(pid id.ID) (map[chain.InviteID]vault.Invite, error) {
	out := map[chain.InviteID]vault.Invite{}
	err := a.view(func(s vault.State) {
		for k, v := range s.Projects[pid.String()].Invites {
			if i, err := chain.ParseInviteID(k); err == nil {
				out[i] = v
			}
		}
	})
	return out, err
}

// codeOf is the pairing code of a pinned server.
func (a *App) codeOf(name string) (code string, err error) {
	err = a.view(func(s vault.State) {
		srv := s.Servers[name]
		code = api.Code{Addr: srv.Addr, Pin: srv.Pin}.String()
	})
	return code, err
}

// serverOfCode finds the pinned server with the key of a pairing code.
func (a *App) serverOfCode(text string) (string, error) {
	c, err := api.ParseCode(text)
	if err != nil {
		return "", err
	}
	found := ""
	err = a.view(func(s vault.State) {
		for name, srv := range s.Servers {
			if srv.Pin == c.Pin {
				found = name
			}
		}
	})
	if err == nil && found == "" {
		err = fmt.Errorf("%w: the invitation is to a server that is not pinned; pin it first: server add %s", ErrName, c)
	}
	return found, err
}
