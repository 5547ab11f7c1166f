package project

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

// verified is a chain that was checked from its genesis.
type verified struct {
	state   *chain.State
	rev     uint64
	heads   []id.ID // of each link
	indexes []id.ID // after each link
	since   int64   // Unix ms of the link that began the epoch in force

	kept    id.ID  // digest of the checkpoint it was read from or is kept as; zero for none
	keptSeq uint64 // of the link the checkpoint is at
}

// Chainer is a Server that gives many links in one answer.
type Chainer interface {
	// Links is the link called tip and those before it, newest first, at most n.
	Links(ctx context.Context, tip id.ID, n int) ([][]byte, error)
}

// history fetches the chain of pid, newest link first, back to the genesis or to
// the checkpoint that seen names, and verifies it from there. It fails with
// ErrRollback or ErrFork when seen is not part of it.
func history(ctx context.Context, srv Server, pid id.ID, seen Seen) (verified, error) {
	head, rev, err := srv.Head(ctx, HeadKey)
	if err != nil {
		return verified{}, err
	}
	v := remembered(srv, pid, seen.State)
	links, err := walkBack(ctx, srv, head, pid, v.state)
	if err != nil {
		return verified{}, err
	}
	v.rev = rev
	if last := v.seq() + uint64(len(links)); last <= seen.Seq {
		return verified{}, fmt.Errorf("%w: link %d, seen here up to link %d", ErrRollback, int64(last)-1, seen.Seq)
	}
	if err := v.follow(links); err != nil {
		return verified{}, err
	}
	if !seen.Head.IsZero() && v.heads[seen.Seq] != seen.Head {
		return verified{}, fmt.Errorf("%w: link %d is %s, seen here %s; the newest is by %s", ErrFork, seen.Seq, v.heads[seen.Seq].Short(), seen.Head.Short(), v.state.Last.Author.Short())
	}
	v.remember(srv)
	return v, nil
}

// seq is how many links are verified.
func (v *verified) seq() uint64 { return uint64(len(v.heads)) }

// follow verifies links, newest first, as those after v. Signatures are checked
// on all processors; v is not to be used when it fails.
func (v *verified) follow(links [][]byte) error {
	pool := doc.NewPool()
	err := v.replay(links, pool.Check)
	if late := pool.Wait(); err == nil && late != nil {
		err = fmt.Errorf("%w: %w", chain.ErrLink, late)
	}
	return err
}

func (v *verified) replay(links [][]byte, check func(func() error) error) (err error) {
	epochs := 0
	if v.state != nil {
		epochs = len(v.state.Epochs)
	}
	for _, raw := range slices.Backward(links) {
		if v.state == nil {
			v.state, err = chain.Begin(raw)
		} else {
			v.state, err = v.state.NextWith(raw, check)
		}
		if err != nil {
			return err
		}
		if n := len(v.state.Epochs); n != epochs {
			epochs, v.since = n, v.state.Last.Time
		}
		v.heads, v.indexes = append(v.heads, v.state.Head), append(v.indexes, v.state.Index)
	}
	return nil
}

// maxChain bounds the bytes of links that are held before the first of them can be
// verified.
const maxChain = 256 << 20

// linkBatch is how many links are asked for at once.
const linkBatch = 512

// walkBack collects links from head to the genesis, whose id must be pid, or to
// the one after known, newest first. Only hashes are checked here.
func walkBack(ctx context.Context, srv Server, head []byte, pid id.ID, known *chain.State) ([][]byte, error) {
	var links, ready [][]byte
	size := 0
	_, want, err := chain.PrevOf(head)
	if err != nil {
		return nil, err
	}
	for raw := head; ; want-- {
		prev, seq, err := chain.PrevOf(raw)
		if err != nil {
			return nil, err
		}
		if seq != want || seq > maxLinks {
			return nil, fmt.Errorf("%w: link %d where %d belongs, limit %d", ErrDamaged, seq, want, maxLinks)
		}
		if known != nil && seq <= known.Seq {
			if seq == known.Seq && id.Of(raw) == known.Head {
				return links, nil
			}
			if len(links) == 0 {
				return nil, fmt.Errorf("%w: link %d, verified here up to link %d", ErrRollback, seq, known.Seq)
			}
			return nil, fmt.Errorf("%w: link %d is %s, verified here as %s", ErrFork, seq, id.Of(raw).Short(), known.Head.Short())
		}
		links = append(links, raw)
		if size += len(raw); size > maxChain {
			return nil, fmt.Errorf("%w: the links after link %d have more than %d bytes", ErrDamaged, seq, maxChain)
		}
		if prev.IsZero() {
			if got := id.Of(raw); got != pid {
				return nil, fmt.Errorf("%w: genesis is %s, want %s", ErrFork, got.Short(), pid.Short())
			}
			return links, nil
		}
		if len(ready) == 0 {
			if ready, err = linksFrom(ctx, srv, prev, int(min(want, linkBatch))); err != nil {
				return nil, fmt.Errorf("link %d: %w", seq-1, err)
			}
		}
		if raw, ready = ready[0], ready[1:]; id.Of(raw) != prev {
			return nil, fmt.Errorf("%w: link %d does not match its name", ErrDamaged, seq-1)
		}
	}
}

