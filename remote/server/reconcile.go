package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
	"cipherdeck/fhe/job"
	"cipherdeck/remote/api"
	"cipherdeck/remote/journal"
	"cipherdeck/remote/store"
)

// compareEvery is how often store and journal are compared while a server runs.
const compareEvery = time.Hour

// Report is what a comparison of store and journal found and did.
type Report struct {
	Recorded int      `json:"recorded"` // documents that the journal did not have: a crash came between
	Kept     int      `json:"kept"`     // bodies written again
	Restored int      `json:"restored"` // documents put back into the store
	Lost     []string `json:"lost"`     // what neither has
}

// comparison is one run. Documents of the store lead to their entries, and
// leaves of the journal to what the store must have.
type comparison struct {
	s    *Server
	deep bool
	rep  Report
	now  map[id.ID]place // by tag of the object
}

// place is an object of the store.
type place struct {
	key   string
	pid   id.ID
	tag   id.ID // of the document it has
	seq   uint64
	sound bool
}

// Reconcile compares store and journal in both directions. What only the store
// has is recorded; what the store has lost, or has as it was earlier, is put
// back from the journal, and an alert is raised for it. A deep comparison also
// goes through the members of all projects and the journal's own copies.
func (s *Server) Reconcile(ctx context.Context, deep bool) (Report, error) {
	if deep {
		if err := s.journal.Verify(ctx); err != nil {
			return Report{}, err
		}
	}
	c := &comparison{s: s, deep: deep, now: map[id.ID]place{}, rep: Report{Lost: []string{}}}
	// The leaves first: a document is stored before its leaf is written, so what
	// these leaves name is in the store by now.
	want := c.wanted()
	for _, step := range []func(context.Context) error{c.accounts, c.heads, c.jobs, c.checks} {
		if err := step(ctx); err != nil {
			return c.rep, fmt.Errorf("compare store and journal: %w", err)
		}
	}
	for _, w := range want {
		if err := c.restore(ctx, w); err != nil {
			return c.rep, fmt.Errorf("restore from the journal: %w", err)
		}
	}
	if deep || c.rep.Restored > 0 {
		if err := c.index(ctx); err != nil {
			return c.rep, fmt.Errorf("note the members again: %w", err)
		}
	}
	if r := c.rep; r.Recorded+r.Kept+r.Restored+len(r.Lost) > 0 {
		s.log.Warn("store and journal differed", "recorded", r.Recorded, "kept", r.Kept, "restored", r.Restored, "lost", len(r.Lost))
	}
	return c.rep, nil
}

// entry makes sure that the journal has a document of the store, leaf and body.
func (c *comparison) entry(ctx context.Context, e journal.Entry) (fresh bool, err error) {
	fresh = !c.s.journal.Has(e)
	if fresh {
		if _, err := c.s.journal.Record(ctx, e); err != nil {
			return fresh, err
		}
		c.rep.Recorded++
		return fresh, nil
	}
	if _, err := c.s.journal.Body(tlog.DocTag(e.Body)); err == nil {
		return false, nil
	}
	if c.s.journal.Waiting(e) {
		return false, nil
	}
	c.rep.Kept++
	return true, c.s.journal.PutBody(e.Body)
}

func (c *comparison) accounts(ctx context.Context) error {
	for d, err := range c.s.accounts.docs.List(ctx, "accounts") {
		if err != nil {
			return err
		}
		u, err := chain.ParseUID(strings.TrimPrefix(d.Key, "accounts/"))
		if err != nil {
			continue
		}
		acc, err := chain.OpenAccount(d.Body)
		sound := err == nil && acc.UID == u
		c.now[accountTag(u)] = place{key: d.Key, tag: tlog.DocTag(d.Body), sound: sound}
		if sound {
			if _, err := c.entry(ctx, accountEntry(acc)); err != nil {
				return err
			}
			if err := c.accountLinks(ctx, acc); err != nil {
				return err
			}
		}
	}
	return nil
}

