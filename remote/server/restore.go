package server

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/secret"
	"cipherdeck/crypto/tlog"
	"cipherdeck/fhe/job"
	"cipherdeck/remote/api"
	"cipherdeck/remote/journal"
	"cipherdeck/remote/store"
)

// wanted is an object as the journal has it: its leaves with a document, in
// their order.
type wanted struct {
	object id.ID
	leaves []tlog.Leaf
}

// newest is the leaf with the highest sequence number of an action.
func (w *wanted) newest(actions ...string) (l tlog.Leaf, ok bool) {
	for _, x := range w.leaves {
		for _, a := range actions {
			if x.Action == a && (!ok || x.Seq >= l.Seq) {
				l, ok = x, true
			}
		}
	}
	return l, ok
}

// wanted lists the objects of the journal, in the order of their first leaves:
// an account comes before the projects it is in, and those before their jobs.
func (c *comparison) wanted() []*wanted {
	var all []*wanted
	by := map[id.ID]*wanted{}
	for _, l := range c.s.journal.All {
		if l.Doc.IsZero() {
			continue
		}
		if by[l.Object] == nil {
			by[l.Object] = &wanted{object: l.Object}
			all = append(all, by[l.Object])
		}
		by[l.Object].leaves = append(by[l.Object].leaves, l)
	}
	return all
}

func (c *comparison) restore(ctx context.Context, w *wanted) error {
	switch w.leaves[0].Action {
	case tlog.ActAccount, tlog.ActAccountLink:
		return c.account(ctx, w)
	case tlog.ActProject, tlog.ActLink, tlog.ActLive, tlog.ActCollected:
		return c.project(ctx, w)
	case tlog.ActJob, tlog.ActResult:
		return c.job(ctx, w)
	case tlog.ActCheck:
		return c.check(ctx, w)
	}
	return nil
}

// body is a document of the journal. One that it has no more, or not whole, is
// lost: it is said once, and the rest goes on. One that was forgotten on purpose
// is not.
func (c *comparison) body(l tlog.Leaf) ([]byte, bool) {
	raw, err := c.s.journal.Body(l.Doc)
	if err == nil {
		return raw, true
	}
	if !errors.Is(err, journal.ErrForgotten) {
		c.lost(l, err)
	}
	return nil, false
}

func (c *comparison) lost(l tlog.Leaf, err error) {
	what := fmt.Sprintf("%s %s: %v", l.Action, l.Doc.Short(), err)
	c.rep.Lost = append(c.rep.Lost, what)
	c.s.alert(eventLost, l.Object, what)
}

func (c *comparison) restored(l tlog.Leaf, what string) {
	c.rep.Restored++
	c.s.alert(eventRestored, l.Object, what)
}

// put makes body the document, whatever is there.
func put(ctx context.Context, docs store.Docs, key string, body []byte, keep func(store.Doc) bool) (bool, error) {
	for {
		d, err := docs.Get(ctx, key)
		switch {
		case errors.Is(err, store.ErrNotFound):
			d.Rev = 0
		case err != nil:
			return false, err
		case keep(d):
			return false, nil
		}
		if _, err = docs.Put(ctx, key, body, d.Rev); !errors.Is(err, store.ErrConflict) {
			return err == nil, err
		}
	}
}

func (c *comparison) account(ctx context.Context, w *wanted) error {
	if !c.now[w.object].sound {
		if err := c.genesis(ctx, w); err != nil {
			return err
		}
	}
	return c.chain(ctx, w)
}

// chain puts the links of an account back when the store has fewer than the
// journal, or others.
func (c *comparison) chain(ctx context.Context, w *wanted) error {
	first, ok := w.newest(tlog.ActAccount)
	if _, any := w.newest(tlog.ActAccountLink); !ok || !any {
		return nil
	}
	raw, ok := c.body(first)
	if !ok {
		return nil
	}
	acc, err := chain.OpenAccount(raw)
	if err != nil {
		return nil // said by genesis
	}
	have, _, err := c.s.accounts.links(ctx, acc.UID)
	if err == nil {
		if now, err := acc.Follow(have); err == nil && now.Seq >= uint64(w.count(tlog.ActAccountLink)) {
			return nil
		}
	}
	last := first
	for {
		l, ok := w.at(tlog.ActAccountLink, acc.Seq+1)
		if !ok {
			break
		}
		if raw, ok = c.body(l); !ok {
			break
		}
		next, err := acc.Next(raw)
		if err != nil {
			c.lost(l, err)
			break
		}
		acc, last = next, l
	}
	body, err := doc.Encode(linksDoc{V: 1, Links: acc.Links})
	if err != nil {
		return err
	}
	did, err := put(ctx, c.s.accounts.docs, linksKey(acc.UID), body, func(d store.Doc) bool { return bytes.Equal(d.Body, body) })
	if did {
		c.s.accounts.known.forget(acc.UID)
		c.restored(last, fmt.Sprintf("%d links of account %s", acc.Seq, acc.UID.Short()))
	}
	return err
}

