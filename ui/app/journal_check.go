package app

import (
	"context"
	"fmt"
	"os"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/tlog"
	"cipherdeck/remote/api"
	"cipherdeck/vault"
)

// ErrMine is wrapped when a journal has keys of mine that I did not make.
var ErrMine = fmt.Errorf("%w: the journal has keys for your account that you did not make", ErrVerify)

// leavesAtOnce is how many leaves are asked for at once.
const leavesAtOnce = 1000

// JournalInfo is a server's journal as it is seen here.
type JournalInfo struct {
	Server    string          `json:"server"`
	Key       string          `json:"key"`
	Size      uint64          `json:"size"`
	Root      id.ID           `json:"root"`
	State     string          `json:"state"`
	Need      int             `json:"need"`
	Witnesses []tlog.Cosigner `json:"witnesses"` // that signed this checkpoint
	Policy    []string        `json:"policy"`    // keys of those that count
	Promises  int             `json:"promises"`  // not yet seen to be kept
	Watched   uint64          `json:"watched"`   // leaves that were read here, one by one
	Alerts    int             `json:"alerts"`    // the server's own, since its start
}

// Journal looks at a server's journal and remembers what it saw.
func (a *App) Journal(ctx context.Context, server string) (JournalInfo, error) {
	v, err := a.look(ctx, server)
	if err != nil {
		return JournalInfo{}, err
	}
	c, err := a.store(server)
	if err != nil {
		return JournalInfo{}, err
	}
	m, err := c.Meta(ctx)
	if err != nil {
		return JournalInfo{}, err
	}
	if err := a.update(func(*vault.State) error { return nil }); err != nil {
		return JournalInfo{}, err
	}
	l, err := a.serverLog(server)
	return JournalInfo{Server: server, Key: l.Key, Size: v.Size, Root: v.Root, State: v.Word(), Need: l.Need,
		Witnesses: append([]tlog.Cosigner{}, v.By...), Policy: append([]string{}, l.Witnesses...),
		Promises: len(l.Promises), Watched: l.Watched.Size, Alerts: m.Alerts}, err
}

// Mine is an entry about my own account.
type Mine struct {
	Index  uint64 `json:"index"`
	Time   string `json:"time"`
	Action string `json:"action"`
	Own    bool   `json:"own"` // a document that this vault made; events are never
}

// Checked is the outcome of CheckJournal.
type Checked struct {
	JournalInfo
	Read uint64 `json:"read"` // leaves that are new since the last time
	Mine []Mine `json:"mine"` // new entries about my account
}

// CheckJournal reads every leaf that is new since the last time, demands that
// they make up the tree that was signed, and looks among them for keys of my
// account that I did not make. A list that the server picks would prove nothing:
// it could leave the bad one out.
func (a *App) CheckJournal(ctx context.Context, server string, sink progress.Sink) (Checked, error) {
	info, err := a.Journal(ctx, server)
	if err != nil {
		return Checked{}, err
	}
	out := Checked{JournalInfo: info, Mine: []Mine{}}
	l, err := a.serverLog(server)
	if err != nil {
		return out, err
	}
	c, err := a.store(server)
	if err != nil {
		return out, err
	}
	f := l.Watched
	f.Nodes = append([]id.ID{}, f.Nodes...)
	sink.Phase("read the journal", int64(info.Size-min(info.Size, f.Size)), progress.Items)
	strange, err := a.readLeaves(ctx, c, &f, info.Size, &out, sink)
	if err != nil {
		return out, err
	}
	if f.Size != info.Size || f.Root() != info.Root {
		return out, fmt.Errorf("%w: the leaves have root %s, and %s was signed for %d of them", ErrSplit, f.Root(), info.Root, info.Size)
	}
	out.Watched = f.Size
	if strange != nil {
		return out, strange // not remembered as read: it shall be told again
	}
	return out, a.update(func(s *vault.State) error {
		r, ok := s.Servers[server]
		if ok && r.Log.Watched.Size < f.Size {
			r.Log.Watched = f
			s.Servers[server] = r
		}
		return nil
	})
}

func (a *App) readLeaves(ctx context.Context, c *api.Client, f *tlog.Frontier, size uint64, out *Checked, sink progress.Sink) (strange, err error) {
	_, me, err := a.opened()
	if err != nil {
		return nil, err
	}
	mine := tlog.Tag(tlog.KindAccount, me.Account.UID[:])
	own, err := a.ownDocs()
	if err != nil {
		return nil, err
	}
	for f.Size < size {
		r, err := c.Entries(ctx, f.Size, int(min(size-f.Size, leavesAtOnce)))
		if err != nil {
			return nil, err
		}
		if len(r.Leaves) == 0 || uint64(len(r.Leaves)) > size-f.Size {
			return nil, fmt.Errorf("%w: %d leaves from %d on", ErrSplit, len(r.Leaves), f.Size)
		}
		for _, raw := range r.Leaves {
			l, err := tlog.OpenLeaf(raw)
			if err == nil && l.Object == mine {
				m := Mine{Index: f.Size, Time: stampText(l.Time), Action: l.Action, Own: own[l.Doc]}
				out.Mine = append(out.Mine, m)
				if !l.Doc.IsZero() && !m.Own {
					strange = fmt.Errorf("%w: leaf %d, %s of %s", ErrMine, f.Size, l.Action, m.Time)
				}
			}
			f.Add(tlog.LeafHash(raw))
		}
		out.Read += uint64(len(r.Leaves))
		sink.Add(int64(len(r.Leaves)))
	}
	return strange, nil
}

