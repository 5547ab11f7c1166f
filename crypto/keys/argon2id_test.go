package keys

import (
	"encoding/hex"
	"errors"
	"testing"
)

func TestArgon2idLimits(t *testing.T) {
	const gib = 1 << 20 // in KiB
	for name, c := range map[string]struct {
		a   Argon2id
		ram uint64
		ok  bool
	}{
		"default":         {DefaultArgon2id(), 8 * gib, true},
		"floor":           {Argon2id{1, 19 << 10, 1}, 8 * gib, true},
		"ceiling":         {Argon2id{32, 4 * gib, 16}, 8 * gib, true},
		"unknown memory":  {Argon2id{32, 4 * gib, 16}, 0, true},
		"little memory":   {Argon2id{1, 19<<10 - 1, 1}, 8 * gib, false},
		"much memory":     {Argon2id{1, 4*gib + 1, 1}, 64 * gib, false},
		"4 TiB":           {Argon2id{1, 1<<32 - 1, 1}, 1 << 40, false},
		"half of machine": {Argon2id{1, gib, 1}, 2*gib - 1, false},
		"no passes":       {Argon2id{0, 64 << 10, 1}, 8 * gib, false},
		"many passes":     {Argon2id{33, 64 << 10, 1}, 8 * gib, false},
		"no lanes":        {Argon2id{3, 64 << 10, 0}, 8 * gib, false},
		"many lanes":      {Argon2id{3, 64 << 10, 17}, 8 * gib, false},
	} {
		if err := c.a.check(c.ram); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrKDF) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (Argon2id{1, 8, 1}).Derive([]byte("x"), [16]byte{}); !errors.Is(err, ErrKDF) {
		t.Errorf("Derive skips Check: %v", err)
	}
}

func TestArgon2idDerive(t *testing.T) {
	a := Argon2id{T: 1, MKiB: 19 << 10, P: 1}
	salt := [16]byte{1}
	key, err := a.Derive([]byte("caf\u00e9"), salt)
	if err != nil {
		t.Fatal(err)
	}
	if same, _ := a.Derive([]byte("cafe\u0301"), salt); same != key {
		t.Error("composed and decomposed spelling differ")
	}
	if other, _ := a.Derive([]byte("cafe"), salt); other == key {
		t.Error("passphrase does not matter")
	}
	if other, _ := a.Derive([]byte("caf\u00e9"), [16]byte{2}); other == key {
		t.Error("salt does not matter")
	}
	if got := hex.EncodeToString(key[:8]); got != "99d40fa4921b2d2a" {
		t.Errorf("key %s, want 99d40fa4921b2d2a", got)
	}
	if _, err := a.Derive(nil, salt); !errors.Is(err, ErrEmptyPassphrase) {
		t.Error(err)
	}
	if memoryKiB() == 0 {
		t.Log("memory of this machine is not known: only the fixed limits hold")
	}
}