// count is how many links of the action the journal has, each number once.
func (w *wanted) count(action string) int {
	seen := map[uint64]bool{}
	for _, l := range w.leaves {
		if l.Action == action {
			seen[l.Seq] = true
		}
	}
	return len(seen)
}

// at finds the leaf of an action with a number.
func (w *wanted) at(action string, seq uint64) (tlog.Leaf, bool) {
	for _, l := range w.leaves {
		if l.Action == action && l.Seq == seq {
			return l, true
		}
	}
	return tlog.Leaf{}, false
}

func (c *comparison) genesis(ctx context.Context, w *wanted) error {
	l, ok := w.newest(tlog.ActAccount)
	if !ok {
		return nil
	}
	raw, ok := c.body(l)
	if !ok {
		return nil
	}
	acc, err := chain.OpenAccount(raw)
	if err != nil {
		c.lost(l, err)
		return nil
	}
	did, err := put(ctx, c.s.accounts.docs, accountKey(acc.UID), raw, func(d store.Doc) bool { return bytes.Equal(d.Body, raw) })
	if did {
		c.restored(l, "account "+acc.UID.Short())
	}
	return err
}

// project puts the links back as blobs where they are missing or damaged, and
// the newest one as the head when the head is missing, damaged or older.
func (c *comparison) project(ctx context.Context, w *wanted) error {
	newest, ok := w.newest(tlog.ActProject, tlog.ActLink)
	if !ok {
		return nil
	}
	have, known := c.now[w.object]
	pid := have.pid
	if !known {
		l, ok := w.newest(tlog.ActProject)
		if !ok {
			c.lost(newest, journal.ErrNotFound)
			return nil
		}
		raw, ok := c.body(l)
		if !ok {
			return nil
		}
		pid = id.Of(raw)
	}
	for _, l := range w.leaves {
		if l.Action != tlog.ActProject && l.Action != tlog.ActLink {
			continue // what was needed once, or deleted, is history
		}
		if err := c.linkBlob(ctx, pid, l); err != nil {
			return err
		}
	}
	if have.sound && have.seq >= newest.Seq {
		return nil
	}
	raw, ok := c.body(newest)
	if !ok {
		return nil
	}
	st, err := c.s.projects.state(ctx, pid, raw)
	if err != nil {
		c.lost(newest, err)
		return nil
	}
	if err := c.s.projects.index(ctx, st, nil); err != nil {
		return err
	}
	did, err := put(ctx, c.s.projects.docs, headKey(pid), raw, func(d store.Doc) bool {
		l, err := linkOf(d.Body)
		if err != nil || l.Seq < newest.Seq {
			return false
		}
		_, err = c.s.projects.state(ctx, pid, d.Body)
		return err == nil
	})
	if did {
		c.restored(newest, fmt.Sprintf("head %d of project %s", newest.Seq, pid.Short()))
	}
	return err
}

// linkBlob reads a link where clients read it, and writes it anew if it is not
// what the journal has.
func (c *comparison) linkBlob(ctx context.Context, pid id.ID, l tlog.Leaf) error {
	raw, err := c.s.journal.Body(l.Doc)
	if err != nil {
		return nil // told by whoever needs it
	}
	room, err := c.s.blobs.of(ctx, pid)
	if err != nil {
		return err
	}
	r, _, err := room.Get(ctx, id.Of(raw))
	if err == nil {
		_, err = io.Copy(io.Discard, r)
		r.Close()
	}
	if err == nil {
		return nil
	}
	if !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrCorrupt) {
		return err
	}
	if err := room.Put(ctx, id.Of(raw), int64(len(raw)), bytes.NewReader(raw)); err != nil {
		return err
	}
	c.restored(l, fmt.Sprintf("link %d of project %s", l.Seq, pid.Short()))
	return nil
}