// ownDocs are the tags of the documents that make up my account.
func (a *App) ownDocs() (own map[id.ID]bool, err error) {
	own = map[id.ID]bool{}
	err = a.view(func(s vault.State) {
		own[tlog.DocTag(s.Account.Genesis)] = true
		for _, raw := range s.Account.Links {
			own[tlog.DocTag(raw)] = true
		}
	})
	return own, err
}

// ProveHead writes the proof that the newest link of a project is in its
// server's journal.
func (a *App) ProveHead(ctx context.Context, name, out string) (Recorded, error) {
	p, err := a.Project(ctx, name)
	if err != nil {
		return Recorded{}, err
	}
	server, err := a.ServerOf(p)
	if err != nil {
		return Recorded{}, err
	}
	raw, _, err := p.Server().Head(ctx, api.HeadKey)
	if err != nil {
		return Recorded{}, err
	}
	pid := p.ID()
	return a.prove(ctx, server, tlog.Tag(tlog.KindProject, pid[:]), raw, out)
}

// ProveAccount writes the proof that my own keys are in a server's journal.
func (a *App) ProveAccount(ctx context.Context, server, out string) (Recorded, error) {
	_, me, err := a.opened()
	if err != nil {
		return Recorded{}, err
	}
	return a.prove(ctx, server, tlog.Tag(tlog.KindAccount, me.Account.UID[:]), me.Account.Raw, out)
}

func (a *App) prove(ctx context.Context, server string, object id.ID, raw []byte, out string) (Recorded, error) {
	r, err := a.recorded(ctx, server, object, raw)
	if err != nil {
		return r, err
	}
	c, err := a.store(server)
	if err != nil {
		return r, err
	}
	v, err := a.look(ctx, server)
	if err != nil {
		return r, err
	}
	all, err := c.Object(ctx, object, v.Size)
	if err != nil {
		return r, err
	}
	for _, p := range all.Proofs {
		if p.Index != r.Index {
			continue
		}
		if err := v.Included(p.Index, tlog.LeafHash(p.Leaf), p.Path); err != nil {
			return r, err
		}
		r.Size = v.Size
		return r, os.WriteFile(out, tlog.Bundle{Extra: p.Leaf, Index: p.Index, Path: p.Path, Checkpoint: v.Raw}.Format(), 0o644)
	}
	return r, ErrNotRecorded
}

// VerifyProof checks a proof file by itself. document, when it is not nil, must
// be what the leaf is about.
func VerifyProof(raw []byte, p tlog.Policy, document []byte, a *App) (tlog.Leaf, Recorded, error) {
	b, err := tlog.ParseBundle(raw)
	if err != nil {
		return tlog.Leaf{}, Recorded{}, err
	}
	l, err := tlog.OpenLeaf(b.Extra)
	if err != nil {
		return l, Recorded{}, err
	}
	v, err := b.Verify(p, tlog.LeafHash(b.Extra), a.Now())
	r := Recorded{Index: b.Index, Size: v.Size, State: v.Word(), Witnesses: append([]tlog.Cosigner{}, v.By...)}
	switch {
	case err != nil:
		return l, r, err
	case !v.Witnessed():
		return l, r, fmt.Errorf("%w: %s", ErrNotWitness, v.Word())
	case document != nil && tlog.DocTag(document) != l.Doc:
		return l, r, fmt.Errorf("%w: the leaf is about another document", tlog.ErrProof)
	}
	return l, r, nil
}

// SetWitnesses changes which witnesses of a server's journal count for me, and
// how many of them must have signed.
func (a *App) SetWitnesses(server string, add []tlog.Key, remove []string, need int) (vault.ServerLog, error) {
	var out vault.ServerLog
	err := a.update(func(s *vault.State) error {
		r, ok := s.Servers[server]
		if !ok {
			return fmt.Errorf("%w: server %q", ErrName, server)
		}
		p := tlog.Policy{Need: r.Log.Need}
		var all []string
		for _, w := range r.Log.Witnesses {
			k, err := tlog.ParseKey(w)
			if err != nil {
				return err
			}
			if !contains(remove, w, k.Name) {
				p.Witnesses, all = append(p.Witnesses, k), append(all, w)
			}
		}
		for _, k := range add {
			p.Witnesses, all = append(p.Witnesses, k), append(all, k.String())
		}
		if need >= 0 {
			p.Need = need
		}
		p.Log = tlog.Key{Kind: tlog.Log} // not known before the first contact
		if r.Log.Key != "" {
			var err error
			if p.Log, err = tlog.ParseKey(r.Log.Key); err != nil {
				return err
			}
		}
		if err := p.Check(); err != nil {
			return fmt.Errorf("%w: %w", ErrInput, err)
		}
		r.Log.Witnesses, r.Log.Need = all, p.Need
		s.Servers[server], out = r, r.Log
		return nil
	})
	return out, err
}

func contains(list []string, any ...string) bool {
	for _, x := range list {
		for _, y := range any {
			if x == y {
				return true
			}
		}
	}
	return false
}

// Promises lists those of a server that were not seen to be kept yet.
func (a *App) Promises(server string) ([]tlog.Promised, error) {
	l, err := a.serverLog(server)
	if err != nil || l.Key == "" {
		return nil, err
	}
	key, err := tlog.ParseKey(l.Key)
	if err != nil {
		return nil, err
	}
	var out []tlog.Promised
	for _, raw := range l.Promises {
		p, err := tlog.OpenPromise(raw, key)
		if err != nil {
			return out, err
		}
		out = append(out, p)
	}
	return out, nil
}
