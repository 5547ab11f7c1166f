package project

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
)

// verified is a chain that was checked from its genesis.
type verified struct {
	state   *chain.State
	rev     uint64
	heads   []id.ID // of each link
	indexes []id.ID // after each link
	since   int64   // Unix ms of the link that began the epoch in force
}

// history fetches the chain of pid, newest link first, and verifies it from
// the genesis. It fails with ErrRollback or ErrFork when seen is not part of it.
func history(ctx context.Context, srv Server, pid id.ID, seen Seen) (verified, error) {
	head, rev, err := srv.Head(ctx, HeadKey)
	if err != nil {
		return verified{}, err
	}
	links, err := walkBack(ctx, srv, head, pid)
	if err != nil {
		return verified{}, err
	}
	if uint64(len(links)) <= seen.Seq {
		return verified{}, fmt.Errorf("%w: link %d, seen here up to link %d", ErrRollback, len(links)-1, seen.Seq)
	}
	st, err := chain.Begin(links[len(links)-1])
	if err != nil {
		return verified{}, err
	}
	v := verified{rev: rev}
	for i := len(links) - 1; ; i-- {
		if st.Seq == seen.Seq && !seen.Head.IsZero() && st.Head != seen.Head {
			return verified{}, fmt.Errorf("%w: link %d is %s, seen here %s by %s", ErrFork, st.Seq, st.Head.Short(), seen.Head.Short(), st.Last.Author.Short())
		}
		if v.state == nil || len(st.Epochs) != len(v.state.Epochs) {
			v.since = st.Last.Time
		}
		v.state, v.heads, v.indexes = st, append(v.heads, st.Head), append(v.indexes, st.Index)
		if i == 0 {
			return v, nil
		}
		if st, err = st.Next(links[i-1]); err != nil {
			return verified{}, err
		}
	}
}

// walkBack collects links from head to the genesis, whose id must be pid. Only
// hashes are checked here.
func walkBack(ctx context.Context, srv Server, head []byte, pid id.ID) ([][]byte, error) {
	links := [][]byte{head}
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
		if prev.IsZero() {
			if got := id.Of(raw); got != pid {
				return nil, fmt.Errorf("%w: genesis is %s, want %s", ErrFork, got.Short(), pid.Short())
			}
			return links, nil
		}
		if raw, err = ReadBlob(ctx, srv, prev, chain.MaxLink); err != nil {
			return nil, fmt.Errorf("link %d: %w", seq-1, err)
		}
		links = append(links, raw)
	}
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
