package project

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"cipherdeck/crypto/cobblestone"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/vault/project/index"
)

// Upload is what must be remembered to go on with an upload that was cut
// short: which item, and its key. It is secret. The rest follows from the
// source: a piece is encrypted the same way each time, so that what the server
// has already is found by asking for it.
type Upload struct {
	Item  ItemID   `cbor:"1,keyasint"`
	Key   []byte   `cbor:"2,keyasint"`
	Epoch uint32   `cbor:"3,keyasint"` // in force when it began
	Base  []uint64 `cbor:"4,keyasint"` // versions that it replaces; none for a new item
	// Again is set by whoever takes it up again: pieces may be there already.
	Again bool `cbor:"5,keyasint"`
}

// Begin prepares to add an item called name, or with update a new version of
// the one that is there. A new version keeps the key of the item, so that
// pieces that did not change need not be sent; but not a key that was made in
// an epoch before this one, because members of that one may have kept it.
func (p *Project) Begin(ctx context.Context, name string, update bool) (Upload, error) {
	if err := p.mayWrite(); err != nil {
		return Upload{}, err
	}
	u := Upload{Key: make([]byte, 32), Epoch: p.state.Epoch().Number}
	rand.Read(u.Key)
	it, err := p.Item(name)
	if !update {
		rand.Read(u.Item[:])
		if err == nil {
			return u, fmt.Errorf("%w: %q", ErrExists, name)
		}
		return u, nil
	}
	if err != nil {
		return u, err
	}
	r, err := p.Record(ctx, it.ID)
	if err != nil {
		return u, err
	}
	u.Item, u.Base = it.ID, r.Heads()
	v, err := r.Version(0)
	if err == nil && r.Keys[v.Key].Born == u.Epoch {
		var key [32]byte
		key, err = p.itemKey(r, v.Key)
		copy(u.Key, key[:])
	}
	return u, err
}

// Add encrypts everything r gives and adds it as an item. The item exists only
// once the index names it: a failed upload leaves nothing but pieces that
// nobody can open.
func (p *Project) Add(ctx context.Context, m Meta, r io.Reader, sink progress.Sink) (Item, error) {
	u, err := p.Begin(ctx, m.Name, false)
	if err != nil {
		return Item{}, err
	}
	return p.Send(ctx, u, m, r, sink)
}

// Update adds what r gives as a new version of the item m.Name. Kind, tags and
// note of the item stay.
func (p *Project) Update(ctx context.Context, m Meta, r io.Reader, sink progress.Sink) (Item, error) {
	u, err := p.Begin(ctx, m.Name, true)
	if err != nil {
		return Item{}, err
	}
	return p.Send(ctx, u, m, r, sink)
}

// Send makes the upload that Begin prepared. Errors wrap ErrEpoch when a new
// epoch began meanwhile: the item's key belongs to the one before, and it must
// begin anew.
func (p *Project) Send(ctx context.Context, u Upload, m Meta, r io.Reader, sink progress.Sink) (Item, error) {
	if err := CheckMeta(m); err != nil {
		return Item{}, err
	}
	m.Tags = slices.Compact(slices.Sorted(slices.Values(m.Tags)))
	// Before anything is sent: a refusal by the server alone is no refusal.
	if err := p.sameEpoch(u, m.Name); err != nil {
		return Item{}, err
	}
	old, known, err := p.replaced(ctx, u)
	if err != nil {
		return Item{}, err
	}
	s := &sender{srv: p.srv, item: u.Item, key: [32]byte(u.Key), known: set(known), ask: u.Again, sink: sink}
	sink.Phase("seal "+m.Name, 0, progress.Bytes)
	if err := s.send(ctx, r); err != nil {
		return Item{}, fmt.Errorf("%q: %w", m.Name, err)
	}
	if len(u.Base) > 0 && s.size == old.Size && slices.Equal(known, s.ids) {
		return p.byID(u.Item) // nothing changed
	}
	v := Version{Size: s.size, Pieces: s.ids, Message: m.Message, Columns: m.Columns, Rows: m.Rows, Meta: m.Facts}
	o := Op{Do: DoAdd, Item: u.Item, Time: p.now().UnixMilli(), Name: m.Name, Kind: m.Kind, Version: &v, Key: u.Key, Base: u.Base, Tags: m.Tags, Text: m.Note}
	if len(u.Base) > 0 {
		o.Do = DoVersion
	}
	if err := p.commitUpload(ctx, u, o); err != nil {
		return Item{}, err
	}
	return p.byID(u.Item)
}

