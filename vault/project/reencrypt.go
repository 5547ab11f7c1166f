package project

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"fmt"
	"slices"
	"time"

	"cipherdeck/crypto/cobblestone"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/vault/project/index"
)

// EpochUse is what lies under the keys of one epoch. Who was a member in it,
// and kept what he had, opens Bytes if a server gives them to him.
type EpochUse struct {
	Epoch    uint32
	Items    int   // that have a version whose key was made in it
	Versions int   // of them
	Bytes    int64 // of plaintext in those
	Sealed   int   // items of which it seals the oldest key
}

// Exposure says how much lies under the keys of each epoch. All is re-encrypted
// when the newest has everything.
func (p *Project) Exposure() []EpochUse {
	use := map[uint32]*EpochUse{}
	at := func(e uint32) *EpochUse {
		if use[e] == nil {
			use[e] = &EpochUse{Epoch: e}
		}
		return use[e]
	}
	for _, it := range p.index.Items {
		at(it.Epoch).Sealed++
		for _, h := range it.Held {
			u := at(h.Born)
			u.Items++
			u.Versions += int(h.Versions)
			u.Bytes += h.Bytes
		}
	}
	var out []EpochUse
	for _, e := range p.state.Epochs {
		if u := use[e.Number]; u != nil || e.Number == p.state.Epoch().Number {
			out = append(out, *at(e.Number))
		}
	}
	return out
}

// KeyAge is the age after which a key is due to be changed, whoever left.
const KeyAge = 90 * 24 * time.Hour

// EpochAge is how long the epoch in force lasts, by the clock of whoever began
// it; negative if that was ahead.
func (p *Project) EpochAge() time.Duration { return p.now().Sub(time.UnixMilli(p.since)) }

// OldNodes reports whether a node of the index is under an old epoch.
func (p *Project) OldNodes() bool {
	oldest := p.index.Oldest()
	return oldest != 0 && oldest < p.state.Epoch().Number
}

// ReencryptMetadata seals the index and the keys of all items under the epoch
// in force. It is quick, and it is not enough against somebody who kept the
// keys of items: Reencrypt is. It gives the number of items.
func (p *Project) ReencryptMetadata(ctx context.Context, sink progress.Sink) (int, error) {
	done := 0
	err := p.edit(ctx, func(x *index.Tx) error {
		done = 0
		sink.Phase("seal names and keys", int64(len(p.index.Items)), progress.Items)
		for r, err := range p.index.Records(ctx, p.nodes()) {
			if err != nil {
				return err
			}
			if err := p.resealKeys(&r); err != nil {
				return err
			}
			if err := p.resealLists(ctx, &r); err != nil {
				return err
			}
			if err := x.Put(r); err != nil {
				return err
			}
			if r.Gone == 0 {
				done++
				sink.Add(1)
			}
		}
		return nil
	})
	return done, err
}

func (p *Project) resealKeys(r *Record) error {
	for k := range r.Keys {
		if r.Keys[k].Epoch == p.state.Epoch().Number {
			continue
		}
		key, err := p.itemKey(*r, uint32(k))
		if err != nil {
			return err
		}
		if r.Keys[k], err = p.sealKey(r.ID, key, r.Keys[k].Born); err != nil {
			return err
		}
	}
	return nil
}

func (p *Project) resealLists(ctx context.Context, r *Record) error {
	fresh := map[id.ID][]index.Ref{} // versions share lists
	for i := range r.Versions {
		v := &r.Versions[i]
		if !slices.ContainsFunc(v.Lists, func(l index.Ref) bool { return l.Epoch != p.state.Epoch().Number }) {
			continue
		}
		if again, ok := fresh[v.Lists[0].ID]; ok && len(again) == len(v.Lists) {
			v.Lists = again
			continue
		}
		ids, err := v.PieceIDs(ctx, p.nodes(), r.ID)
		if err != nil {
			return err
		}
		first := v.Lists[0].ID
		if err := index.PutPieces(ctx, p.nodes(), r.ID, v, ids, Version{}); err != nil {
			return err
		}
		fresh[first] = v.Lists
	}
	return nil
}

// NewKeys gives the key that an item is encrypted under anew: the same one each
// time until the item is done, so that what was sent before an interruption
// counts. Again says that it was given out before.
type NewKeys interface {
	Key(i ItemID, epoch uint32) (key [32]byte, again bool, err error)
}

// ForgetfulKeys are keys that are lost at an interruption.
type ForgetfulKeys struct{}

// Key is a random key.
func (ForgetfulKeys) Key(ItemID, uint32) (key [32]byte, again bool, err error) {
	rand.Read(key[:])
	return key, false, nil
}

// Reencrypt gives every item whose bytes lie under a key of an old epoch a new
// key, and sends its pieces again under it: all versions. Items are finished in
// groups, so it can be cut short at any point and called again. It gives how
// many items were done.
func (p *Project) Reencrypt(ctx context.Context, keys NewKeys, sink progress.Sink) (int, error) {
	var total int64
	for _, u := range p.Exposure() {
		if u.Epoch != p.state.Epoch().Number {
			total += u.Bytes
		}
	}
	sink.Phase("encrypt anew", total, progress.Bytes)
	var old []Item
	for _, it := range p.Items() {
		if it.Born() != p.state.Epoch().Number {
			old = append(old, it)
		}
	}
	done := 0
	for len(old) > 0 {
		group := old[:groupOf(old)]
		old = old[len(group):]
		if err := p.reencryptGroup(ctx, group, keys, sink); err != nil {
			return done, err
		}
		done += len(group)
	}
	_, err := p.ReencryptMetadata(ctx, progress.Discard{})
	return done, err
}

