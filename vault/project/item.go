package project

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/cobblestone"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
)

// Kind is what an item is for.
type Kind string

// The kinds of item.
const (
	Dataset  Kind = "dataset"
	Model    Kind = "model"
	Task     Kind = "task"
	Artifact Kind = "artifact"
	Run      Kind = "run"
)

// ErrKind is wrapped for a kind that is none of the five.
var ErrKind = errors.New("kind must be dataset, model, task, artifact or run")

// PieceSize is the most plaintext bytes in one piece.
const PieceSize = 1 << 20

const (
	maxPieceBlob = PieceSize + PieceSize/64
	maxIndexBlob = 16 << 20
)

// Item is one entry of the index.
type Item struct {
	ID      [16]byte `cbor:"1,keyasint"`
	Kind    Kind     `cbor:"2,keyasint"`
	Name    string   `cbor:"3,keyasint"`
	Size    int64    `cbor:"4,keyasint"` // bytes of plaintext, padding not counted
	Added   int64    `cbor:"5,keyasint"` // Unix milliseconds
	By      string   `cbor:"6,keyasint"` // uid of who added it
	Epoch   uint32   `cbor:"7,keyasint"` // epoch whose key seals Key
	Key     []byte   `cbor:"8,keyasint"` // item key, sealed
	Pieces  []id.ID  `cbor:"9,keyasint"`
	Columns []string `cbor:"10,keyasint"` // of a dataset
	Rows    int64    `cbor:"11,keyasint"`
	Note    string   `cbor:"12,keyasint"`
}

// index is the plaintext of the index blob.
type index struct {
	V     uint8  `cbor:"1,keyasint"`
	Name  string `cbor:"2,keyasint"`
	Items []Item `cbor:"3,keyasint"`
}

// Add encrypts everything r gives and adds it as an item. Meta gives Kind and
// Name, and may give Columns, Rows and Note. The item exists only once the
// index names it, so a failed upload leaves nothing but pieces that nobody can
// open; it is repeated whole, under a new item key. Keys that follow from the
// content would let it resume, and would tell the server which items are equal.
func (p *Project) Add(ctx context.Context, meta Item, r io.Reader, sink progress.Sink) (Item, error) {
	if err := checkMeta(meta); err != nil {
		return Item{}, err
	}
	// Before anything is sent: a refusal by the server alone is no refusal.
	if err := p.mayWrite(); err != nil {
		return Item{}, err
	}
	start := p.state.Epoch().Number
	if _, err := p.Item(meta.Name); err == nil {
		return Item{}, fmt.Errorf("%w: %q", ErrExists, meta.Name)
	}
	it := meta
	rand.Read(it.ID[:])
	it.Added, it.By = p.now().UnixMilli(), p.me.Account.UID.String()
	var key [32]byte
	rand.Read(key[:])
	if err := p.putPieces(ctx, &it, key, r, sink); err != nil {
		return Item{}, err
	}
	err := p.Edit(ctx, func(x *index) (err error) {
		if slices.ContainsFunc(x.Items, func(o Item) bool { return o.Name == it.Name }) {
			return fmt.Errorf("%w: %q", ErrExists, it.Name)
		}
		it.Epoch = p.state.Epoch().Number
		if it.Epoch != start {
			return fmt.Errorf("%w: epoch %d began while %q was sent, and its key may have gone out under epoch %d; add it again", ErrEpoch, it.Epoch, it.Name, start)
		}
		epochKey, err := p.keys.key(it.Epoch)
		if err != nil {
			return err
		}
		it.Key, err = sealSmall(epochKey, "item", label("item", p.state.Nonce, it.Epoch, it.ID[:]), key[:])
		x.Items = append(x.Items, it)
		return err
	})
	return it, err
}

