package account

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"slices"
	"testing"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/keys"
	"cipherdeck/crypto/seal"
	"cipherdeck/vault"
)

// two is alice on a machine that approved another one, which waits.
func two(t *testing.T) (old, waiting vault.Account, me *Me, to chain.Device) {
	t.Helper()
	old = person(t, "alice")
	me, err := Load(old)
	if err != nil {
		t.Fatal(err)
	}
	waiting, err = NewDevice(rand.Reader, me.Account.UID, "laptop")
	if err != nil {
		t.Fatal(err)
	}
	return old, waiting, me, approve(t, &old, &me, waiting)
}

func approve(t *testing.T, a *vault.Account, me **Me, waiting vault.Account) chain.Device {
	t.Helper()
	req, d, _, err := Asking(waiting)
	if err != nil {
		t.Fatal(err)
	}
	acc, err := (*me).Account.AddDevice((*me).Author(), req, 1)
	if err != nil {
		t.Fatal(err)
	}
	a.Links = acc.Links
	if *me, err = Load(*a); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSecondDevice(t *testing.T) {
	old, waiting, me, to := two(t)
	if _, err := Load(waiting); !errors.Is(err, ErrWaiting) {
		t.Fatalf("waiting: %v", err)
	}
	raw, err := me.Answer(to.ID, vault.State{Account: old, Projects: map[string]vault.Project{"p": {Name: "ward"}}})
	if err != nil {
		t.Fatal(err)
	}
	st, err := Finish(waiting, raw)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Load(st.Account)
	if err != nil || st.Projects["p"].Name != "ward" || second.Account.UID != me.Account.UID {
		t.Fatalf("%v %+v", err, st.Projects)
	}
	if st.Account.Device != waiting.Device || second.Device.Equal(me.Device) || !second.Pair.RSA.Equal(me.Pair.RSA) {
		t.Fatal("the device is not its own, or the account's keys are not the account's")
	}
	// The new device acts for the account: it revokes the old one.
	first, _ := me.Key().ID()
	if _, err := second.Account.RevokeDevice(second.Author(), first, 3); err != nil {
		t.Fatal(err)
	}
	if _, err := Finish(st.Account, raw); !errors.Is(err, ErrStale) {
		t.Errorf("the same answer again: %v", err)
	}
}

func TestAnswersThatAreRefused(t *testing.T) {
	old, waiting, me, to := two(t)
	raw, err := me.Answer(to.ID, vault.State{Account: old})
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewDevice(rand.Reader, me.Account.UID, "laptop")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Finish(other, raw); !errors.Is(err, ErrAnswer) {
		t.Errorf("another device: %v", err)
	}
	if _, err := me.Answer(mustID(t, other), vault.State{Account: old}); !errors.Is(err, ErrAnswer) {
		t.Errorf("a device that was never approved: %v", err)
	}
	eve := person(t, "eve")
	em, err := Load(eve)
	if err != nil {
		t.Fatal(err)
	}
	// Eve approves the same machine into her account, and answers it.
	if _, err := em.Account.AddDevice(em.Author(), waiting.Links[0], 1); !errors.Is(err, chain.ErrAccount) {
		t.Errorf("a request for another account: %v", err)
	}
	// Somebody who holds all keys of the account but is none of its devices.
	thief := *me
	thief.Device, thief.PQ = em.Device, em.PQ
	forged, err := thief.Answer(to.ID, vault.State{Account: old})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Finish(waiting, forged); !errors.Is(err, ErrAnswer) {
		t.Errorf("signed by no device of the account: %v", err)
	}
	// One of the two signatures left out.
	var s doc.Signed
	if err := doc.Decode(raw, &s); err != nil {
		t.Fatal(err)
	}
	for i := range s.Sigs {
		cut := s
		cut.Sigs = slices.Delete(slices.Clone(s.Sigs), i, i+1)
		enc, err := doc.Encode(cut)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Finish(waiting, enc); !errors.Is(err, ErrAnswer) {
			t.Errorf("without signature %d: %v", i, err)
		}
	}
	for i := 0; i < len(raw)*8; i += 997 {
		bad := bytes.Clone(raw)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := Finish(waiting, bad); !errors.Is(err, ErrAnswer) {
			t.Fatalf("bit %d: %v", i, err)
		}
	}
}

func mustID(t *testing.T, a vault.Account) doc.KeyID {
	t.Helper()
	_, d, _, err := Asking(a)
	if err != nil {
		t.Fatal(err)
	}
	return d.ID
}

// Words are those of the account and the request: a request that was exchanged
// on its way has others, whatever it is called.
func TestRequestWords(t *testing.T) {
	_, waiting, me, _ := two(t)
	swapped, err := NewDevice(rand.Reader, me.Account.UID, "laptop")
	if err != nil {
		t.Fatal(err)
	}
	u := me.Account.UID
	w := RequestWords(u, waiting.Links[0])
	if w != RequestWords(u, waiting.Links[0]) || w == RequestWords(u, swapped.Links[0]) || w == RequestWords(chain.UID{}, waiting.Links[0]) {
		t.Fatal("words do not tell requests apart")
	}
}

func TestTurn(t *testing.T) {
	old, waiting, me, to := two(t)
	raw, err := me.Answer(to.ID, vault.State{Account: old})
	if err != nil {
		t.Fatal(err)
	}
	st, err := Finish(waiting, raw)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	turned, err := Turn(old, rand.Reader, fresh, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	now, err := Load(turned)
	if err != nil || now.Account.Rotations != 1 || !now.Pair.RSA.Equal(fresh) || len(now.Former) != 1 {
		t.Fatalf("%v", err)
	}
	// What was sealed to the old keys still opens, and the new link is signed by the new one.
	if !now.Former[0].RSA.Equal(me.Pair.RSA) {
		t.Fatal("the old keys are gone")
	}
	sealed, err := seal.WrapKey(me.Pair.Public(), [32]byte{7}, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seal.UnwrapKey(now.Former[0], sealed, []byte("x")); err != nil {
		t.Fatal(err)
	}
	// The other device cannot go on by itself: it lacks the keys, until it is handed them.
	if _, _, err := Adopt(st.Account, turned.Links[len(st.Account.Links):]); !errors.Is(err, ErrElsewhere) {
		t.Fatalf("%v", err)
	}
	again, err := now.Answer(to.ID, vault.State{Account: turned})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Finish(st.Account, again)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := Load(got.Account); err != nil || !m.Pair.RSA.Equal(fresh) || len(m.Former) != 1 {
		t.Fatalf("%v", err)
	}
	if _, err := Finish(got.Account, raw); !errors.Is(err, ErrStale) {
		t.Errorf("an answer from before: %v", err)
	}
	typed, err := NewTyped(t.Context(), "ana", keys.Seed{1}, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Turn(typed, rand.Reader, fresh, time.Now()); !errors.Is(err, ErrTyped) {
		t.Errorf("typed: %v", err)
	}
}

func TestAdopt(t *testing.T) {
	old, waiting, me, to := two(t)
	raw, err := me.Answer(to.ID, vault.State{Account: old})
	if err != nil {
		t.Fatal(err)
	}
	st, err := Finish(waiting, raw)
	if err != nil {
		t.Fatal(err)
	}
	third, err := NewDevice(rand.Reader, me.Account.UID, "third")
	if err != nil {
		t.Fatal(err)
	}
	before := len(old.Links)
	d := approve(t, &old, &me, third)
	got, events, err := Adopt(st.Account, old.Links[before:])
	if err != nil || len(events) != 1 || events[0].Device.ID != d.ID || events[0].By.Name != "first" || events[0].Kind != chain.AccountDevice {
		t.Fatalf("%v %+v", err, events)
	}
	revoked, err := me.Account.RevokeDevice(me.Author(), to.ID, 4)
	if err != nil {
		t.Fatal(err)
	}
	if same, _, err := Adopt(got, revoked.Links[len(got.Links):]); !errors.Is(err, ErrRevoked) || len(same.Links) != len(got.Links) {
		t.Fatalf("%v", err)
	}
	bad := bytes.Clone(revoked.Links[len(revoked.Links)-1])
	bad[len(bad)-1] ^= 1
	if _, _, err := Adopt(got, [][]byte{bad}); !errors.Is(err, chain.ErrAccount) || errors.Is(err, ErrRevoked) {
		t.Fatalf("a forged revocation: %v", err)
	}
}

func TestFollows(t *testing.T) {
	a := person(t, "alice")
	me, err := Load(a)
	if err != nil {
		t.Fatal(err)
	}
	bob, err := Load(person(t, "bob"))
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	turned, err := me.Account.Rotate(me.Author(), fresh, me.Account.XWing, 2)
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewDevice(rand.Reader, me.Account.UID, "laptop")
	if err != nil {
		t.Fatal(err)
	}
	more, err := me.Account.AddDevice(me.Author(), w.Links[0], 2)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		was, now *chain.Account
		want     error
	}{
		"same": {me.Account, me.Account, nil}, "a device more": {me.Account, more, nil}, "rotated": {me.Account, turned, chain.ErrKeysChanged},
		"older": {more, me.Account, ErrOlder}, "older and rotated": {turned, me.Account, ErrOlder}, "another way": {more, turned, chain.ErrKeysChanged},
	} {
		if err := Follows(c.was, c.now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if Words(bob.Account, me.Account) != Words(more, bob.Account) || Words(bob.Account, me.Account) == Words(bob.Account, turned) || Words(bob.Account, turned) != Words(turned, bob.Account) {
		t.Error("words do not follow the keys in force")
	}
}
