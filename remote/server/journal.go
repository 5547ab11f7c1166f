package server

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
	"cipherdeck/remote/api"
	"cipherdeck/remote/journal"
	"cipherdeck/remote/store"
)

// journalDir is where the journal lies in the data directory.
const journalDir = "journal"

// Events of security, which name no document.
const (
	eventLogin      = "login-refused"
	eventLogins     = "logins-revoked"
	eventKeyMade    = "key-made" // an API key
	eventKeyRevoked = "key-revoked"
	eventKeyRotated = "key-rotated"

	eventRestored = "alert-restored" // a document that the store had lost
	eventLost     = "alert-lost"     // one that nothing has any more
	eventDamaged  = "alert-damaged"  // bytes of the journal itself, mended
)

// eventsAMinute bounds what strangers can write into the journal, and by itself what
// the server says of its own troubles: noise must not hide an alert.
const eventsAMinute = 60

// alerts are what an operator must see, and clients may.
type alerts struct {
	mu   sync.Mutex
	n    int
	last time.Time
}

func (a *alerts) add(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n++
	a.last = now
}

func (a *alerts) seen() (n int, last int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n == 0 {
		return 0, 0
	}
	return a.n, a.last.Unix()
}

// Origin is what the log of a server with this key is called.
func Origin(pin [32]byte) string { return "cipherdeck/" + hex.EncodeToString(pin[:8]) }

func (s *Server) openJournal(ctx context.Context, start Options) (err error) {
	o := journal.Options{Dir: filepath.Join(start.DataDir, journalDir), Interval: start.Checkpoints, Origin: Origin(s.pin), Now: s.now, Log: s.log, Need: s.cfg.WitnessNeed,
		OnDamage: func(what string) { s.alerts.add(s.now()) }}
	for _, w := range s.cfg.Witnesses {
		k, err := tlog.ParseKey(w.Key)
		if err != nil {
			return err
		}
		o.Witnesses = append(o.Witnesses, journal.Cosigner{Key: k, URL: w.URL})
	}
	s.journal, err = journal.Open(ctx, o)
	s.events = rate.NewLimiter(rate.Every(time.Minute/eventsAMinute), eventsAMinute)
	s.alarms = rate.NewLimiter(rate.Every(time.Minute/eventsAMinute), eventsAMinute)
	return err
}

// accepting refuses a document that the journal could not take: what is not
// recorded is not acknowledged, so it had better not be stored.
func (s *Server) accepting() error {
	if err := s.journal.Ready(); err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return nil
}

// record puts an accepted document into the journal and its promise into the
// answer. Without a promise nothing is acknowledged; the document is stored
// then, and the next comparison of store and journal records it.
func (s *Server) record(c *call, e journal.Entry) error {
	p, err := s.journal.Record(c.r.Context(), e)
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnknown, err)
	}
	c.w.Header().Set(api.HeaderPromise, base64.RawURLEncoding.EncodeToString(p))
	return nil
}

// noted records that the account of a request did something about its own
// safety, before it is told so.
func (s *Server) noted(c *call, action string) error {
	_, err := s.journal.Record(c.r.Context(), journal.Entry{Action: action, Object: accountTag(c.who.UID), Actor: c.who.UID[:]})
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnknown, err)
	}
	return nil
}

// event notes what somebody did, without holding up whoever caused it.
func (s *Server) event(action string, object id.ID, actor []byte) {
	s.note(s.events, action, object, actor)
}

func (s *Server) note(within *rate.Limiter, action string, object id.ID, actor []byte) {
	if !within.Allow() || s.stopping.Err() != nil {
		return
	}
	s.work.Go(func() {
		_, err := s.journal.Record(s.stopping, journal.Entry{Action: action, Object: object, Actor: actor})
		if err != nil && s.stopping.Err() == nil {
			s.log.Error("an event is not in the journal", "action", action, "err", err)
		}
	})
}

// alert tells the operator, the journal and, by a count, every client.
func (s *Server) alert(action string, object id.ID, what string) {
	s.alerts.add(s.now())
	s.log.Error("alert", "action", action, "what", what)
	s.note(s.alarms, action, object, nil)
}

// The entries of what a server accepts.

func accountEntry(acc *chain.Account) journal.Entry {
	return journal.Entry{Action: tlog.ActAccount, Object: accountTag(acc.UID), Body: acc.Raw, Actor: acc.UID[:]}
}

func accountLinkEntry(u chain.UID, seq uint64, raw []byte) journal.Entry {
	return journal.Entry{Action: tlog.ActAccountLink, Object: accountTag(u), Body: raw, Actor: u[:], Seq: seq}
}

func linkEntry(pid id.ID, l *chain.Link, raw []byte) journal.Entry {
	e := journal.Entry{Action: tlog.ActLink, Object: projectTag(pid), Body: raw, Actor: l.Author[:], Seq: l.Seq}
	if l.Seq == 0 {
		e.Action = tlog.ActProject
	}
	return e
}

func jobEntry(n jobName, raw []byte, author chain.UID) journal.Entry {
	return journal.Entry{Action: tlog.ActJob, Object: jobTag(n), Body: raw, Actor: author[:]}
}

func resultEntry(n jobName, raw []byte, node chain.UID) journal.Entry {
	return journal.Entry{Action: tlog.ActResult, Object: jobTag(n), Body: raw, Actor: node[:]}
}

func checkEntry(name string, raw []byte) journal.Entry {
	b, _ := hex.DecodeString(name) // checkName has read it
	return journal.Entry{Action: tlog.ActCheck, Object: tlog.Tag(tlog.KindCheck, b), Body: raw}
}

func accountTag(u chain.UID) id.ID { return tlog.Tag(tlog.KindAccount, u[:]) }
func projectTag(pid id.ID) id.ID   { return tlog.Tag(tlog.KindProject, pid[:]) }
func jobTag(n jobName) id.ID {
	return tlog.Tag(tlog.KindJob, append(n.project[:], n.job[:]...))
}

// linkOf reads a link without verifying it.
func linkOf(raw []byte) (l chain.Link, err error) {
	var s doc.Signed
	if err := doc.Decode(raw, &s); err != nil {
		return l, err
	}
	return l, doc.Decode(s.Body, &l)
}

// journalProblem names the errors of the journal for a client.
func journalProblem(err error) error {
	if errors.Is(err, journal.ErrNotFound) {
		return &api.Error{Code: api.CodeNotFound, Cause: "the journal does not have it, or not yet"}
	}
	return err
}
