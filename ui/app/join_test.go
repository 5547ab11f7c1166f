package app

import (
	"errors"
	"testing"

	"cipherdeck/crypto/chain"
	"cipherdeck/vault"
	"cipherdeck/vault/project"
)

// opened is an App with a fresh vault.
func openedApp(t *testing.T, name string) *App {
	t.Helper()
	a := New(Config{Home: t.TempDir(), NoKeyring: true})
	if _, err := a.InitVault(t.Context(), name, []byte("correct horse battery"), false); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// A newer head that does not contain the pinned one is a fork, whoever opened
// the project and in however many sessions.
func TestPinnedHeadIsNeverReplacedByAFork(t *testing.T) {
	a := openedApp(t, "alice")
	s := newShelf()
	p := s.project(t, a, "ward 7")
	if err := a.noteProject(p, "main", "ward 7"); err != nil {
		t.Fatal(err)
	}
	if err := a.noteHead(p); err != nil {
		t.Fatal(err)
	}
	other := p.Seen()
	other.Head[0] ^= 1
	pin := func(seen project.Seen) {
		if err := a.update(func(st *vault.State) error {
			r := st.Projects[p.ID().String()]
			r.Seq, r.Head = seen.Seq, seen.Head
			st.Projects[p.ID().String()] = r
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	pin(other)
	if err := a.noteHead(p); !errors.Is(err, project.ErrFork) {
		t.Fatalf("fork: %v", err)
	}
	newer := p.Seen()
	newer.Seq++
	pin(newer)
	if err := a.noteHead(p); err != nil {
		t.Fatalf("an older session: %v", err)
	}
	r, err := a.projectRecord("ward 7")
	if err != nil || r.Seq != newer.Seq {
		t.Fatalf("an older session moved the pin back: %v %v", r, err)
	}
}

// A project of a stranger is not joined by mistake.
func TestOwnerMustBeVerified(t *testing.T) {
	alice, mallory := openedApp(t, "alice"), openedApp(t, "mallory")
	s := newShelf()
	p := s.project(t, mallory, "ward 7")
	_, me, err := alice.opened()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Share(t.Context(), me.Account, chain.Writer); err != nil {
		t.Fatal(err)
	}
	theirs, err := project.Open(t.Context(), s, me, p.ID(), project.Seen{}, alice.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := alice.ownerVerified(theirs); !errors.Is(err, ErrVerify) {
		t.Fatalf("stranger: %v", err)
	}
	_, them, err := mallory.opened()
	if err != nil {
		t.Fatal(err)
	}
	met, err := alice.remember(them.Account, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := alice.ownerVerified(theirs); !errors.Is(err, ErrVerify) {
		t.Fatalf("met but not verified: %v", err)
	}
	if _, err := alice.remember(them.Account, met.Words); err != nil {
		t.Fatal(err)
	}
	if err := alice.ownerVerified(theirs); err != nil {
		t.Fatalf("verified: %v", err)
	}
}
