package project

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// StatementType is the document type of a member's word about the head.
const StatementType = "project/seen"

// MaxStatement bounds the signed form of a statement, in bytes.
const MaxStatement = 1 << 10

// FreshFor is how long the newest word of another member is called fresh.
const FreshFor = 7 * 24 * time.Hour

// statement is the signed body: which head a member has verified. Two members
// who exchange them, by way of the server or past it, know whether the server
// shows both the same project.
type statement struct {
	V       uint8     `cbor:"1,keyasint"`
	Project id.ID     `cbor:"2,keyasint"`
	Author  chain.UID `cbor:"3,keyasint"`
	Seq     uint64    `cbor:"4,keyasint"`
	Head    id.ID     `cbor:"5,keyasint"`
	Time    int64     `cbor:"6,keyasint"` // Unix milliseconds
}

// Statement is a verified word of a member.
type Statement struct {
	Author chain.UID
	Name   string
	Seq    uint64
	Head   id.ID
	Time   time.Time
	Past   bool // the author is not a member any more
}

// Statement is my own word about the head that this Project has verified.
func (p *Project) Statement() ([]byte, error) {
	s := statement{V: 1, Project: p.ID(), Author: p.me.Account.UID, Seq: p.state.Seq, Head: p.state.Head, Time: p.now().UnixMilli()}
	return doc.Sign(StatementType, s, p.me.Device)
}

// Compare holds a member's word against the chain that is verified here. It
// fails with ErrFork, naming both heads and who signed them, when the chain has
// another link there; and with ErrRollback when the member has seen links that
// the server does not show here. A word of somebody who is not and was not a
// member says nothing: the error wraps ErrNotMember.
func (p *Project) Compare(raw []byte) (Statement, error) {
	var b statement
	s, _, err := doc.Open(raw, StatementType, MaxStatement, func(k doc.KeyID, body []byte) (_ crypto.PublicKey, err error) {
		if err := doc.Decode(body, &b); err != nil {
			return nil, err
		}
		m, _, ok := p.person(b.Author)
		if !ok {
			return nil, fmt.Errorf("%w: %s", ErrNotMember, b.Author.Short())
		}
		return m.Account.Keys()(k, nil)
	})
	if err != nil {
		return Statement{}, err
	}
	if len(s.Sigs) != 1 || b.V != 1 || b.Project != p.ID() {
		return Statement{}, fmt.Errorf("%w: a word about another project", ErrDamaged)
	}
	m, past, _ := p.person(b.Author)
	out := Statement{Author: b.Author, Name: m.Account.Name, Seq: b.Seq, Head: b.Head, Time: time.UnixMilli(b.Time), Past: past}
	switch {
	case b.Seq > p.state.Seq:
		return out, fmt.Errorf("%w: %s (%s) has seen link %d, %s; the server shows links up to %d here", ErrRollback, out.Name, b.Author.Short(), b.Seq, b.Head.Short(), p.state.Seq)
	case p.heads[b.Seq] != b.Head:
		return out, fmt.Errorf("%w: link %d is %s for %s (%s), who signed that, and %s here, by %s", ErrFork, b.Seq, b.Head.Short(), out.Name, b.Author.Short(), p.heads[b.Seq].Short(), p.state.Last.Author.Short())
	}
	return out, nil
}

// person finds somebody who is or was a member.
func (p *Project) person(u chain.UID) (m chain.Member, past, ok bool) {
	if m, ok = p.state.Members[u]; ok {
		return m, false, true
	}
	m, ok = p.state.Former[u]
	return m, true, ok
}

// Witnessed is what the words of others say about the chain verified here.
type Witnessed struct {
	Agree  []Statement // other members whose word fits, newest first
	Newest time.Time   // of them; zero when there is none
}

// Fresh reports whether another member has seen this chain not long ago.
func (w Witnessed) Fresh(now time.Time) bool {
	return !w.Newest.IsZero() && now.Sub(w.Newest) < FreshFor
}

// Gossip is where members leave their words for each other: on the server, who
// can hold them back but not change them.
type Gossip interface {
	Statements(ctx context.Context) ([][]byte, error)
	Say(ctx context.Context, raw []byte) error
}

// Heard is what Confer found last.
func (p *Project) Heard() Witnessed { return p.heard }

// Confer compares the words of all others with the chain, and leaves mine when
// it says something new. A word that does not verify is passed over: the server
// could make any number of those. Heard has the result.
func (p *Project) Confer(ctx context.Context, g Gossip) error {
	p.heard = Witnessed{}
	all, err := g.Statements(ctx)
	if err != nil {
		return err
	}
	said := false
	for _, raw := range all {
		s, err := p.Compare(raw)
		if errors.Is(err, ErrRollback) { // its author may just have been faster
			if err := p.Refresh(ctx); err != nil {
				return err
			}
			s, err = p.Compare(raw)
		}
		switch {
		case s.Past: // who was removed is not listened to
		case errors.Is(err, ErrFork), errors.Is(err, ErrRollback):
			return err
		case err != nil:
		case s.Author == p.me.Account.UID:
			said = said || s.Seq == p.state.Seq && p.now().Sub(s.Time) < FreshFor/7
		default:
			if now := p.now(); s.Time.After(now) {
				s.Time = now // a word from the future does not stay fresh for ever
			}
			p.heard.add(s)
		}
	}
	if said {
		return nil
	}
	raw, err := p.Statement()
	if err != nil {
		return err
	}
	return g.Say(ctx, raw)
}

func (w *Witnessed) add(s Statement) {
	w.Agree = append(w.Agree, s)
	if s.Time.After(w.Newest) {
		w.Newest = s.Time
	}
}
