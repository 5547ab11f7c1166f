package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/progress"
	"cipherdeck/remote/api"
	"cipherdeck/ui/app"
	"cipherdeck/vault/project"
)

// actShare shares the project with Bob's vault after comparing words, removes
// him, and shows what he can and cannot open from then on.
func actShare(ctx context.Context, s *Stage, t *teller, sink progress.Sink) error {
	sink.Phase("create a second person's vault", 0, progress.None)
	bob, err := s.Bob.InitVault(ctx, "bob", []byte(s.pass), false)
	if err != nil {
		return err
	}
	if err := s.pin(s.Bob, true); err != nil {
		return err
	}
	if err := s.Bob.Enrol(ctx, ServerName); err != nil {
		return err
	}
	uid, err := s.meet(ctx, t, bob)
	if err != nil {
		return err
	}
	if err := s.Alice.Share(ctx, s.project, uid, chain.Reader, false); err != nil {
		return err
	}
	t.say(Good, "alice shared %s with bob as reader: one signed link, the epoch key wrapped to RSA and X-Wing", ProjectName)
	theirs, err := s.Bob.Join(ctx, ServerName, s.project.ID(), "", false)
	if err != nil {
		return err
	}
	if err := s.bobReads(ctx, t, theirs, sink); err != nil {
		return err
	}
	return s.removeBob(ctx, t, uid, sink)
}

// meet has both compare their words, as by telephone.
func (s *Stage) meet(ctx context.Context, t *teller, bob app.Identity) (chain.UID, error) {
	alice, err := s.Alice.WhoAmI()
	if err != nil {
		return chain.UID{}, err
	}
	ua, err := chain.ParseUID(alice.UID)
	if err != nil {
		return ua, err
	}
	ub, err := chain.ParseUID(bob.UID)
	if err != nil {
		return ub, err
	}
	seen, err := s.Bob.Meet(ctx, ServerName, ua, "")
	if err != nil {
		return ub, err
	}
	if err := s.Alice.Share(ctx, s.project, ub, chain.Reader, false); !errors.Is(err, app.ErrName) {
		return ub, fmt.Errorf("%w: sharing with a stranger: %v", ErrDemo, err)
	}
	if _, err := s.Alice.Meet(ctx, ServerName, ub, "other words than those that bob reads aloud today"); !errors.Is(err, app.ErrWords) {
		return ub, fmt.Errorf("%w: wrong words were accepted: %v", ErrDemo, err)
	}
	p, err := s.Alice.Meet(ctx, ServerName, ub, seen.Words)
	if err != nil {
		return ub, err
	}
	t.say(Info, "bob reads:  %s", seen.Words)
	t.say(Info, "alice sees: %s", p.Words)
	if _, err := s.Bob.Meet(ctx, ServerName, ua, p.Words); err != nil {
		return ub, err
	}
	return ub, t.must(p.Verified && p.Words == seen.Words, "verified by words, on both sides; other words are refused")
}

func (s *Stage) bobReads(ctx context.Context, t *teller, theirs *project.Project, sink progress.Sink) error {
	it, err := theirs.Item(dataName)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := theirs.Read(ctx, it, &b, sink); err != nil {
		return err
	}
	return t.must(bytes.Equal(b.Bytes(), s.truth), "bob verified %d links and opened %s: %d bytes, identical", theirs.State().Seq+1, dataName, b.Len())
}

// removeBob revokes, adds something new, and tries everything that bob has.
func (s *Stage) removeBob(ctx context.Context, t *teller, uid chain.UID, sink progress.Sink) error {
	rep, err := s.Alice.Revoke(ctx, s.project, uid)
	if err != nil {
		return err
	}
	t.figure("new_epoch", rep.NewEpoch)
	t.figure("could_read_items", rep.Items)
	t.figure("could_read_bytes", rep.Bytes)
	t.say(Good, "bob removed; epoch %d begins in the same link", rep.NewEpoch)
	t.say(Info, "honest report: bob could read %d items in %d versions, %d bytes, and may have kept them", rep.Items, rep.Versions, rep.Bytes)
	path := s.path("alice", "after.csv")
	if err := os.WriteFile(path, []byte("follow_up,outcome\n12,0\n"), 0o600); err != nil {
		return err
	}
	it, err := s.Alice.AddFile(ctx, s.project, path, project.Dataset, sink)
	if err != nil {
		return err
	}
	t.say(Info, "alice seals %s under epoch %d", it.Name, it.Epoch)
	_, err = s.Bob.Project(ctx, ProjectName)
	if err := t.must(errors.Is(err, api.ErrForbidden), "bob asks the server: refused (403)"); err != nil {
		return err
	}
	// Even if the server gave him everything it has.
	r, err := s.Bob.Reach(ctx, s.project)
	if err != nil {
		return err
	}
	t.figure("reach", map[string]any{"epochs": r.Epochs, "newest": r.Newest, "index_open": r.IndexOpen})
	ok := r.Newest == rep.NewEpoch && !r.IndexOpen && len(r.Epochs) == 1 && r.Epochs[0] == 1
	return t.must(ok, "even with all of the server's bytes, bob's keys open epoch 1 of %d and not the new index", r.Newest)
}
