package chain

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"testing"

	"cipherdeck/crypto/doc"
)

// laptop makes a second machine that asks to belong to account u.
func laptop(t testing.TB, u UID, name string) (Key, []byte) {
	t.Helper()
	_, dev, _ := ed25519.GenerateKey(rand.Reader)
	k := Key{Sign: dev, PQ: newPQ(t)}
	raw, err := NewRequest(u, name, k, make([]byte, xwingKeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k, raw
}

func TestAccountStory(t *testing.T) {
	alice := newActor(t, Person, "alice")
	key, req := laptop(t, alice.acc.UID, "laptop")
	two, err := alice.acc.AddDevice(alice.author(), req, 2)
	if err != nil {
		t.Fatal(err)
	}
	kid, _ := key.ID()
	if d, ok := two.Valid(kid); !ok || d.Name != "laptop" || len(two.Devices) != 2 || two.Seq != 2 {
		t.Fatalf("%+v", two.Devices)
	}
	// The new device revokes the first one, and changes the account's keys.
	by := Author{Root: alice.root, Device: key}
	first, _ := alice.key().ID()
	three, err := two.RevokeDevice(by, first, 3)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := three.Valid(first); ok {
		t.Fatal("revoked device is valid")
	}
	fresh, _ := rsa.GenerateKey(rand.Reader, 2048)
	four, err := three.Rotate(by, fresh, bytes.Repeat([]byte{1}, xwingKeySize), 4)
	if err != nil {
		t.Fatal(err)
	}
	if !four.RSA.Equal(&fresh.PublicKey) || four.Rotations != 1 || four.UID != alice.acc.UID {
		t.Fatalf("%+v", four)
	}
	if again, err := OpenAccountChain(four.Raw, four.Links); err != nil || again.Head != four.Head || again.Seq != 4 {
		t.Fatalf("%v", err)
	}
	// The old RSA key signs nothing any more, nor does the revoked device.
	if _, err := four.RevokeDevice(by, kid, 5); !errors.Is(err, ErrAccount) {
		t.Errorf("old root: %v", err)
	}
	_, req = laptop(t, four.UID, "third")
	if _, err := four.AddDevice(Author{Root: fresh, Device: alice.key()}, req, 5); !errors.Is(err, ErrAccount) {
		t.Errorf("revoked device acts: %v", err)
	}
	// Links in another order, one left out, one twice, one of another account.
	l := four.Links
	other := newActor(t, Person, "bob")
	for name, links := range map[string][][]byte{
		"left out": {l[0], l[2], l[3]}, "twice": {l[0], l[0]}, "order": {l[1], l[0]}, "another's": {other.acc.Links[0]},
	} {
		if _, err := OpenAccountChain(four.Raw, links); !errors.Is(err, ErrAccount) || !errors.Is(err, ErrOrder) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every link needs the account's RSA key, the acting device with both of its
// keys, and whatever key it brings: each is left out once, and one too many put.
func TestAccountLinksNeedEverySignature(t *testing.T) {
	alice, eve := newActor(t, Person, "alice"), newActor(t, Person, "eve")
	_, req := laptop(t, alice.acc.UID, "laptop")
	fresh, _ := rsa.GenerateKey(rand.Reader, 2048)
	kid, _ := alice.key().ID()
	two, err := alice.acc.AddDevice(alice.author(), req, 2)
	if err != nil {
		t.Fatal(err)
	}
	for kind, good := range map[string]*Account{
		AccountDevice: two,
		AccountRotate: must(alice.acc.Rotate(alice.author(), fresh, make([]byte, xwingKeySize), 2)),
		AccountPQ:     alice.acc,
	} {
		raw := good.Links[len(good.Links)-1]
		before := must(OpenAccountChain(good.Raw, good.Links[:len(good.Links)-1]))
		var s doc.Signed
		if err := doc.Decode(raw, &s); err != nil {
			t.Fatal(err)
		}
		for i := range s.Sigs {
			cut := s
			cut.Sigs = append(append([]doc.Sig{}, s.Sigs[:i]...), s.Sigs[i+1:]...)
			if _, err := before.Next(must(doc.Encode(cut))); !errors.Is(err, ErrAccount) {
				t.Errorf("%s without signature %d: %v", kind, i, err)
			}
		}
		var l accountLink
		if err := doc.Decode(s.Body, &l); err != nil {
			t.Fatal(err)
		}
		signers := []crypto.Signer{alice.root, alice.dev, alice.pq, eve.root}
		if _, err := before.Next(must(doc.Sign(AccountLinkType, l, signers...))); !errors.Is(err, ErrAccount) {
			t.Errorf("%s with a stranger's signature: %v", kind, err)
		}
		for i := 0; i < len(raw)*8; i += 11 {
			bad := bytes.Clone(raw)
			bad[i/8] ^= 1 << (i % 8)
			if _, err := before.Next(bad); !errors.Is(err, ErrAccount) {
				t.Fatalf("%s bit %d: %v", kind, i, err)
			}
		}
	}
	if _, err := alice.acc.RevokeDevice(alice.author(), kid, 2); !errors.Is(err, ErrAccount) {
		t.Errorf("a device revokes itself: %v", err)
	}
	if _, err := eve.acc.AddDevice(eve.author(), req, 2); !errors.Is(err, ErrAccount) {
		t.Errorf("a device that asks for another account: %v", err)
	}
	if _, err := two.AddDevice(alice.author(), req, 3); !errors.Is(err, ErrAccount) {
		t.Errorf("a device twice: %v", err)
	}
	for i := 0; i < len(req)*8; i += 13 {
		bad := bytes.Clone(req)
		bad[i/8] ^= 1 << (i % 8)
		if _, _, err := OpenRequest(bad); !errors.Is(err, ErrAccount) {
			t.Fatalf("request bit %d: %v", i, err)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
