package project

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/vault/project/index"
)

// maxIndexBlob bounds a root, an index of version 1, and a long record.
const maxIndexBlob = 16 << 20

// nodes are the nodes of the index on the server, sealed under keys of epochs.
type nodes struct {
	srv   Server
	nonce [32]byte
	keys  ring
	epoch uint32 // new nodes are sealed under this one
}

func (p *Project) nodes() nodes {
	return nodes{srv: p.srv, nonce: p.state.Nonce, keys: p.keys, epoch: p.state.Epoch().Number}
}

// nodeContext binds a node to its place in the tree and its epoch.
func (n nodes) context(path index.Path, epoch uint32) []byte {
	return label("index/"+path.What, n.nonce, epoch, path.At[:], binary.BigEndian.AppendUint32(nil, path.N))
}

// Open fetches a node and decrypts it. Errors wrap ErrDamaged or ErrNoKey.
func (n nodes) Open(ctx context.Context, path index.Path, r index.Ref) ([]byte, error) {
	blob, err := ReadBlob(ctx, n.srv, r.ID, maxIndexBlob)
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	plain, epoch, err := n.openFramed(blob, path)
	if err == nil && epoch != r.Epoch {
		err = fmt.Errorf("%w: node of epoch %d where %d belongs", ErrDamaged, epoch, r.Epoch)
	}
	return plain, err
}

// Put seals a node under the epoch in force and stores it.
func (n nodes) Put(ctx context.Context, path index.Path, plain []byte) (index.Ref, error) {
	blob, err := n.sealFramed(plain, path)
	if err != nil {
		return index.Ref{}, err
	}
	i := id.Of(blob)
	return index.Ref{ID: i, Epoch: n.epoch}, n.srv.PutBlob(ctx, i, int64(len(blob)), bytes.NewReader(blob))
}

// sealFramed is epoch (u32) and, under that epoch's key, length (u32), node and
// zero bytes up to Padmé.
func (n nodes) sealFramed(plain []byte, path index.Path) ([]byte, error) {
	key, err := n.keys.key(n.epoch)
	if err != nil {
		return nil, err
	}
	framed := binary.BigEndian.AppendUint32(nil, uint32(len(plain)))
	framed = append(framed, plain...)
	framed = append(framed, make([]byte, index.Padme(int64(len(framed)))-int64(len(framed)))...)
	ct, err := sealSmall(key, "index", n.context(path, n.epoch), framed)
	return append(binary.BigEndian.AppendUint32(nil, n.epoch), ct...), err
}

func (n nodes) openFramed(blob []byte, path index.Path) ([]byte, uint32, error) {
	return n.openWith(blob, func(epoch uint32) []byte { return n.context(path, epoch) })
}

func (n nodes) openWith(blob []byte, context func(epoch uint32) []byte) ([]byte, uint32, error) {
	if len(blob) < 4 {
		return nil, 0, fmt.Errorf("%w: index of %d bytes", ErrDamaged, len(blob))
	}
	e := binary.BigEndian.Uint32(blob)
	key, err := n.keys.key(e)
	if err != nil {
		return nil, e, fmt.Errorf("index: %w", err)
	}
	framed, err := openSmall(key, "index", context(e), blob[4:])
	if err != nil || len(framed) < 4 {
		return nil, e, fmt.Errorf("%w: index", ErrDamaged)
	}
	size := binary.BigEndian.Uint32(framed)
	if int64(size) > int64(len(framed)-4) || len(bytes.Trim(framed[4+size:], "\x00")) != 0 {
		return nil, e, fmt.Errorf("%w: index framing", ErrDamaged)
	}
	return framed[4 : 4+size], e, nil
}

func rootPath() index.Path { return index.Path{What: "root"} }

// openIndex decrypts the blob that a put link names: a root, or an index of
// version 1, which has another context.
func openIndex(nonce [32]byte, keys ring, blob []byte) (rootNode, error) {
	n := nodes{nonce: nonce, keys: keys}
	plain, e, err := n.openFramed(blob, rootPath())
	if err == nil {
		return rootNode{plain: plain, epoch: e}, nil
	}
	if errors.Is(err, ErrNoKey) {
		return rootNode{}, err
	}
	plain, e, first := n.openWith(blob, func(epoch uint32) []byte { return label("index", nonce, epoch) })
	if first != nil {
		return rootNode{}, err
	}
	return rootNode{plain: plain, epoch: e, first: true}, nil
}