// Read decrypts item it into w. Nothing is written that is not authenticated,
// but a failure in the middle leaves w with a beginning: write to a temporary
// name. Errors wrap ErrNoKey or ErrDamaged.
func (p *Project) Read(ctx context.Context, it Item, w io.Writer, sink progress.Sink) error {
	key, err := p.itemKey(it)
	if err != nil {
		return err
	}
	sink.Phase("open "+it.Name, it.Size, progress.Bytes)
	left := it.Size
	for n, piece := range it.Pieces {
		blob, err := ReadBlob(ctx, p.srv, piece, maxPieceBlob)
		if err != nil {
			return err
		}
		plain, err := cobblestone.Open(key, it.pieceContext(n), blob)
		if err != nil {
			return fmt.Errorf("%w: piece %d of %q", ErrDamaged, n, it.Name)
		}
		plain = plain[:min(int64(len(plain)), left)]
		if _, err := w.Write(plain); err != nil {
			return err
		}
		left -= int64(len(plain))
		sink.Add(int64(len(plain)))
	}
	if left != 0 {
		return fmt.Errorf("%w: %q lacks %d bytes", ErrDamaged, it.Name, left)
	}
	return nil
}

func (p *Project) itemKey(it Item) ([32]byte, error) {
	ek, err := p.keys.key(it.Epoch)
	if err != nil {
		return [32]byte{}, fmt.Errorf("item %q: %w", it.Name, err)
	}
	k, err := openSmall(ek, "item", label("item", p.state.Nonce, it.Epoch, it.ID[:]), it.Key)
	if err != nil || len(k) != 32 {
		return [32]byte{}, fmt.Errorf("%w: key of item %q", ErrDamaged, it.Name)
	}
	return [32]byte(k), nil
}

// pieceContext binds a piece to its item and its place in it.
func (it Item) pieceContext(n int) []byte {
	return doc.LP([]byte("cipherdeck/project/v1/piece"), it.ID[:], binary.BigEndian.AppendUint64(nil, uint64(n)))
}

// putPieces cuts r into pieces, encrypts them and stores those that the server
// lacks. The total is padded (Padmé) so that the server learns only its
// magnitude.
func (p *Project) putPieces(ctx context.Context, it *Item, key [32]byte, r io.Reader, sink progress.Sink) error {
	sink.Phase("seal "+it.Name, 0, progress.Bytes)
	src := &padded{r: r}
	buf := make([]byte, PieceSize)
	for {
		n, err := io.ReadFull(src, buf)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("read %s: %w", it.Name, err)
		}
		if n > 0 {
			if err := p.putPiece(ctx, it, key, buf[:n]); err != nil {
				return err
			}
			sink.Add(src.n - it.Size)
			it.Size = src.n
		}
		if err != nil {
			return nil
		}
	}
}

// padded reads r, and then as many zero bytes as bring its length to padme.
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
			p.end, p.zero, err = true, padme(p.n)-p.n, nil
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

func (p *Project) putPiece(ctx context.Context, it *Item, key [32]byte, plain []byte) error {
	blob, err := cobblestone.Seal(key, it.pieceContext(len(it.Pieces)), plain)
	if err != nil {
		return err
	}
	it.Pieces = append(it.Pieces, id.Of(blob))
	return p.putBytes(ctx, blob)
}

// Edit changes the index: change is run on a copy, and again on the newer
// index when somebody else was faster.
func (p *Project) Edit(ctx context.Context, change func(*index) error) error {
	return p.retry(ctx, func() error {
		if err := p.mayWrite(); err != nil {
			return err
		}
		x := p.index
		x.Items = slices.Clone(p.index.Items)
		if err := change(&x); err != nil {
			return err
		}
		blob, err := p.sealIndex(x)
		if err != nil {
			return err
		}
		if err := p.putBytes(ctx, blob); err != nil {
			return err
		}
		if err := p.extend(ctx, "put", putBody(blob)); err != nil {
			return err
		}
		p.index = x
		return nil
	})
}