// accountLinks records the links of an account that the store has, as far as
// they are sound.
func (c *comparison) accountLinks(ctx context.Context, acc *chain.Account) error {
	links, _, err := c.s.accounts.links(ctx, acc.UID)
	if err != nil && !errors.Is(err, store.ErrCorrupt) {
		return err
	}
	for _, raw := range links {
		if acc, err = acc.Next(raw); err != nil {
			return nil // what the journal has is put back
		}
		if _, err := c.entry(ctx, accountLinkEntry(acc.UID, acc.Seq, raw)); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) heads(ctx context.Context) error {
	for d, err := range c.s.projects.docs.List(ctx, "heads") {
		if err != nil {
			return err
		}
		pid, err := id.Parse(strings.TrimPrefix(d.Key, "heads/"))
		if err != nil {
			continue
		}
		p := place{key: d.Key, pid: pid, tag: tlog.DocTag(d.Body)}
		if l, err := linkOf(d.Body); err == nil {
			p.seq = l.Seq
		}
		// What the journal has was verified when it was accepted, and these are
		// the same bytes.
		if l, err := linkOf(d.Body); err == nil && c.s.journal.Has(linkEntry(pid, &l, d.Body)) {
			p.sound = true
		} else {
			_, err := c.s.projects.state(ctx, pid, d.Body)
			p.sound = err == nil
		}
		c.now[projectTag(pid)] = p
		if p.sound {
			if err := c.links(ctx, pid, d.Body); err != nil {
				return err
			}
		}
	}
	return nil
}

// index notes the members of every project again. It is in no journal, since
// the heads say it; a store that lost documents may have lost of these too.
func (c *comparison) index(ctx context.Context) error {
	for d, err := range c.s.projects.docs.List(ctx, "heads") {
		if err != nil {
			return err
		}
		pid, err := id.Parse(strings.TrimPrefix(d.Key, "heads/"))
		if err != nil {
			continue
		}
		st, err := c.s.projects.state(ctx, pid, d.Body)
		if err != nil {
			continue // told when it was compared
		}
		if err := c.s.projects.index(ctx, st, nil); err != nil {
			return err
		}
	}
	return nil
}

// links walks back from the head and records what the journal does not have. It
// stops at the first link that the journal has whole.
func (c *comparison) links(ctx context.Context, pid id.ID, raw []byte) error {
	var missing [][]byte
	for range maxLinks {
		l, err := linkOf(raw)
		if err != nil {
			return err
		}
		e := linkEntry(pid, &l, raw)
		if c.s.journal.Has(e) {
			if fresh, err := c.entry(ctx, e); err != nil || !fresh {
				break
			}
		} else {
			missing = append(missing, raw)
		}
		if l.Seq == 0 {
			break
		}
		if raw, err = c.s.projects.blobs.read(ctx, pid, l.Prev, chain.MaxLink); err != nil {
			return err
		}
	}
	for i := len(missing) - 1; i >= 0; i-- { // in their order
		l, err := linkOf(missing[i])
		if err != nil {
			return err
		}
		if _, err := c.entry(ctx, linkEntry(pid, &l, missing[i])); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) jobs(ctx context.Context) error {
	for d, err := range c.s.jobs.records.docs.List(ctx, "jobs") {
		if err != nil {
			return err
		}
		n, err := parseName(d.Key)
		if err != nil {
			continue
		}
		r, err := parseRecord(d)
		if err != nil {
			c.now[jobTag(n)] = place{key: d.Key}
			continue
		}
		p := place{key: d.Key, sound: id.Of(r.Raw) == n.job && c.signed(ctx, n, &r)}
		if r.State == api.JobDone {
			p.seq = 1
		}
		c.now[jobTag(n)] = p
		if !p.sound {
			continue
		}
		if _, err := c.entry(ctx, jobEntry(n, r.Raw, r.Author)); err != nil {
			return err
		}
		if r.State == api.JobDone {
			if _, err := c.entry(ctx, resultEntry(n, r.Result, r.Node)); err != nil {
				return err
			}
		}
	}
	return nil
}

// signed reports whether a record's documents are those that its author and its
// node signed: the rest of a record is the server's own, and a flipped bit there
// would make the job somebody else's. What the journal has needs no second look
// in a comparison that is not deep.
func (c *comparison) signed(ctx context.Context, n jobName, r *record) bool {
	done := r.State == api.JobDone
	if !c.deep && c.s.journal.Has(jobEntry(n, r.Raw, r.Author)) && (!done || c.s.journal.Has(resultEntry(n, r.Result, r.Node))) {
		return true
	}
	author, err := c.s.accounts.get(ctx, r.Author)
	if err != nil {
		return false
	}
	if _, _, err := doc.Open(r.Raw, job.DocType, job.MaxDoc, author.EverKeys()); err != nil {
		return false
	}
	d, err := r.doc()
	if err != nil || !done {
		return err == nil
	}
	node, err := c.s.accounts.get(ctx, r.Node)
	if err != nil {
		return false
	}
	_, err = job.OpenResult(r.Result, n.job, d, node.Device)
	return err == nil
}

func (c *comparison) checks(ctx context.Context) error {
	for d, err := range c.s.checks.docs.List(ctx, "checks") {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(d.Key, "checks/")
		var list api.CheckList
		if doc.Decode(d.Body, &list) != nil {
			continue
		}
		for _, raw := range list.Checks {
			e := checkEntry(name, raw)
			c.now[docPlace(e.Object, tlog.DocTag(raw))] = place{key: d.Key, sound: true}
			if _, err := c.entry(ctx, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// docPlace tells several documents of one object apart.
func docPlace(object, doc id.ID) id.ID { return id.Of(append(object[:], doc[:]...)) }
