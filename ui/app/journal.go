package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
	"cipherdeck/remote/api"
	"cipherdeck/vault"
)

// The errors of looking at a server's journal.
var (
	ErrSplit       = errors.New("the server shows a journal that does not continue the one seen here before")
	ErrOldJournal  = errors.New("the server's journal is older than was seen here before")
	ErrBroken      = errors.New("the server broke a promise: what it accepted is not in its journal")
	ErrNotWitness  = errors.New("too few witnesses have seen the server's journal")
	ErrHeldBack    = errors.New("the server holds back part of what its journal has")
	ErrNotRecorded = errors.New("the server's journal does not have these keys")
)

// maxPromises bounds the promises that are kept for one server.
const maxPromises = 512

// logNews is what this session learned of a server's journal and has not saved.
type logNews struct {
	key      string
	size     uint64
	root     id.ID
	promises [][]byte
	kept     []id.ID // hashes of leaves whose promises were seen to be kept
	word     string  // by whom the newest checkpoint was witnessed
	dirty    bool    // something of this is not in the vault
}

// news is the unsaved part for a server; a.mu must be held.
func (a *App) news(server string) *logNews {
	if a.logs[server] == nil {
		a.logs[server] = &logNews{}
	}
	return a.logs[server]
}

// JournalWord says by whom the journal of a server was witnessed when it was
// looked at last in this session; "" when it was not.
func (a *App) JournalWord(server string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.news(server).word
}

// serverLog is what is known of a server's journal: saved, and not yet saved.
func (a *App) serverLog(server string) (l vault.ServerLog, err error) {
	err = a.view(func(s vault.State) { l = s.Servers[server].Log })
	if err != nil {
		return l, err
	}
	l.Promises = slices.Clone(l.Promises)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.news(server).fold(&l)
	return l, nil
}

// fold puts the news into what was known before. The log only grows.
func (n *logNews) fold(l *vault.ServerLog) {
	if l.Key == "" {
		l.Key = n.key
	}
	if n.size > l.Size {
		l.Size, l.Root = n.size, n.root
	}
	for _, raw := range n.promises {
		if !slices.ContainsFunc(l.Promises, func(o []byte) bool { return string(o) == string(raw) }) {
			l.Promises = append(l.Promises, raw)
		}
	}
	if key, err := tlog.ParseKey(l.Key); err == nil && len(n.kept) > 0 {
		l.Promises = slices.DeleteFunc(l.Promises, func(raw []byte) bool {
			p, err := tlog.OpenPromise(raw, key)
			return err == nil && slices.Contains(n.kept, p.Hash)
		})
	}
	if more := len(l.Promises) - maxPromises; more > 0 {
		l.Promises = l.Promises[more:]
	}
}

// foldLogs saves the news of all servers along with another change.
func (a *App) foldLogs(s *vault.State) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, n := range a.logs {
		if r, ok := s.Servers[name]; ok {
			r.Log.Promises = slices.Clone(r.Log.Promises)
			n.fold(&r.Log)
			n.dirty = false
			s.Servers[name] = r
		}
	}
}

// saveLogs saves promises and checkpoints that no other change has saved. What
// cannot be saved now is asked for again; a promise that is lost accuses nobody.
func (a *App) saveLogs() {
	a.mu.Lock()
	open, some := a.vault != nil, false
	for _, n := range a.logs {
		some = some || n.dirty
	}
	a.mu.Unlock()
	if open && some {
		_ = a.update(func(*vault.State) error { return nil })
	}
}

// unsavedLogs notes that foldLogs did not reach the vault.
func (a *App) unsavedLogs() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range a.logs {
		n.dirty = true
	}
}

