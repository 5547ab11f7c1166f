package channel

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"

	"cipherdeck/attest"
	"cipherdeck/attest/softtpm"
	"cipherdeck/attest/tpm2"
	"cipherdeck/crypto/doc"
)

// TestEnrollingIsNoOracle: 40 the endpoint asks for no login, so it must give
// nothing away. It opens credentials for its own keys on this connection, and
// answers with an HMAC of what the asker put in.
func TestEnrollingIsNoOracle(t *testing.T) {
	s := newServer(t).start(t)
	r, other := s.record(t), s.record(t)
	res := NewResponder(s.machine)
	e, err := parseEvidence(r.evidence)
	if err != nil {
		t.Fatal(err)
	}
	secret := bytes.Repeat([]byte{7}, tpm2.SecretSize)
	make := func(ek, name []byte) tpm2.Credential {
		c, err := tpm2.MakeCredential(rand.Reader, ek, name, secret)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ask := func(challenge []byte, c tpm2.Credential) ([]byte, error) {
		raw, err := doc.Encode(Enrolling{Challenge: challenge, Credential: c})
		if err != nil {
			t.Fatal(err)
		}
		return res.Activate(&r.cs, raw)
	}
	name := s.machine.AK.Name.Buffer
	good, err := ask(r.challenge, make(e.EK, name))
	if err != nil || bytes.Contains(good, secret) || len(good) != 32 {
		t.Fatalf("%x, %v", good, err)
	}
	if again, err := ask(other.challenge, make(e.EK, name)); err != nil || bytes.Equal(again, good) {
		t.Errorf("the answer to another challenge is the same: %v", err)
	}
	stranger, err := tpm2.NewEK(softtpm.New(softtpm.Config{Seed: [32]byte{8}}), nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]tpm2.Credential{
		"of another TPM": make(stranger.Public, name),
		"of another AK":  make(e.EK, append(bytes.Clone(name[:33]), name[33]^1)),
		"cut":            {Blob: []byte{1}, Secret: []byte{2}},
		"empty":          {},
	} {
		if out, err := ask(r.challenge, c); !errors.Is(err, ErrChallenge) || out != nil {
			t.Errorf("a credential %s: %x, %v", what, out, err)
		}
	}
	if _, err := res.Activate(&r.cs, []byte("junk")); !errors.Is(err, ErrChallenge) {
		t.Errorf("junk: %v", err)
	}
	if _, err := res.Activate(&r.cs, bytes.Repeat([]byte{0}, MaxEnrolling+1)); !errors.Is(err, ErrChallenge) {
		t.Errorf("too long: %v", err)
	}
	if _, err := res.Activate(nil, nil); !errors.Is(err, ErrTLS) {
		t.Errorf("no TLS: %v", err)
	}
}

// A saved transcript is judged as it was, and says so when it was changed.
func TestTranscripts(t *testing.T) {
	s := newServer(t).start(t)
	c := Wrap(dial(t, s.addr, s.spki), "deck")
	v, err := c.Attest(t.Context(), s.policy)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := c.Transcript().Save()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Load(raw)
	if err != nil {
		t.Fatal(err)
	}
	w, err := again.Judge(t.Context(), s.policy, judgedAt())
	if err != nil || w.Digest != v.Digest || w.Word() != v.Word() {
		t.Fatalf("%v %+v", err, w)
	}
	again.EKM[0] ^= 1
	if w, err := again.Judge(t.Context(), s.policy, judgedAt()); !errors.Is(err, attest.ErrRefused) || w.Broken().ID != attest.LinkNonce {
		t.Errorf("another connection: %v", err)
	}
	for name, bad := range map[string][]byte{"empty": nil, "cut": raw[:len(raw)-1], "trailing": append(bytes.Clone(raw), 0), "huge": bytes.Repeat([]byte{0}, MaxTranscript+1)} {
		if _, err := Load(bad); !errors.Is(err, ErrTranscript) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzTranscript: a transcript has one encoding, and only one that a machine
// answered is judged good.
func FuzzTranscript(f *testing.F) {
	s := newServer(f).start(f)
	c := Wrap(dial(f, s.addr, s.spki), "deck")
	if _, err := c.Attest(f.Context(), s.policy); err != nil {
		f.Fatal(err)
	}
	good, err := c.Transcript().Save()
	if err != nil {
		f.Fatal(err)
	}
	honest, err := Load(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := Load(raw)
		if err != nil {
			return
		}
		if again, err := got.Save(); err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("%x is also %x, %v", raw, again, err)
		}
		if v, err := got.Judge(t.Context(), s.policy, judgedAt()); err == nil && !bytes.Equal(got.Evidence, honest.Evidence) {
			t.Fatalf("nobody answered this: %+v", v)
		}
		if v, err := got.Judge(t.Context(), attest.Policy{}, judgedAt()); err == nil {
			t.Fatalf("accepted by a policy without signers: %+v", v)
		}
	})
}

// FuzzEnrolling: whoever posts what he likes gets a proof of 32 bytes or is told
// that he is at fault, and the next one is served.
func FuzzEnrolling(f *testing.F) {
	s := newServer(f).start(f)
	r, res := s.record(f), NewResponder(s.machine)
	cred, err := tpm2.MakeCredential(rand.Reader, s.machine.EK.Public, s.machine.AK.Name.Buffer, make([]byte, tpm2.SecretSize))
	if err != nil {
		f.Fatal(err)
	}
	good, err := doc.Encode(Enrolling{Challenge: r.challenge, Credential: cred})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-9])
	f.Add(r.challenge)
	f.Fuzz(func(t *testing.T, raw []byte) {
		proof, err := res.Activate(&r.cs, raw)
		if err != nil && !errors.Is(err, ErrChallenge) || err == nil && len(proof) != 32 {
			t.Fatalf("%x: %x, %v", raw, proof, err)
		}
		if _, err := res.Activate(&r.cs, good); err != nil {
			t.Fatalf("after %x: %v", raw, err)
		}
	})
}
