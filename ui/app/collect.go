package app

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/remote/api"
	"cipherdeck/remote/store/car"
	"cipherdeck/vault/project"
)

// collectTries is how often a list is made anew for a project that others
// change meanwhile.
const collectTries = 5

// Collect tells the server of a project which blobs it needs, so that others
// can go. With dry nothing is marked and nothing deleted.
func (a *App) Collect(ctx context.Context, p *project.Project, dry bool, sink progress.Sink) (api.CollectReply, error) {
	_, me, err := a.opened()
	if err != nil {
		return api.CollectReply{}, err
	}
	if !p.State().Allows(me.Account.UID, chain.OpOwn) {
		return api.CollectReply{}, chain.ErrRight
	}
	server, err := a.ServerOf(p)
	if err != nil {
		return api.CollectReply{}, err
	}
	c, err := a.store(server)
	if err != nil {
		return api.CollectReply{}, err
	}
	for try := 1; ; try++ {
		ids, err := liveIDs(ctx, p)
		if err != nil {
			return api.CollectReply{}, err
		}
		sink.Note("needed", "blobs", len(ids))
		lists := []id.ID{}
		for _, b := range chain.LiveLists(ids) {
			i, err := stored{p.Server()}.Put(ctx, b)
			if err != nil {
				return api.CollectReply{}, err
			}
			lists = append(lists, i)
		}
		raw, err := p.State().SignLive(lists, len(ids), me.Account.UID, me.Device, a.Now())
		if err != nil {
			return api.CollectReply{}, err
		}
		r, err := c.Project(p.ID()).Collect(ctx, raw, dry)
		if !errors.Is(err, api.ErrConflict) || try == collectTries {
			return r, err
		}
		if err := p.Refresh(ctx); err != nil {
			return r, err
		}
	}
}

// liveIDs is what p needs, ascending and without doubles.
func liveIDs(ctx context.Context, p *project.Project) ([]id.ID, error) {
	var ids []id.ID
	for i, err := range p.LiveBlobs(ctx) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, i)
	}
	slices.SortFunc(ids, id.Compare)
	return slices.Compact(ids), nil
}

// Archived is what an archive holds.
type Archived struct {
	Out   string `json:"out"`
	Root  id.ID  `json:"root"`
	Blobs int    `json:"blobs"`
	Bytes int64  `json:"bytes"`
}

// Archive writes every blob that p needs to w, as a CAR whose root is the head
// of the chain. It is ciphertext, links and wrapped keys: what the server has.
func (a *App) Archive(ctx context.Context, p *project.Project, w io.Writer, sink progress.Sink) (Archived, error) {
	out := Archived{Root: p.State().Head}
	ids, err := liveIDs(ctx, p)
	if err != nil {
		return out, err
	}
	sink.Phase("archive "+p.Name(), int64(len(ids)), progress.Items)
	archive, err := car.NewWriter(w, out.Root)
	if err != nil {
		return out, err
	}
	for b, err := range blobsOf(ctx, p, ids) {
		if err == nil {
			err = archive.Put(id.Of(b), b)
		}
		if err != nil {
			return out, err
		}
		out.Blobs, out.Bytes = out.Blobs+1, out.Bytes+int64(len(b))
		sink.Add(1)
	}
	return out, nil
}

func blobsOf(ctx context.Context, p *project.Project, ids []id.ID) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, i := range ids {
			b, err := project.ReadBlob(ctx, p.Server(), i, api.MaxBlob)
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}
