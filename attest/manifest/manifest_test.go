package manifest

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"cipherdeck/attest"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
)

func key(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(append([]byte{b}, make([]byte, 31)...))
}

func public(b byte) []byte { return key(b).Public().(ed25519.PublicKey) }

func good() attest.Manifest {
	return attest.Manifest{
		V: Version, Product: "deck", Version: 3, NotBefore: 100, NotAfter: 200,
		Baselines: []attest.Baseline{{Name: "one", Events: []attest.Golden{{Name: "binary", Any: [][32]byte{{1}}}, {Name: "tls-key", Bound: true}}}},
	}
}

func policy(threshold int, signers ...byte) attest.Policy {
	p := attest.Policy{Product: "deck", Threshold: threshold, MinVersion: 3}
	for _, s := range signers {
		p.Signers = append(p.Signers, public(s))
	}
	return p
}

func sign(t *testing.T, m attest.Manifest, keys ...ed25519.PrivateKey) []byte {
	t.Helper()
	raw, err := Sign(m, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestRoundTrip(t *testing.T) {
	raw := sign(t, good(), key(1), key(2))
	o, err := Open(raw, policy(2, 1, 2, 3))
	if err != nil {
		t.Fatal(err)
	}
	if o.Product != "deck" || len(o.Baselines[0].Events) != 2 || len(o.Signers) != 2 || o.Digest != id.Of(raw) {
		t.Fatalf("%+v", o)
	}
	if !bytes.Equal(raw, sign(t, good(), key(1), key(2))) {
		t.Error("signing is not deterministic")
	}
}

func TestOpenRefuses(t *testing.T) {
	one := sign(t, good(), key(1))
	body := func(v any) []byte {
		raw, err := doc.Sign(attest.ManifestType, v, key(1))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	shaped := func(change func(*attest.Manifest)) []byte {
		m := good()
		change(&m)
		return body(m)
	}
	otherType, _ := doc.Sign("attest/other", good(), key(1))
	for name, c := range map[string]struct {
		raw  []byte
		p    attest.Policy
		want error
	}{
		"one of two":            {one, policy(2, 1, 2), ErrSigners},
		"same key twice":        {sign(t, good(), key(1), key(1)), policy(2, 1, 2), ErrSigners},
		"policy names it twice": {one, policy(2, 1, 1), ErrSigners},
		"unknown signer":        {sign(t, good(), key(1), key(9)), policy(1, 1), ErrSigners},
		"no signers":            {one, policy(1), ErrPolicy},
		"threshold 0":           {one, policy(0, 1), ErrPolicy},
		"threshold -1":          {one, policy(-1, 1), ErrPolicy},
		"short signer":          {one, attest.Policy{Threshold: 1, Signers: [][]byte{{1}}}, ErrPolicy},
		"trailing":              {append(bytes.Clone(one), 0), policy(1, 1), ErrShape},
		"empty":                 {nil, policy(1, 1), ErrShape},
		"too large":             {make([]byte, MaxBytes+1), policy(1, 1), ErrShape},
		"other type":            {otherType, policy(1, 1), ErrShape},
		"unknown field":         {body(map[int]int{1: 1, 99: 1}), policy(1, 1), ErrShape},
		"version 1":             {shaped(func(m *attest.Manifest) { m.V = 1 }), policy(1, 1), ErrShape},
		"no product":            {shaped(func(m *attest.Manifest) { m.Product = "" }), policy(1, 1), ErrShape},
		"ends before it begins": {shaped(func(m *attest.Manifest) { m.NotAfter = 100 }), policy(1, 1), ErrShape},
		"no events":             {shaped(func(m *attest.Manifest) { m.Baselines[0].Events = nil }), policy(1, 1), ErrShape},
		"accepts anything":      {shaped(func(m *attest.Manifest) { m.Baselines[0].Events[0].Any = nil }), policy(1, 1), ErrShape},
		"bound and listed":      {shaped(func(m *attest.Manifest) { m.Baselines[0].Events[0].Bound = true }), policy(1, 1), ErrShape},
		"binary bound": {shaped(func(m *attest.Manifest) { m.Baselines[0].Events[0] = attest.Golden{Name: "binary", Bound: true} }),
			policy(1, 1), ErrShape},
	} {
		if _, err := Open(c.raw, c.p); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	raw := sign(t, good(), key(1), key(2))
	for i := range len(raw) * 8 {
		bad := bytes.Clone(raw)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := Open(bad, policy(2, 1, 2)); err == nil {
			t.Fatalf("bit %d of byte %d flipped and still opens", i%8, i/8)
		}
	}
}

func TestValid(t *testing.T) {
	for name, c := range map[string]struct {
		now    int64
		change func(*attest.Policy)
		want   error
	}{
		"first second":  {100, nil, nil},
		"last second":   {199, nil, nil},
		"early":         {99, nil, ErrEarly},
		"expired":       {200, nil, ErrExpired},
		"rolled back":   {150, func(p *attest.Policy) { p.MinVersion = 4 }, ErrRollback},
		"newer":         {150, func(p *attest.Policy) { p.MinVersion = 2 }, nil},
		"other product": {150, func(p *attest.Policy) { p.Product = "other" }, ErrProduct},
		"no product":    {150, func(p *attest.Policy) { p.Product = "" }, ErrProduct},
	} {
		p := policy(1, 1)
		if c.change != nil {
			c.change(&p)
		}
		if err := Valid(good(), p, time.Unix(c.now, 0)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestSignRefusesWhatNobodyCouldAccept(t *testing.T) {
	m := good()
	m.Baselines[0].Events[0].Any = nil
	if _, err := Sign(m, key(1)); !errors.Is(err, ErrShape) {
		t.Errorf("accepts anything: %v", err)
	}
	if _, err := Sign(good()); !errors.Is(err, doc.ErrUnsigned) {
		t.Errorf("no key: %v", err)
	}
	if _, err := Sign(good(), key(1)[:5]); err == nil {
		t.Error("short key signs")
	}
}
