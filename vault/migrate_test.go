package vault

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"cipherdeck/vault/journal"
	"cipherdeck/vault/secret"
)

// old puts the vault that version 1 of the format wrote at a path of its own.
// It holds sample() without secrets, in its second save, and opens with pass.
func old(t *testing.T) (path string, raw []byte) {
	t.Helper()
	raw, err := os.ReadFile("testdata/v1.vault")
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir(t), "vault")
	put(t, path, raw)
	return path, raw
}

func sampleV1() State {
	s := sampleV2()
	s.Secrets = secret.Set{}
	return s
}

// sampleV2 is sample() without what came after version 2, as it is read back.
func sampleV2() State {
	s := sample()
	s.Account.Check, s.Account.Imported, s.Journal = []byte{}, false, journal.Log{Entries: []journal.Entry{}}
	return s
}

func TestVersion1IsReadAndMigrated(t *testing.T) {
	path, raw := old(t)
	v := open(t, path, Passphrase(pass))
	if got := v.copyOf(t); !reflect.DeepEqual(got, sampleV1()) {
		t.Fatalf("%+v", got)
	}
	if now, _ := os.ReadFile(path); !bytes.Equal(now, raw) {
		t.Fatal("opening changed the file")
	}
	api := secret.Secret{Kind: secret.API, Fields: map[string][]byte{"key": []byte("x")}}
	for range 2 { // the second save must not touch the copy of version 1
		if err := v.Update(func(s *State) error { s.Secrets["n"] = api; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if kept, _ := os.ReadFile(path + ".v1.bak"); !bytes.Equal(kept, raw) {
		t.Fatal(".v1.bak is not the file of before")
	}
	got := open(t, path, Passphrase(pass)).copyOf(t)
	if string(got.Secrets["n"].Fields["key"]) != "x" || got.Account.Name != "alice" || v.generation != 4 {
		t.Fatalf("%+v", got)
	}
	if now, _ := os.ReadFile(path); now[9] != version {
		t.Fatalf("version %d", now[9])
	}
	open(t, path+".v1.bak", Passphrase(pass))
}

// A slot that is removed must not live on in a copy.
func TestMigrationByRemovingASlotKeepsNoCopy(t *testing.T) {
	path, _ := old(t)
	v := open(t, path, Passphrase(pass))
	if err := v.RemoveSlot(v.Slots()[1].ID); err != nil {
		t.Fatal(err)
	}
	if got := names(t, filepath.Dir(path)); got != "vault vault.lock" {
		t.Fatalf("files: %s", got)
	}
	v.Close()
	path, _ = old(t)
	v = open(t, path, Passphrase(pass))
	if err := v.Update(func(*State) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := v.RemoveSlot(v.Slots()[1].ID); err != nil {
		t.Fatal(err)
	}
	if got := names(t, filepath.Dir(path)); got != "vault vault.lock" {
		t.Fatalf("files: %s", got)
	}
}

// A version 1 file cannot be passed off as one of version 2, nor the reverse,
// and has no slots of kinds that came later.
func TestVersionsAreNotMixed(t *testing.T) {
	for name, change := range map[string]func(f *file){
		"1 as 2":         func(f *file) { f.version = 2 },
		"later type":     func(f *file) { f.slots = append(f.slots, laterSlot(t, f, SlotRecovery)) },
		"unknown type":   func(f *file) { f.slots = append(f.slots, laterSlot(t, f, 99)) },
		"later and as 2": func(f *file) { f.version = 2; f.slots = append(f.slots, laterSlot(t, f, SlotRecovery)) },
		"as 2, PKCS#11":  func(f *file) { f.version = 2; f.slots = append(f.slots, laterSlot(t, f, SlotPKCS11)) },
	} {
		path, _ := old(t)
		edit(t, path, change)
		if _, err := Open(t.Context(), path, Passphrase(pass)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := filepath.Join(dir(t), "vault")
	create(t, path, sample(), PassphraseSlot(pass, cheap()))
	edit(t, path, func(f *file) { f.version = 1 })
	if _, err := Open(t.Context(), path, Passphrase(pass)); !errors.Is(err, ErrDamaged) {
		t.Errorf("2 as 1: %v", err)
	}
	b, _ := os.ReadFile(path)
	b[9] = version + 1
	put(t, path, resum(b))
	if _, err := Open(t.Context(), path, Passphrase(pass)); !errors.Is(err, ErrVersion) {
		t.Errorf("version 5: %v", err)
	}
}

func laterSlot(t *testing.T, f *file, typ SlotType) slot {
	t.Helper()
	s, err := newSlot(f.id, slotHeader{Type: typ, Label: "x"}, make([]byte, 32), make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The first files of version 3 say nothing of an imported key. They open, and
// stay what they are.
func TestVersion3WithoutImportedIsRead(t *testing.T) {
	raw, err := os.ReadFile("testdata/v3-first.vault")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir(t), "vault")
	put(t, path, raw)
	v := open(t, path, Passphrase(pass))
	if got := v.copyOf(t).Account; got.Name != "alice" || got.Imported {
		t.Fatalf("%+v", got)
	}
	if err := v.Update(func(*State) error { return nil }); err != nil {
		t.Fatal(err)
	}
	open(t, path, Passphrase(pass))
}
