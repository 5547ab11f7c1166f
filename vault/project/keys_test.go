package project

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/seal"
)

func columnKey(t *testing.T, p *Project, name string) [32]byte {
	t.Helper()
	k, err := p.ColumnKey(name)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestColumnKeyIsTheSameForMembersAndEpochs(t *testing.T) {
	s, alice, bob, carol := newShelf(), person(t, "alice"), person(t, "bob"), person(t, "carol")
	p := create(t, s, alice)
	want := columnKey(t, p, "default")
	if want == columnKey(t, p, "other") || want == ([32]byte{}) {
		t.Error("the name does not matter, or there is no key")
	}
	if want == columnKey(t, create(t, newShelf(), alice), "default") {
		t.Error("another project has the same key")
	}
	for _, x := range []string{"", "a/b", strings.Repeat("x", 65)} {
		if _, err := p.ColumnKey(x); err == nil {
			t.Errorf("%q is a name", x)
		}
	}
	if err := p.Share(t.Context(), bob.Account, chain.Reader); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Remove(t.Context(), bob.Account.UID); err != nil {
		t.Fatal(err)
	}
	if p.State().Epoch().Number != 2 || columnKey(t, p, "default") != want {
		t.Error("the key changed with the epoch")
	}
	// Carol came in epoch 2, and reaches the first backwards.
	if err := p.Share(t.Context(), carol.Account, chain.Reader); err != nil {
		t.Fatal(err)
	}
	q, err := open(t, s, carol, p.ID(), Seen{})
	if err != nil || columnKey(t, q, "default") != want {
		t.Error("a later member has another key", err)
	}
}

func TestAuditorHasNoColumnKey(t *testing.T) {
	s, alice, aud := newShelf(), person(t, "alice"), person(t, "aud")
	p := create(t, s, alice)
	if err := p.Share(t.Context(), aud.Account, chain.Auditor); err != nil {
		t.Fatal(err)
	}
	q, err := open(t, s, aud, p.ID(), Seen{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.ColumnKey("default"); !errors.Is(err, ErrNoKey) {
		t.Error(err)
	}
	if _, err := q.Recipient(); !errors.Is(err, ErrNoKey) {
		t.Error(err)
	}
	if n := len(q.Identities()); n != 0 {
		t.Errorf("%d identities", n)
	}
}

func TestContainerForAProject(t *testing.T) {
	s, alice, bob, carol := newShelf(), person(t, "alice"), person(t, "bob"), person(t, "carol")
	p := create(t, s, alice)
	if err := p.Share(t.Context(), bob.Account, chain.Reader); err != nil {
		t.Fatal(err)
	}
	q, err := open(t, s, bob, p.ID(), Seen{})
	if err != nil {
		t.Fatal(err)
	}
	first := sealedFor(t, p)
	if _, err := p.Remove(t.Context(), bob.Account.UID); err != nil {
		t.Fatal(err)
	}
	second := sealedFor(t, p)
	if err := p.Share(t.Context(), carol.Account, chain.Reader); err != nil {
		t.Fatal(err)
	}
	r, err := open(t, s, carol, p.ID(), Seen{})
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		p    *Project
		b    []byte
		want error
	}{{p, first, nil}, {p, second, nil}, {r, first, nil}, {r, second, nil}, {q, first, nil}, {q, second, seal.ErrNotRecipient}} {
		if _, err := seal.Open(bytes.NewReader(c.b), c.p.Identities()...); !errors.Is(err, c.want) {
			t.Errorf("%d: %v, want %v", i, err, c.want)
		}
	}
}

func sealedFor(t *testing.T, p *Project) []byte {
	t.Helper()
	to, err := p.Recipient()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := seal.Seal(t.Context(), &b, strings.NewReader("x"), seal.Meta{Size: 1}, []seal.Recipient{to}, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