// sealIndex is epoch (u32) and the padded index under that epoch's key.
func (p *Project) sealIndex(x index) ([]byte, error) {
	plain, err := doc.Encode(x)
	if err != nil {
		return nil, err
	}
	framed := binary.BigEndian.AppendUint32(nil, uint32(len(plain)))
	framed = append(framed, plain...)
	framed = append(framed, make([]byte, padme(int64(len(framed)))-int64(len(framed)))...)
	e := p.state.Epoch().Number
	key, err := p.keys.key(e)
	if err != nil {
		return nil, err
	}
	ct, err := sealSmall(key, "index", label("index", p.state.Nonce, e), framed)
	return append(binary.BigEndian.AppendUint32(nil, e), ct...), err
}

func (p *Project) loadIndex(ctx context.Context) error {
	if p.state.Index.IsZero() {
		p.index = index{V: 1}
		return nil
	}
	blob, err := ReadBlob(ctx, p.srv, p.state.Index, maxIndexBlob)
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	x, err := openIndex(p.state.Nonce, p.keys, blob)
	p.index = x
	return err
}

func openIndex(nonce [32]byte, keys ring, blob []byte) (index, error) {
	var x index
	if len(blob) < 4 {
		return x, fmt.Errorf("%w: index of %d bytes", ErrDamaged, len(blob))
	}
	e := binary.BigEndian.Uint32(blob)
	key, err := keys.key(e)
	if err != nil {
		return x, fmt.Errorf("index: %w", err)
	}
	plain, err := openSmall(key, "index", label("index", nonce, e), blob[4:])
	if err != nil || len(plain) < 4 {
		return x, fmt.Errorf("%w: index", ErrDamaged)
	}
	n := binary.BigEndian.Uint32(plain)
	if int64(n) > int64(len(plain)-4) || len(bytes.Trim(plain[4+n:], "\x00")) != 0 {
		return x, fmt.Errorf("%w: index framing", ErrDamaged)
	}
	if err := doc.Decode(plain[4:4+n], &x); err != nil {
		return index{}, fmt.Errorf("%w: index: %w", ErrDamaged, err)
	}
	if err := x.check(); err != nil {
		return index{}, fmt.Errorf("%w: index: %w", ErrDamaged, err)
	}
	return x, nil
}

// check holds what another member wrote to the rules of an index.
func (x index) check() error {
	if x.V != 1 {
		return fmt.Errorf("version %d, want 1", x.V)
	}
	names := map[string]bool{}
	for _, it := range x.Items {
		if err := checkMeta(it); err != nil {
			return err
		}
		if names[it.Name] {
			return fmt.Errorf("two items are called %q", it.Name)
		}
		names[it.Name] = true
		if want := (padme(it.Size) + PieceSize - 1) / PieceSize; it.Size < 0 || it.Rows < 0 || int64(len(it.Pieces)) != want {
			return fmt.Errorf("item %q: %d bytes in %d pieces", it.Name, it.Size, len(it.Pieces))
		}
	}
	return nil
}

// mayWrite refuses early what the chain or the server would refuse late.
func (p *Project) mayWrite() error {
	switch me := p.me.Account.UID; {
	case !p.state.Allows(me, chain.OpWrite):
		return fmt.Errorf("%w: role %s", chain.ErrRight, p.state.Members[me].Role)
	case p.damage != nil:
		return p.damage
	}
	_, err := p.keys.key(p.state.Epoch().Number)
	return err
}

// padme rounds n up so that its lowest bits leak at most O(log log n) bits
// about the length (PURBs, Nikitin et al., PoPETs 2019): at most 12 % more.
// Nothing is shorter than 4 KiB.
func padme(n int64) int64 {
	n = max(n, 4<<10)
	e := bits.Len64(uint64(n)) - 1
	last := e - bits.Len64(uint64(e))
	mask := int64(1)<<last - 1
	return (n + mask) &^ mask
}

func checkMeta(it Item) error {
	if !slices.Contains([]Kind{Dataset, Model, Task, Artifact, Run}, it.Kind) {
		return fmt.Errorf("%w: got %q", ErrKind, it.Kind)
	}
	if it.Name == "" || len(it.Name) > 255 {
		return fmt.Errorf("item name must be 1 to 255 bytes")
	}
	return nil
}
