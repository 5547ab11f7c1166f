package chain

import (
	"fmt"
	"time"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// Event is what one account link did, for its owner to look at: somebody who
// holds his keys may have made it.
type Event struct {
	Seq    uint64
	Time   time.Time // as the link says
	Kind   string
	By     Device // who acted
	Device Device // who was added or revoked, or got his ML-DSA key; zero for a rotation
	Link   id.ID
}

// Events are what the links of a from number after+1 on did. The links were
// verified when a was made.
func (a *Account) Events(after uint64) ([]Event, error) {
	var out []Event
	for i := after; i < a.Seq; i++ {
		e, err := a.event(a.Links[i])
		if err != nil {
			return nil, fmt.Errorf("%w: link %d: %w", ErrAccount, i+1, err)
		}
		out = append(out, e)
	}
	return out, nil
}

func (a *Account) event(raw []byte) (Event, error) {
	var s doc.Signed
	var l accountLink
	if err := doc.Decode(raw, &s); err != nil {
		return Event{}, err
	}
	if err := doc.Decode(s.Body, &l); err != nil {
		return Event{}, err
	}
	e := Event{Seq: l.Seq, Time: time.UnixMilli(l.Time), Kind: l.Kind, By: a.device(l.Device), Link: id.Of(raw)}
	switch l.Kind {
	case AccountPQ:
		e.Device = e.By
	case AccountDevice:
		for _, d := range a.Devices {
			if d.Added == l.Seq {
				e.Device = d
			}
		}
	case AccountRevoke:
		var b revokeBody
		if err := doc.Decode(l.Body, &b); err != nil {
			return e, err
		}
		e.Device = a.device(b.Device)
	}
	return e, nil
}

// device finds a device of a, valid or not; the zero Device when there is none.
func (a *Account) device(k doc.KeyID) Device {
	for _, d := range a.Devices {
		if d.ID == k {
			return d
		}
	}
	return Device{}
}
