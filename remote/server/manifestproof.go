package server

import (
	"context"
	"errors"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
	"cipherdeck/remote/journal"
)

// proveEvery is how often the manifest's proof is made again, so that it shows
// the cosignatures that came since.
const proveEvery = time.Minute

// manifestEntry is the journal's entry of the manifest: whoever has the
// manifest finds it, and that the server showed the same one to all.
func manifestEntry(signed []byte) journal.Entry {
	return journal.Entry{Action: tlog.ActManifest, Object: tlog.Tag(tlog.KindEvent, []byte(tlog.ActManifest)), Body: signed}
}

// recordManifest puts the manifest into the journal, once.
func (s *Server) recordManifest(ctx context.Context) error {
	if len(s.manifest) == 0 || s.journal.Has(manifestEntry(s.manifest)) {
		return nil
	}
	_, err := s.journal.Record(ctx, manifestEntry(s.manifest))
	return err
}

// proveManifest gives the evidence a proof that the manifest is in the journal,
// as soon as it is, and newer ones later.
func (s *Server) proveManifest() {
	if len(s.manifest) == 0 {
		return
	}
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-s.stopping.Done():
			return
		case <-wait.C:
		}
		proof, err := s.manifestProof(s.stopping)
		switch {
		case err == nil:
			s.responder.SetProof(proof)
			wait.Reset(proveEvery)
		case errors.Is(err, journal.ErrNotFound): // promised, and not there yet
			wait.Reset(100 * time.Millisecond)
		default:
			if s.stopping.Err() == nil {
				s.log.Error("prove the manifest", "err", err)
			}
			wait.Reset(proveEvery)
		}
	}
}

func (s *Server) manifestProof(ctx context.Context) ([]byte, error) {
	e := manifestEntry(s.manifest)
	proofs, c, err := s.journal.Object(ctx, e.Object, journal.Newest)
	if err != nil {
		return nil, err
	}
	tag := tlog.DocTag(s.manifest)
	for _, p := range proofs {
		if l, err := tlog.OpenLeaf(p.Leaf); err == nil && l.Doc == tag {
			return tlog.Bundle{Extra: p.Leaf, Index: p.Index, Path: p.Path, Checkpoint: c.Raw}.Format(), nil
		}
	}
	return nil, journal.ErrNotFound
}

// Manifest is the digest of the manifest that is shown; zero without one.
func (s *Server) Manifest() id.ID {
	if len(s.manifest) == 0 {
		return id.ID{}
	}
	return id.Of(s.manifest)
}
