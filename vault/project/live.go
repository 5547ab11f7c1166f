package project

import (
	"context"
	"iter"

	"cipherdeck/crypto/id"
)

// LiveBlobs gives the name of every blob that the project needs: all links of
// its chain, the wrapped keys of all epochs, the newest index and all that it
// names, pieces of old versions too. A name may come more than once. An error
// ends the sequence, and then it is incomplete: whoever collects what is not
// live must stop there.
//
// Older indexes are not live: Repair finds those that a collection left. Blobs
// of jobs are not among them either; the documents of the jobs name those.
func (p *Project) LiveBlobs(ctx context.Context) iter.Seq2[id.ID, error] {
	return func(yield func(id.ID, error) bool) {
		for i := range p.chainBlobs() {
			if !yield(i, nil) {
				return
			}
		}
		if p.damage != nil {
			yield(id.ID{}, p.damage)
			return
		}
		if _, err := p.keys.key(p.state.Epoch().Number); err != nil {
			yield(id.ID{}, err)
			return
		}
		for i, err := range p.index.Blobs(ctx, p.nodes()) {
			if err == nil {
				err = ctx.Err()
			}
			if !yield(i, damaged(err)) || err != nil {
				return
			}
		}
	}
}

// chainBlobs are the blobs that the chain names itself: links, wraps and the
// newest index.
func (p *Project) chainBlobs() iter.Seq[id.ID] {
	return func(yield func(id.ID) bool) {
		for _, i := range p.heads {
			if !yield(i) {
				return
			}
		}
		for _, e := range p.state.Epochs {
			if !yield(e.Wraps) {
				return
			}
		}
		if i := p.state.Index; !i.IsZero() {
			yield(i)
		}
	}
}
