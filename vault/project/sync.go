package project

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha512"
	"fmt"
	"io"

	"cipherdeck/crypto/cobblestone"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/vault/project/index"
)

// Outcome is what became of a change that was made offline.
type Outcome struct {
	Do   string
	Name string
	// What happened beyond that it was sent: another name, a second version, or
	// why it was left out.
	Note string
}

// Sync sends what is in out and makes the changes ops, in their order, in one
// link. Nothing that somebody made is lost: content that was changed by others
// meanwhile is there in two versions, a name that is taken gets a number, and
// what was changed after others removed it comes back. before is called with the epoch
// in force before any key goes out under it.
//
// Errors wrap ErrEpoch when a new epoch began while keys went out; Rekey then,
// and call it again. It may be repeated: what was done is not done twice.
func (p *Project) Sync(ctx context.Context, ops []Op, out Outbox, before func(epoch uint32) error, sink progress.Sink) ([]Outcome, error) {
	if err := p.mayWrite(); err != nil {
		return nil, err
	}
	if err := p.sendBlobs(ctx, out, sink); err != nil {
		return nil, err
	}
	e := p.state.Epoch().Number
	if err := before(e); err != nil {
		return nil, err
	}
	var done []Outcome
	err := p.edit(ctx, func(x *index.Tx) error {
		if now := p.state.Epoch().Number; now != e {
			return fmt.Errorf("%w: epoch %d began", ErrEpoch, now)
		}
		done = nil
		for _, o := range ops {
			r, err := p.replay(x, o)
			if err != nil {
				return err
			}
			done = append(done, r)
		}
		return nil
	})
	return done, err
}

// replay makes one change in x and says what was special.
func (p *Project) replay(x *index.Tx, o Op) (Outcome, error) {
	r := Outcome{Do: o.Do, Name: o.Name}
	err := p.apply(x, o, true)
	if isNotFound(err) {
		r.Note = "left out: somebody removed the item"
		return r, nil
	}
	if err != nil {
		return r, err
	}
	now, err := x.Record(o.Item)
	if err != nil || now.Gone != 0 {
		return r, err
	}
	if heads := now.Heads(); len(heads) > 1 {
		r.Note = fmt.Sprintf("%d versions were made at the same time: project resolve", len(heads))
	}
	if o.Name != "" && now.Name != o.Name {
		r.Note = fmt.Sprintf("it is called %q now", now.Name)
	}
	return r, nil
}

func (p *Project) sendBlobs(ctx context.Context, out Outbox, sink progress.Sink) error {
	ids, err := out.IDs()
	if err != nil {
		return err
	}
	sink.Phase("send what was made offline", int64(len(ids)), progress.Items)
	for len(ids) > 0 {
		part := ids[:min(atOnce, len(ids))]
		ids = ids[len(part):]
		there, err := p.srv.Have(ctx, part)
		if err != nil {
			return err
		}
		err = together(len(part), func(k int) error {
			if there[k] {
				return nil
			}
			b, ok := out.Get(part[k])
			if !ok || id.Of(b) != part[k] {
				return fmt.Errorf("%w: blob %s in the outbox", ErrDamaged, part[k].Short())
			}
			return p.putBytes(ctx, b)
		})
		if err != nil {
			return err
		}
		sink.Add(int64(len(part)))
	}
	return nil
}

// HasKeys reports whether one of ops brings a key of an item.
func HasKeys(ops []Op) bool {
	for _, o := range ops {
		if len(o.Key) > 0 {
			return true
		}
	}
	return false
}

// Rekey encrypts the content of o under a new key. It is for content whose key
// went out under an epoch that is over, and was perhaps seen by who is removed.
func Rekey(o Op, out Outbox) (Op, error) {
	if o.Version == nil {
		return o, nil
	}
	var key [32]byte
	rand.Read(key[:])
	saltKey, err := hkdf.Expand(sha512.New, key[:], "cipherdeck/project/v1/salt", 32)
	if err != nil {
		return o, err
	}
	v := *o.Version
	v.Pieces = nil
	err = eachPiece(o, out, func(n int, plain []byte) error {
		context := pieceContext(o.Item, n)
		sealed, err := cobblestone.AppendSealSalted(nil, key, pieceSalt(saltKey, context, plain), context, plain)
		if err != nil {
			return err
		}
		i := id.Of(sealed)
		out.Put(i, sealed)
		v.Pieces = append(v.Pieces, i)
		return nil
	})
	o.Version, o.Key = &v, key[:]
	return o, err
}

// WriteContent writes the content of a change that was made offline, from the
// outbox alone: for who may not send it any more.
func WriteContent(o Op, out Outbox, w io.Writer) error {
	left := o.Version.Size
	return eachPiece(o, out, func(_ int, plain []byte) error {
		n, err := w.Write(plain[:min(left, int64(len(plain)))])
		left -= int64(n)
		return err
	})
}

func eachPiece(o Op, out Outbox, take func(n int, plain []byte) error) error {
	if len(o.Key) != 32 {
		return fmt.Errorf("%w: change without a key", ErrDamaged)
	}
	for n, i := range o.Version.Pieces {
		b, ok := out.Get(i)
		if !ok || id.Of(b) != i {
			return fmt.Errorf("%w: piece %d of %q in the outbox", ErrDamaged, n, o.Name)
		}
		plain, err := cobblestone.Open([32]byte(o.Key), pieceContext(o.Item, n), bytes.Clone(b))
		if err != nil {
			return fmt.Errorf("%w: piece %d of %q in the outbox", ErrDamaged, n, o.Name)
		}
		if err := take(n, plain); err != nil {
			return err
		}
	}
	return nil
}