// linksFrom is the link tip and some before it: from the cache as far as it has
// them, else from the server, many at a time where it can.
func linksFrom(ctx context.Context, srv Server, tip id.ID, n int) ([][]byte, error) {
	s := srv
	if c, ok := srv.(*cached); ok {
		if b, ok := c.c.Get(tip); ok && id.Of(b) == tip {
			return [][]byte{b}, nil
		}
		s = c.Server
	}
	if many, ok := s.(Chainer); ok && n > 1 {
		all, err := many.Links(ctx, tip, n)
		if err == nil && len(all) > 0 {
			return all, nil
		}
		if err != nil && ctx.Err() != nil {
			return nil, err
		}
	}
	raw, err := ReadBlob(ctx, srv, tip, chain.MaxLink)
	return [][]byte{raw}, err
}

// checkpoint is a verified chain as it is kept beside the cache: nobody signed
// it, and its digest is in the vault.
type checkpoint struct {
	V       uint8  `cbor:"1,keyasint"`
	State   []byte `cbor:"2,keyasint"` // chain.State.Snapshot
	Heads   []byte `cbor:"3,keyasint"` // ids of all links, one after the other
	Indexes []byte `cbor:"4,keyasint"`
	Since   int64  `cbor:"5,keyasint"`
}

// checkpointEvery is how many links are verified again at most.
const checkpointEvery = 32

// remembered is the chain up to the checkpoint with this digest, or nothing.
func remembered(srv Server, pid, digest id.ID) (v verified) {
	c, ok := srv.(*cached)
	if !ok || digest.IsZero() {
		return v
	}
	raw, ok := c.c.Get(digest)
	if !ok || id.Of(raw) != digest {
		return v
	}
	var k checkpoint
	if err := doc.DecodeTrusted(raw, &k); err != nil || k.V != 1 {
		return v
	}
	st, err := chain.Restore(k.State, id.Of(k.State))
	if err != nil || st.Project != pid || len(k.Heads) != 32*int(st.Seq+1) || len(k.Indexes) != len(k.Heads) {
		return v
	}
	v = verified{state: st, heads: split(k.Heads), indexes: split(k.Indexes), since: k.Since, kept: digest, keptSeq: st.Seq}
	return v
}

// remember keeps a checkpoint when there are many links since the last one.
func (v *verified) remember(srv Server) {
	c, ok := srv.(*cached)
	if !ok || v.state.Seq < v.keptSeq+checkpointEvery {
		return
	}
	snap, _, err := v.state.Snapshot()
	if err != nil {
		return
	}
	raw, err := doc.Encode(checkpoint{V: 1, State: snap, Heads: join(v.heads), Indexes: join(v.indexes), Since: v.since})
	if err != nil {
		return
	}
	v.kept, v.keptSeq = id.Of(raw), v.state.Seq
	c.c.Put(v.kept, raw)
}

func join(ids []id.ID) []byte {
	b := make([]byte, 0, 32*len(ids))
	for _, i := range ids {
		b = append(b, i[:]...)
	}
	return b
}

func split(b []byte) []id.ID {
	ids := make([]id.ID, len(b)/32)
	for n := range ids {
		ids[n] = id.ID(b[32*n:])
	}
	return ids
}

// ReadBlob fetches blob i of at most max bytes and checks it against its name.
// Errors wrap ErrDamaged.
func ReadBlob(ctx context.Context, srv Server, i id.ID, max int64) ([]byte, error) {
	r, err := srv.GetBlob(ctx, i, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > max || id.Of(b) != i {
		return nil, fmt.Errorf("%w: blob %s does not match its name", ErrDamaged, i.Short())
	}
	return b, nil
}

func (p *Project) putBytes(ctx context.Context, b []byte) error {
	return p.srv.PutBlob(ctx, id.Of(b), int64(len(b)), bytes.NewReader(b))
}
