package vault

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cipherdeck/crypto/keys"
)

// resum makes the checksum right again, as an attacker would.
func resum(b []byte) []byte {
	sum := sha256.Sum256(b[:len(b)-sha256.Size])
	copy(b[len(b)-sha256.Size:], sum[:])
	return b
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	k, gone := &ring{}, &ring{}
	// The slot of gone comes first: it is opened by nobody and still protected.
	create(t, path, State{Account: Account{Name: "a"}}, KeyringSlot(gone), KeyringSlot(k))
	good, _ := os.ReadFile(path)
	expected := []error{ErrDamaged, ErrNotVault, ErrVersion, ErrKeyringMismatch}
	for i := range len(good) * 8 {
		for _, fix := range []bool{false, true} {
			bad := bytes.Clone(good)
			bad[i/8] ^= 1 << (i % 8)
			if fix && i/8 < len(bad)-sha256.Size {
				resum(bad)
			}
			put(t, path, bad)
			v, err := Open(t.Context(), path, FromKeyring(k))
			if err == nil {
				v.Close()
				t.Fatalf("bit %d of byte %d of %d: opens (checksum corrected: %v)", i%8, i/8, len(good), fix)
			}
			if !isOne(err, expected) {
				t.Fatalf("byte %d: %v", i/8, err)
			}
			if !fix && errors.Is(err, ErrKeyringMismatch) {
				t.Fatalf("byte %d: accidental damage is taken for a wrong key", i/8)
			}
		}
	}
}

func TestFlippedBitsOfAPassphraseSlot(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	create(t, path, State{}, PassphraseSlot(pass, cheap()))
	good, _ := os.ReadFile(path)
	f, err := parse(good)
	if err != nil {
		t.Fatal(err)
	}
	from, n := 8+2+idSize+8+2, 2+len(f.slots[0].raw)+sealedSize
	for i := from; i < from+n; i += 3 { // each costs an Argon2id
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		put(t, path, resum(bad))
		if _, err := Open(t.Context(), path, Passphrase(pass)); !isOne(err, []error{ErrDamaged, ErrWrongPassphrase, keys.ErrKDF, ErrNoSlot}) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	k := &ring{}
	create(t, path, sample(), KeyringSlot(k))
	good, _ := os.ReadFile(path)
	cases := [][]byte{append(bytes.Clone(good), 0), make([]byte, len(good)), resum(append(bytes.Clone(good), make([]byte, 40)...))}
	for n := range good {
		cases = append(cases, good[:n])
		if n >= sha256.Size {
			cases = append(cases, resum(bytes.Clone(good[:n])))
		}
	}
	for _, b := range cases {
		put(t, path, b)
		if _, err := Open(t.Context(), path, FromKeyring(k)); !isOne(err, []error{ErrDamaged, ErrNotVault, ErrVersion}) {
			t.Fatalf("%d of %d bytes: %v", len(b), len(good), err)
		}
	}
}

func isOne(err error, wants []error) bool {
	for _, w := range wants {
		if errors.Is(err, w) {
			return true
		}
	}
	return false
}

// edit takes the file apart, changes it, and writes it back with a right
// checksum but without the vault key.
func edit(t *testing.T, path string, change func(f *file)) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parse(b)
	if err != nil {
		t.Fatal(err)
	}
	change(f)
	out := append(f.head(), f.mac...)
	out = append(out, f.body...)
	put(t, path, resum(append(out, make([]byte, sha256.Size)...)))
}

func TestAttackOnSlotsIsNoticed(t *testing.T) {
	k := &ring{}
	for name, change := range map[string]func(f *file){
		"slot added": func(f *file) {
			s, err := newSlot(f.id, slotHeader{Type: SlotKeyring, Label: "x", Entry: "x"}, make([]byte, 32), make([]byte, 32))
			if err != nil {
				t.Fatal(err)
			}
			f.slots = append(f.slots, s)
		},
		"slot removed":  func(f *file) { f.slots = f.slots[1:] },
		"slots swapped": func(f *file) { f.slots[0], f.slots[1] = f.slots[1], f.slots[0] },
		"newer number":  func(f *file) { f.generation++ },
	} {
		path := filepath.Join(dir(t), "vault")
		*k = ring{}
		create(t, path, sample(), KeyringSlot(&ring{}), KeyringSlot(k))
		edit(t, path, change)
		if _, err := Open(t.Context(), path, FromKeyring(k)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOldBodyUnderNewHeadIsNoticed(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	k := &ring{}
	v := create(t, path, sample(), KeyringSlot(k))
	raw, _ := os.ReadFile(path)
	old, _ := parse(raw)
	if err := v.Update(func(s *State) error { s.Account.Name = "carol"; return nil }); err != nil {
		t.Fatal(err)
	}
	edit(t, path, func(f *file) { f.body = old.body })
	if _, err := Open(t.Context(), path, FromKeyring(k)); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
}

func TestReplacedFileIsNoticedBySave(t *testing.T) {
	d := dir(t)
	path, other := filepath.Join(d, "vault"), filepath.Join(d, "other")
	v := create(t, path, sample(), KeyringSlot(&ring{}))
	create(t, other, sample(), KeyringSlot(&ring{}))
	nothing := func(*State) error { return nil }
	if err := v.Update(nothing); err != nil {
		t.Fatal(err)
	}
	old, _ := os.ReadFile(path + ".bak")
	put(t, path, old)
	if err := v.Update(nothing); !errors.Is(err, ErrRolledBack) {
		t.Errorf("older file: %v", err)
	}
	foreign, _ := os.ReadFile(other)
	put(t, path, foreign)
	if err := v.Update(nothing); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "another vault") {
		t.Errorf("another vault: %v", err)
	}
	os.Remove(path)
	if err := v.Update(nothing); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), ".bak") {
		t.Errorf("file is gone: %v", err)
	}
}

// A hostile header asks for terabytes, or for next to nothing. Either is
// refused before Argon2id runs; a test that allocated it would not come back.
func TestArgon2BombIsRefused(t *testing.T) {
	for _, a := range []keys.Argon2id{
		{T: 2, MKiB: 1<<32 - 1, P: 1}, {T: 1<<32 - 1, MKiB: 19 << 10, P: 1}, {T: 2, MKiB: 19 << 10, P: 255}, {T: 1, MKiB: 8, P: 1}, {},
	} {
		path := filepath.Join(dir(t), "vault")
		create(t, path, State{}, KeyringSlot(&ring{}))
		edit(t, path, func(f *file) {
			s, err := newSlot(f.id, slotHeader{Type: SlotPassphrase, Label: "x", T: a.T, MKiB: a.MKiB, P: a.P}, make([]byte, 32), make([]byte, 32))
			if err != nil {
				t.Fatal(err)
			}
			f.slots = []slot{s}
		})
		if _, err := Open(t.Context(), path, Passphrase(pass)); !errors.Is(err, keys.ErrKDF) {
			t.Errorf("%+v: %v", a, err)
		}
	}
}