// groupOf is how many items are finished by one link: so many that the links do
// not take the time, so few that an interruption does not take back much.
func groupOf(items []Item) int {
	const most, bytes = 256, 64 << 20
	var sum int64
	for n, it := range items {
		for _, h := range it.Held {
			sum += h.Bytes
		}
		if n > 0 && (n == most || sum > bytes) {
			return n
		}
	}
	return len(items)
}

// renewed is an item whose old versions were sent again under a new key.
type renewed struct {
	item   ItemID
	key    [32]byte
	again  bool
	pieces map[uint64]Version // by number; only pieces and lists count
}

func (p *Project) reencryptGroup(ctx context.Context, group []Item, keys NewKeys, sink progress.Sink) error {
	e := p.state.Epoch().Number
	all := make([]renewed, len(group))
	for k, it := range group {
		all[k].item = it.ID
		var err error
		if all[k].key, all[k].again, err = keys.Key(it.ID, e); err != nil {
			return err
		}
	}
	for from := 0; from < len(all); from += atOnce {
		part := all[from:min(from+atOnce, len(all))]
		if err := together(len(part), func(k int) error { return p.renew(ctx, &part[k], sink) }); err != nil {
			return err
		}
	}
	return p.edit(ctx, func(x *index.Tx) error {
		if now := p.state.Epoch().Number; now != e {
			return fmt.Errorf("%w: epoch %d began meanwhile; run it again", ErrEpoch, now)
		}
		for _, n := range all {
			if err := p.replace(x, n); err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
		}
		return nil
	})
}

// renew sends the old versions of an item again.
func (p *Project) renew(ctx context.Context, n *renewed, sink progress.Sink) error {
	r, err := p.Record(ctx, n.item)
	if err != nil {
		return err
	}
	n.pieces = map[uint64]Version{}
	moved := map[piece]id.ID{} // old piece at its place to the new one
	for _, v := range r.Versions {
		if r.Keys[v.Key].Born == p.state.Epoch().Number {
			continue
		}
		ids, err := p.movePieces(ctx, r, v, *n, moved, sink)
		if err != nil {
			return err
		}
		if err := index.PutPieces(ctx, p.nodes(), r.ID, &v, ids, Version{}); err != nil {
			return err
		}
		n.pieces[v.Rev] = v
	}
	return nil
}

// replace puts the new pieces in the place of the old ones. A version that
// somebody added meanwhile stays as it is.
func (p *Project) replace(x *index.Tx, n renewed) error {
	r, err := x.Record(n.item)
	if err != nil || r.Gone != 0 {
		return err
	}
	k, err := p.placeOfKey(&r, n.key)
	if err != nil {
		return err
	}
	for i, v := range r.Versions {
		if c, ok := n.pieces[v.Rev]; ok && r.Keys[v.Key].Born != p.state.Epoch().Number {
			r.Versions[i].Key, r.Versions[i].Pieces, r.Versions[i].Lists = k, c.Pieces, c.Lists
		}
	}
	r.DropKeys()
	return x.Put(r)
}

// piece is a piece at its place.
type piece struct {
	n int
	i id.ID
}

// movePieces encrypts the pieces of v under the new key and stores them. Those that an
// earlier version shares are moved already.
func (p *Project) movePieces(ctx context.Context, r Record, v Version, to renewed, moved map[piece]id.ID, sink progress.Sink) ([]id.ID, error) {
	saltKey, err := hkdf.Expand(sha512.New, to.key[:], "cipherdeck/project/v1/salt", 32)
	if err != nil {
		return nil, err
	}
	old, err := v.PieceIDs(ctx, p.nodes(), r.ID)
	if err != nil {
		return nil, damaged(err)
	}
	out := make([]id.ID, len(old))
	var todo []int
	for n, i := range old {
		if there, ok := moved[piece{n, i}]; ok {
			out[n] = there
			sink.Add(min(PieceSize, v.Size))
			continue
		}
		todo = append(todo, n)
	}
	oldKey, err := p.itemKey(r, v.Key)
	if err != nil {
		return nil, err
	}
	for len(todo) > 0 {
		part := todo[:min(atOnce, len(todo))]
		todo = todo[len(part):]
		err := together(len(part), func(k int) error {
			n := part[k]
			blob, err := ReadBlob(ctx, past(p.srv), old[n], maxPieceBlob)
			if err != nil {
				return err
			}
			context := pieceContext(r.ID, n)
			plain, err := cobblestone.Open(oldKey, context, blob)
			if err != nil {
				return ErrDamaged
			}
			sealed, err := cobblestone.AppendSealSalted(blob[:0], to.key, pieceSalt(saltKey, context, plain), context, plain)
			if err != nil {
				return err
			}
			out[n] = id.Of(sealed)
			if to.again {
				there, err := p.srv.Have(ctx, out[n:n+1])
				if err != nil || there[0] {
					return err
				}
			}
			return p.srv.PutBlob(ctx, out[n], int64(len(sealed)), bytes.NewReader(sealed))
		})
		if err != nil {
			return nil, err
		}
		for _, n := range part {
			moved[piece{n, old[n]}] = out[n]
			sink.Add(max(0, min(PieceSize, v.Size-int64(n)*PieceSize)))
		}
	}
	return out, nil
}