func (p *Project) commitUpload(ctx context.Context, u Upload, o Op) error {
	if p.intents != nil {
		return p.Do(ctx, o)
	}
	return p.edit(ctx, func(x *index.Tx) error {
		if err := p.sameEpoch(u, o.Name); err != nil {
			return err
		}
		return p.apply(x, o, false)
	})
}

func (p *Project) sameEpoch(u Upload, name string) error {
	if err := p.mayWrite(); err != nil {
		return err
	}
	if e := p.state.Epoch().Number; e != u.Epoch || len(u.Key) != 32 {
		return fmt.Errorf("%w: epoch %d began while %q was sent, and its key may have gone out under epoch %d; add it again", ErrEpoch, e, name, u.Epoch)
	}
	return nil
}

func (p *Project) byID(i ItemID) (Item, error) {
	for _, it := range p.index.Items {
		if it.ID == i {
			return it, nil
		}
	}
	return Item{}, fmt.Errorf("%w: %s", ErrNotFound, i)
}

func set(ids []id.ID) map[id.ID]bool {
	out := make(map[id.ID]bool, len(ids))
	for _, i := range ids {
		out[i] = true
	}
	return out
}

// replaced is the version that u replaces, and its pieces.
func (p *Project) replaced(ctx context.Context, u Upload) (Version, []id.ID, error) {
	if len(u.Base) == 0 {
		return Version{}, nil, nil
	}
	r, err := p.Record(ctx, u.Item)
	if err != nil {
		return Version{}, nil, err
	}
	v, err := r.Version(0)
	if err != nil {
		return v, nil, err
	}
	ids, err := v.PieceIDs(ctx, p.nodes(), u.Item)
	return v, ids, damaged(err)
}

// pieceContext binds a piece to its item and its place in it.
func pieceContext(item ItemID, n int) []byte {
	return doc.LP([]byte("cipherdeck/project/v1/piece"), item[:], binary.BigEndian.AppendUint64(nil, uint64(n)))
}

// pieceSalt makes the salt of a piece from all that goes into it, under a key
// of its own. Two different pieces of an item never share key and nonce then,
// and the same piece in the same place is the same ciphertext: sent once, found
// again after an interruption and in the next version. The server sees that
// much anyway, from the names of the pieces.
func pieceSalt(saltKey, context, plain []byte) [cobblestone.SaltSize]byte {
	m := hmac.New(sha256.New, saltKey)
	m.Write(doc.LP(context))
	m.Write(plain)
	return [cobblestone.SaltSize]byte(m.Sum(nil)[:cobblestone.SaltSize])
}

// atOnce is how many pieces are in memory twice, as plaintext and ciphertext,
// in each of two batches: one is encrypted while the other is sent.
const atOnce = 4

// sender cuts a source into pieces, encrypts them and stores those that the
// server lacks. The total is padded (Padmé) so that the server learns only its
// magnitude.
type sender struct {
	srv   Server
	item  ItemID
	key   [32]byte
	known map[id.ID]bool // are there, and need not be asked for
	ask   bool           // others may be there too
	sink  progress.Sink

	ids  []id.ID
	size int64
}

// batch is some pieces that follow each other.
type batch struct {
	plain, sealed [][]byte
	ids           []id.ID
	bytes         int64 // of the source in it
}