// rootNode is a decrypted root.
type rootNode struct {
	plain []byte
	epoch uint32
	first bool // of version 1
}

// loadIndex opens the index that blob i begins.
func (p *Project) loadIndex(ctx context.Context, i id.ID) (*index.Tree, error) {
	if i.IsZero() {
		return index.New(""), nil
	}
	blob, err := ReadBlob(ctx, p.srv, i, maxIndexBlob)
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	r, err := openIndex(p.state.Nonce, p.keys, blob)
	if err != nil {
		return nil, err
	}
	if r.first {
		t, err := index.LoadV1(r.plain)
		return t, damaged(err)
	}
	t, err := index.Load(ctx, p.nodes(), r.plain)
	return t, damaged(err)
}

// checkIndex opens every node of t.
func (p *Project) checkIndex(ctx context.Context, t *index.Tree) error {
	for r, err := range t.Records(ctx, p.nodes()) {
		if err != nil {
			return damaged(err)
		}
		for _, v := range r.Versions {
			if _, err := v.PieceIDs(ctx, p.nodes(), r.ID); err != nil {
				return damaged(err)
			}
		}
	}
	return nil
}

// damaged says of a node that is not what it should be that it is damaged.
func damaged(err error) error {
	if errors.Is(err, index.ErrShape) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// edit changes the index: change is run on a copy, and again on the newer index
// when somebody else was faster.
func (p *Project) edit(ctx context.Context, change func(*index.Tx) error) error {
	return p.retry(ctx, func() error {
		if err := p.mayWrite(); err != nil {
			return err
		}
		x := p.index.Begin(ctx, p.nodes())
		if err := change(x); err != nil {
			return damaged(err)
		}
		next, plain, err := x.Commit()
		if err != nil {
			return damaged(err)
		}
		return p.putRoot(ctx, next, plain)
	})
}

func (p *Project) putRoot(ctx context.Context, next *index.Tree, plain []byte) error {
	blob, err := p.nodes().sealFramed(plain, rootPath())
	if err != nil {
		return err
	}
	if err := p.putBytes(ctx, blob); err != nil {
		return err
	}
	if err := p.extend(ctx, chain.KindPut, putBody(blob)); err != nil {
		return err
	}
	p.index = next
	return nil
}

// mayWrite refuses early what the chain or the server would refuse late.
func (p *Project) mayWrite() error {
	switch me := p.me.Account.UID; {
	case !p.state.AllowsAt(me, chain.OpWrite, p.now()):
		return fmt.Errorf("%w: role %s", chain.ErrRight, p.state.Members[me].Role)
	case p.damage != nil:
		return p.damage
	}
	_, err := p.keys.key(p.state.Epoch().Number)
	return err
}

// Repair puts back the newest index that opens, in place of one that does not,
// and returns the link that it is from. What was added after it is lost.
func (p *Project) Repair(ctx context.Context) (uint64, error) {
	bad := p.damage
	if bad == nil {
		if bad = p.checkIndex(ctx, p.index); bad == nil {
			return 0, fmt.Errorf("%w: the index opens; there is nothing to repair", ErrExists)
		}
	}
	for _, seq := range backwards(p.indexes) {
		t, err := p.loadIndex(ctx, p.indexes[seq])
		if err != nil || p.checkIndex(ctx, t) != nil {
			continue
		}
		p.index, p.damage = t, nil
		return uint64(seq), p.edit(ctx, func(*index.Tx) error { return nil })
	}
	return 0, bad
}

// backwards are the places where all changes, the newest first.
func backwards(all []id.ID) []int {
	var out []int
	for i := range all {
		if i == 0 || all[i] != all[i-1] {
			out = append(out, i)
		}
	}
	slices.Reverse(out)
	return out
}