// job makes the record of a job anew from its document and its result.
func (c *comparison) job(ctx context.Context, w *wanted) error {
	result, done := w.newest(tlog.ActResult)
	have := c.now[w.object]
	if have.sound && (!done || have.seq > 0) {
		return nil
	}
	l, ok := w.newest(tlog.ActJob)
	if !ok {
		return nil
	}
	raw, ok := c.body(l)
	if !ok {
		return nil
	}
	r, n, err := c.record(ctx, l, raw)
	if err != nil {
		c.lost(l, err)
		return nil
	}
	if r.Node == (chain.UID{}) && !done {
		r.fail("its grant had ended when it was restored")
	}
	if done {
		if r.Result, ok = c.body(result); !ok {
			return nil
		}
		r.State = api.JobDone
		if r.Node, err = c.signer(ctx, &r, n); err != nil {
			return err
		}
	}
	body, err := doc.Encode(r)
	if err != nil {
		return err
	}
	did, err := put(ctx, c.s.jobs.records.docs, n.key(), body, func(d store.Doc) bool {
		old, err := parseRecord(d)
		return err == nil && bytes.Equal(old.Raw, raw) && old.Author == r.Author && (!done || bytes.Equal(old.Result, r.Result) && old.Node == r.Node)
	})
	if did {
		c.restored(l, "job "+n.job.Short())
		if r.State == api.JobQueued {
			err = errors.Join(err, c.s.jobs.queue.Enqueue(ctx, r.Node.String(), n.queue()))
		}
	}
	return err
}

// record is what a job document and its project say of a job.
func (c *comparison) record(ctx context.Context, l tlog.Leaf, raw []byte) (r record, n jobName, err error) {
	r = record{V: 1, Raw: raw, State: api.JobQueued, Result: []byte{}, Submitted: l.Time}
	d, err := r.doc()
	if err != nil {
		return r, n, err
	}
	n = jobName{d.Project, id.Of(raw)}
	h, err := c.s.projects.get(ctx, d.Project)
	if err != nil {
		return r, n, err
	}
	for _, all := range []map[chain.UID]chain.Member{h.state.Members, h.state.Former} {
		for u := range all {
			// The account as it is here: the project may not know all of its devices.
			author, err := c.s.accounts.get(ctx, u)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return r, n, err
			}
			if _, _, err := doc.Open(raw, job.DocType, job.MaxDoc, author.EverKeys()); err == nil {
				r.Author = u
			}
		}
	}
	if g, ok := h.state.Grants[d.Grant]; ok {
		r.Node = g.Node.UID
	}
	if r.Author == (chain.UID{}) {
		return r, n, fmt.Errorf("job %s: nobody of the project signed it", n.job.Short())
	}
	return r, n, nil
}

// signer finds the node that signed the result of a job; its grant may be over.
func (c *comparison) signer(ctx context.Context, r *record, n jobName) (chain.UID, error) {
	d, err := r.doc()
	if err != nil {
		return r.Node, err
	}
	for a, err := range c.s.accounts.docs.List(ctx, "accounts") {
		if err != nil {
			return r.Node, err
		}
		acc, err := chain.OpenAccount(a.Body)
		if err != nil || acc.Kind != chain.Node {
			continue
		}
		if _, err := job.OpenResult(r.Result, n.job, d, acc.Device); err == nil {
			return acc.UID, nil
		}
	}
	return r.Node, nil
}

func (c *comparison) check(ctx context.Context, w *wanted) error {
	for _, l := range w.leaves {
		if c.now[docPlace(l.Object, l.Doc)].sound {
			continue
		}
		raw, ok := c.body(l)
		if !ok {
			continue
		}
		k, err := secret.OpenCheck(raw)
		if err != nil {
			c.lost(l, err)
			continue
		}
		name := api.CheckName(k.Account)
		if b, err := hex.DecodeString(name); err != nil || tlog.Tag(tlog.KindCheck, b) != l.Object {
			continue
		}
		fresh, err := c.s.checks.put(ctx, name, k)
		if err != nil {
			return err
		}
		if fresh {
			c.restored(l, "check value "+name[:8])
		}
	}
	return nil
}