func (s *sender) send(ctx context.Context, r io.Reader) error {
	saltKey, err := hkdf.Expand(sha512.New, s.key[:], "cipherdeck/project/v1/salt", 32)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	free, full := make(chan *batch, 2), make(chan *batch)
	for range 2 {
		free <- &batch{}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := range full {
			if ctx.Err() == nil {
				if err := s.store(ctx, b); err != nil {
					cancel(err)
				}
			}
			free <- b
		}
	}()
	err = s.read(ctx, saltKey, r, free, full)
	close(full)
	<-done
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// read fills batches from r until it ends.
func (s *sender) read(ctx context.Context, saltKey []byte, r io.Reader, free, full chan *batch) error {
	src := &padded{r: r}
	for ctx.Err() == nil {
		b := <-free
		before := src.n
		end, err := b.fill(src)
		if err != nil {
			free <- b
			return fmt.Errorf("read: %w", err)
		}
		if err := b.seal(s.item, s.key, saltKey, len(s.ids)); err != nil {
			free <- b
			return err
		}
		s.ids = append(s.ids, b.ids...)
		b.bytes, s.size = src.n-before, src.n
		full <- b
		if end {
			return nil
		}
	}
	return nil
}

// fill reads the next pieces and says whether they were the last.
func (b *batch) fill(src io.Reader) (end bool, err error) {
	for len(b.plain) < atOnce {
		b.plain, b.sealed = append(b.plain, nil), append(b.sealed, nil)
	}
	b.ids = b.ids[:0]
	for k := range atOnce {
		buf := b.plain[k][:0]
		if cap(buf) < PieceSize {
			buf = make([]byte, PieceSize)
		}
		n, err := io.ReadFull(src, buf[:PieceSize])
		end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !end {
			return false, err
		}
		b.plain[k] = buf[:n]
		if n > 0 {
			b.ids = append(b.ids, id.ID{})
		}
		if end {
			return true, nil
		}
	}
	return false, nil
}

func (b *batch) seal(item ItemID, key [32]byte, saltKey []byte, first int) error {
	return together(len(b.ids), func(k int) error {
		context := pieceContext(item, first+k)
		if b.sealed[k] == nil {
			b.sealed[k] = make([]byte, 0, PieceSize+pieceOverhead())
		}
		sealed, err := cobblestone.AppendSealSalted(b.sealed[k][:0], key, pieceSalt(saltKey, context, b.plain[k]), context, b.plain[k])
		b.sealed[k], b.ids[k] = sealed, id.Of(sealed)
		return err
	})
}

// store sends what of b the server lacks.
func (s *sender) store(ctx context.Context, b *batch) error {
	there := make([]bool, len(b.ids))
	if s.ask && len(b.ids) > 0 {
		var err error
		if there, err = s.srv.Have(ctx, b.ids); err != nil {
			return err
		}
	}
	err := together(len(b.ids), func(k int) error {
		if there[k] || s.known[b.ids[k]] {
			return nil
		}
		return s.srv.PutBlob(ctx, b.ids[k], int64(len(b.sealed[k])), bytes.NewReader(b.sealed[k]))
	})
	if err == nil {
		s.sink.Add(b.bytes)
	}
	return err
}

// together runs work for 0 to n-1 at once and gives the first error.
func together(n int, work func(int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for k := range n {
		wg.Go(func() { errs[k] = work(k) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// padded reads r, and then as many zero bytes as bring its length to Padmé.
type padded struct {
	r    io.Reader
	n    int64 // bytes read from r
	end  bool
	zero int64 // zero bytes still to give
}

func (p *padded) Read(b []byte) (int, error) {
	if !p.end {
		n, err := p.r.Read(b)
		p.n += int64(n)
		if errors.Is(err, io.EOF) {
			p.end, p.zero, err = true, index.Padme(p.n)-p.n, nil
		}
		return n, err
	}
	if p.zero == 0 {
		return 0, io.EOF
	}
	n := int(min(p.zero, int64(len(b))))
	clear(b[:n])
	p.zero -= int64(n)
	return n, nil
}

func isNotFound(err error) bool { return errors.Is(err, ErrNotFound) }