// onPromise keeps a promise of a server until it is seen to be kept. One that
// is not signed by the pinned log, or is about another document than the one that
// was sent, is refused at once.
func (a *App) onPromise(server string) func(doc, raw []byte) error {
	return func(doc, raw []byte) error {
		l, err := a.serverLog(server)
		if err != nil {
			return nil // locked meanwhile
		}
		if l.Key != "" {
			key, err := tlog.ParseKey(l.Key)
			if err != nil {
				return err
			}
			p, err := tlog.OpenPromise(raw, key)
			if err != nil {
				return err
			}
			if doc != nil && p.Leaf.Doc != tlog.DocTag(doc) {
				return fmt.Errorf("%w: it is about another document than the one that was sent", tlog.ErrPromise)
			}
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		n := a.news(server)
		n.promises, n.dirty = append(n.promises, raw), true
		return nil
	}
}

// policyOf is whom I hold a server's journal to; its key is pinned at the first
// contact, over the connection whose key the pairing code pins.
func (a *App) policyOf(ctx context.Context, c *api.Client, server string) (p tlog.Policy, l vault.ServerLog, err error) {
	if l, err = a.serverLog(server); err != nil {
		return p, l, err
	}
	if l.Key == "" {
		m, err := c.Meta(ctx)
		if err != nil {
			return p, l, err
		}
		if _, err := tlog.ParseKey(m.Journal); err != nil {
			return p, l, fmt.Errorf("server %q: the key of its journal: %w", server, err)
		}
		l.Key = m.Journal
		a.mu.Lock()
		a.news(server).key, a.news(server).dirty = m.Journal, true
		a.mu.Unlock()
	}
	if p.Log, err = tlog.ParseKey(l.Key); err != nil {
		return p, l, err
	}
	for _, w := range l.Witnesses {
		k, err := tlog.ParseKey(w)
		if err != nil {
			return p, l, err
		}
		p.Witnesses = append(p.Witnesses, k)
	}
	p.Need = l.Need
	return p, l, p.Check()
}

// look fetches the newest checkpoint of a server's journal and demands that it
// continues what was seen here before. Promises that are due must be kept.
func (a *App) look(ctx context.Context, server string) (v tlog.Verdict, err error) {
	// A proof may be wrong because a tile on the server's disk was, and is being
	// mended: only what stays wrong is an accusation.
	for range 2 {
		if v, err = a.lookOnce(ctx, server); !errors.Is(err, tlog.ErrProof) {
			return v, err
		}
	}
	return v, err
}

func (a *App) lookOnce(ctx context.Context, server string) (tlog.Verdict, error) {
	c, err := a.store(server)
	if err != nil {
		return tlog.Verdict{}, err
	}
	p, l, err := a.policyOf(ctx, c, server)
	if err != nil {
		return tlog.Verdict{}, err
	}
	raw, err := c.Checkpoint(ctx)
	if err != nil {
		return tlog.Verdict{}, err
	}
	v, err := p.Open(raw, a.Now())
	if err != nil {
		return v, a.sameKey(ctx, c, server, l.Key, err)
	}
	if err := continues(ctx, c, v, l); err != nil {
		return v, fmt.Errorf("server %q: %w", server, err)
	}
	kept, err := a.promises(ctx, c, v, p.Log, l.Promises)
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.news(server)
	n.kept, n.word = append(n.kept, kept...), v.Word()
	if err == nil && v.Size > n.size {
		n.size, n.root = v.Size, v.Root
	}
	n.dirty = n.dirty || len(kept) > 0 || n.size > l.Size
	return v, err
}

// sameKey says of a checkpoint that does not verify whether the server states
// another key by now.
func (a *App) sameKey(ctx context.Context, c *api.Client, server, pinned string, why error) error {
	if m, err := c.Meta(ctx); err == nil && m.Journal != pinned {
		return fmt.Errorf("%w: server %q: the key of its journal was %s, now it is %s", ErrPin, server, pinned, m.Journal)
	}
	return fmt.Errorf("server %q: %w", server, why)
}

// continues demands that v continues the log that was seen before.
func continues(ctx context.Context, c *api.Client, v tlog.Verdict, l vault.ServerLog) error {
	seen := fmt.Sprintf("seen here: %d leaves, root %s; shown now: %d leaves, root %s", l.Size, l.Root, v.Size, v.Root)
	switch {
	case v.Size < l.Size:
		return fmt.Errorf("%w: %s", ErrOldJournal, seen)
	case v.Size == l.Size || l.Size == 0:
		if err := v.Continues(l.Size, l.Root, nil); err != nil {
			return fmt.Errorf("%w: %s", ErrSplit, seen)
		}
		return nil
	}
	r, err := c.Consistency(ctx, l.Size, v.Size)
	if err != nil {
		return err
	}
	if err := v.Continues(l.Size, l.Root, r.Path); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrSplit, seen, err)
	}
	return nil
}

// promises looks after those that are due, and tells which were kept.
func (a *App) promises(ctx context.Context, c *api.Client, v tlog.Verdict, key tlog.Key, all [][]byte) (kept []id.ID, err error) {
	for _, raw := range all {
		p, err := tlog.OpenPromise(raw, key)
		if err != nil {
			return kept, err
		}
		if !a.Now().After(p.Due) {
			continue
		}
		r, err := c.Inclusion(ctx, p.Hash, v.Size)
		if errors.Is(err, api.ErrNotFound) {
			return kept, fmt.Errorf("%w: %s of %s, due %s; its signed promise is in your vault: journal promises", ErrBroken,
				p.Leaf.Action, stampText(p.Leaf.Time), p.Due.UTC().Format(time.RFC3339))
		}
		if err != nil {
			return kept, err
		}
		if err := v.Included(r.Index, p.Hash, r.Path); err != nil {
			return kept, err
		}
		kept = append(kept, p.Hash)
	}
	return kept, nil
}

func stampText(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// Recorded is how a document stands in a journal.
type Recorded struct {
	Index     uint64          `json:"index"`
	Size      uint64          `json:"size"`
	State     string          `json:"state"` // "not witnessed", or by how many
	Witnesses []tlog.Cosigner `json:"witnesses"`

	others int // further documents about the same object
}

// Text is the state for a person.
func (r Recorded) Text() string {
	return fmt.Sprintf("in the server's journal as leaf %d of %d, %s", r.Index, r.Size, r.State)
}

// patience is how long what was accepted a moment ago may take to be in the
// journal, and pause how long to wait before asking again.
const (
	logPatience = 10 * time.Second
	logPause    = 100 * time.Millisecond
)

// recorded demands that documents about an object are in a server's journal,
// under a checkpoint that enough witnesses signed, and says where the last of
// them is. The server may need a moment.
func (a *App) recorded(ctx context.Context, server string, object id.ID, docs ...[]byte) (Recorded, error) {
	over := time.NewTimer(logPatience)
	defer over.Stop()
	for {
		r, v, err := a.find(ctx, server, object, docs)
		if err == nil && !v.Witnessed() {
			err = fmt.Errorf("%w: server %q: %s", ErrNotWitness, server, v.Word())
		}
		if !errors.Is(err, ErrNotRecorded) && !errors.Is(err, ErrNotWitness) {
			return r, err
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-over.C:
			return r, err
		case <-time.After(logPause):
		}
	}
}

func (a *App) find(ctx context.Context, server string, object id.ID, docs [][]byte) (r Recorded, v tlog.Verdict, err error) {
	if v, err = a.look(ctx, server); err != nil {
		return r, v, err
	}
	c, err := a.store(server)
	if err != nil {
		return r, v, err
	}
	all, err := c.Object(ctx, object, v.Size)
	if err != nil {
		return r, v, err
	}
	at := map[id.ID]uint64{}
	for _, p := range all.Proofs {
		l, err := tlog.OpenLeaf(p.Leaf)
		if err != nil || l.Object != object || l.Doc.IsZero() {
			continue
		}
		if err := v.Included(p.Index, tlog.LeafHash(p.Leaf), p.Path); err != nil {
			return r, v, err
		}
		at[l.Doc] = p.Index
	}
	r = Recorded{Size: v.Size, State: v.Word(), Witnesses: append([]tlog.Cosigner{}, v.By...), others: len(at) - len(docs)}
	for _, raw := range docs {
		n, ok := at[tlog.DocTag(raw)]
		if !ok {
			return r, v, fmt.Errorf("%w: server %q, %d leaves", ErrNotRecorded, server, v.Size)
		}
		r.Index = n
	}
	return r, v, nil
}

// accountRecorded demands that an account's keys are in a server's journal, its
// genesis and every link: a server that gives different people different keys
// has to write both down. Nor may the journal have links that the server did not
// hand out: a device that was revoked would still look valid.
func (a *App) accountRecorded(ctx context.Context, server string, acc *chain.Account) (Recorded, error) {
	r, err := a.recorded(ctx, server, tlog.Tag(tlog.KindAccount, acc.UID[:]), append([][]byte{acc.Raw}, acc.Links...)...)
	if err == nil && r.others > 0 {
		err = fmt.Errorf("%w: account %s has %d link(s) that the server did not hand out", ErrHeldBack, acc.UID.Short(), r.others)
	}
	return r, err
}
