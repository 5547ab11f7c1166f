package pkcs11

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"cipherdeck/vault"
	"cipherdeck/vault/pkcs11/wire"
)

var pin = []byte(userPIN)

func create(t testing.TB, slots ...vault.NewSlot) *vault.Vault {
	t.Helper()
	d := t.TempDir()
	_ = os.Chmod(d, 0o700)
	v, err := vault.Create(filepath.Join(d, "vault"), vault.State{Account: vault.Account{Name: "ana"}}, slots...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func open(ctx context.Context, v *vault.Vault, u vault.Unlocker) error {
	again, err := vault.Open(ctx, v.Path(), u)
	if err == nil {
		again.Close()
	}
	return err
}

// generated is o with a key pair that the token makes.
func generated(o Options, label string) Options {
	o.Key, o.Generate = label, true
	return o
}

// only is the options of somebody who knows nothing but where the helper is.
func only(o Options) Options { return Options{Helper: o.Helper} }

func TestTokenOpens(t *testing.T) {
	o := softHSM(t)
	v := create(t, Slot(generated(o, "vault"), pin))
	if got := v.Slots()[0].Type; got != vault.SlotPKCS11 {
		t.Fatal(got)
	}
	for range 2 {
		if err := open(t.Context(), v, Unlocker(only(o), pin)); err != nil {
			t.Fatal(err)
		}
	}
	if err := vault.TestSlot(t.Context(), v.Path(), v.Slots()[0].ID, Unlocker(only(o), pin)); err != nil {
		t.Error(err)
	}
	if r, err := v.RotateKey(t.Context(), nil, Unlocker(only(o), pin)); err != nil || !r.Done {
		t.Errorf("rotation: %+v %v", r, err)
	}
	if err := open(t.Context(), v, Unlocker(only(o), pin)); err != nil {
		t.Errorf("after the rotation: %v", err)
	}
	for range 3 { // SoftHSM does not count them
		if err := open(t.Context(), v, Unlocker(only(o), []byte("4711 9"))); !errors.Is(err, ErrPIN) {
			t.Errorf("wrong PIN: %v", err)
		}
	}
	for name, p := range map[string][]byte{"no PIN": nil, "short": []byte("1"), "long": make([]byte, maxPIN+1)} {
		if err := open(t.Context(), v, Unlocker(only(o), p)); !errors.Is(err, ErrPIN) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := v.AddSlot(t.Context(), Slot(o, []byte("4711 9"))); !errors.Is(err, ErrPIN) {
		t.Errorf("a slot with a wrong PIN: %v", err)
	}
}

// The hash of OAEP is what the token can: SoftHSM 2.6 has SHA-1 only. Should a
// later one take SHA-256, this test says so.
func TestHashIsWhatTheTokenCan(t *testing.T) {
	o := softHSM(t)
	secret := bytes.Repeat([]byte{7}, 32)
	data, err := enrol(t.Context(), generated(o, "vault"), pin, secret)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, secret) || bytes.Contains(data, pin) {
		t.Fatal("a secret is readable")
	}
	w, err := parse(data)
	if err != nil || w.Hash != wire.SHA1 || w.Token != "alpha" || w.Serial == "" || w.Key != "vault" || len(w.KeyID) != 16 || len(w.Sealed) != 384 || w.Module != o.Module {
		t.Errorf("%+v %v", w, err)
	}
	got, err := w.open(t.Context(), o.Helper, pin)
	if err != nil || !bytes.Equal(got, secret) {
		t.Error(err)
	}
	w.Hash = wire.SHA256
	if _, err := w.open(t.Context(), o.Helper, pin); !errors.Is(err, ErrRefused) {
		t.Errorf("SHA-256 in SoftHSM: %v", err)
	}
	w.Hash, w.Sealed[9] = wire.SHA1, w.Sealed[9]^1
	if _, err := w.open(t.Context(), o.Helper, pin); !errors.Is(err, ErrRefused) {
		t.Errorf("changed ciphertext: %v", err)
	}
}

func TestAnotherToken(t *testing.T) {
	o := softHSM(t)
	v := create(t, Slot(generated(o, "vault"), pin))
	newToken(t, "beta")
	if err := open(t.Context(), v, Unlocker(only(o), pin)); err != nil {
		t.Errorf("beside another token: %v", err)
	}
	other := only(o)
	other.Token = "beta"
	if err := open(t.Context(), v, Unlocker(other, pin)); !errors.Is(err, ErrNoKey) {
		t.Errorf("in the other token: %v", err)
	}
	if _, err := v.AddSlot(t.Context(), Slot(o, pin)); !errors.Is(err, ErrChoose) {
		t.Errorf("a slot for one of two: %v", err)
	}
	other.Token = "gamma"
	if err := open(t.Context(), v, Unlocker(other, pin)); !errors.Is(err, ErrNoToken) {
		t.Errorf("in no token: %v", err)
	}
	other.Token = "alpha"
	if err := open(t.Context(), v, Unlocker(other, pin)); err != nil {
		t.Errorf("token named: %v", err)
	}
	util(t, "--delete-token", "--token", "alpha")
	if err := open(t.Context(), v, Unlocker(only(o), pin)); !errors.Is(err, ErrNoToken) {
		t.Errorf("token gone: %v", err)
	}
	newToken(t, "alpha") // with the same name and PIN, and another serial number
	if err := open(t.Context(), v, Unlocker(only(o), pin)); !errors.Is(err, ErrOther) {
		t.Errorf("token exchanged: %v", err)
	}
	alpha := o
	alpha.Token = "alpha"
	create(t, Slot(generated(alpha, "vault"), pin))
	if err := open(t.Context(), v, Unlocker(other, pin)); !errors.Is(err, ErrOther) {
		t.Errorf("token exchanged and named, with a key of that name: %v", err)
	}
}

func TestKeys(t *testing.T) {
	o := softHSM(t)
	if _, err := enrol(t.Context(), o, pin, make([]byte, 32)); !errors.Is(err, ErrNoKey) {
		t.Errorf("token without keys: %v", err)
	}
	importKey(t, "alpha", "small", 1024, []byte{1})
	if _, err := enrol(t.Context(), o, pin, make([]byte, 32)); !errors.Is(err, ErrNoKey) {
		t.Errorf("key of 1024 bits: %v", err)
	}
	importKey(t, "alpha", "one", 2048, []byte{2})
	v, single := create(t, Slot(o, pin)), create(t, Slot(o, pin)) // the only one that fits
	importKey(t, "alpha", "two", 2048, []byte{3})
	if _, err := v.AddSlot(t.Context(), Slot(o, pin)); !errors.Is(err, ErrChoose) {
		t.Errorf("one of two keys: %v", err)
	}
	named := o
	named.Key = "two"
	if _, err := v.AddSlot(t.Context(), Slot(named, pin)); err != nil {
		t.Errorf("key named: %v", err)
	}
	if _, err := v.AddSlot(t.Context(), Slot(generated(o, "two"), pin)); !errors.Is(err, ErrExists) {
		t.Errorf("made again: %v", err)
	}
	if err := open(t.Context(), v, Unlocker(only(o), pin)); err != nil {
		t.Error(err)
	}
	v2 := create(t, Slot(named, pin))
	named.Key = "one"
	if err := open(t.Context(), v2, Unlocker(named, pin)); err != nil {
		t.Errorf("a name of another key, while the right one is there: %v", err)
	}
	removeKeys(t)
	if err := open(t.Context(), single, Unlocker(only(o), pin)); !errors.Is(err, ErrNoKey) {
		t.Errorf("key removed: %v", err)
	}
	// Another key in the same place. No PIN is spent on it: a wrong one is not seen.
	importKey(t, "alpha", "other", 2048, []byte{2})
	if err := open(t.Context(), single, Unlocker(only(o), []byte("4711 9"))); err == nil || !strings.Contains(err.Error(), ErrOther.Error()) {
		t.Errorf("key with the same id: %v", err)
	}
	removeKeys(t)
	importKey(t, "alpha", "one", 2048, []byte{9})
	if err := open(t.Context(), single, Unlocker(only(o), pin)); !errors.Is(err, ErrOther) {
		t.Errorf("key made again under the same label: %v", err)
	}
}

func TestGeneratedKey(t *testing.T) {
	o := softHSM(t)
	o.Generate = true
	v := create(t, Slot(o, pin))
	list, err := List(t.Context(), o)
	if err != nil || len(list) != 1 || list[0].Label != "alpha" || !list[0].OAEP || list[0].Serial == "" || list[0].Locked || list[0].Last {
		t.Fatalf("%+v %v", list, err)
	}
	if k := list[0].Keys; len(k) != 1 || k[0].Label != newKey || k[0].Bits != 3072 || len(k[0].ID) != 32 {
		t.Errorf("%+v", k)
	}
	if err := open(t.Context(), v, Unlocker(only(o), pin)); err != nil {
		t.Error(err)
	}
	o.Key = "two\nlines"
	if _, err := enrol(t.Context(), o, pin, make([]byte, 32)); !errors.Is(err, ErrNoKey) {
		t.Error(err)
	}
}

func TestManyAtOnce(t *testing.T) {
	o := softHSM(t)
	v := create(t, Slot(generated(o, "vault"), pin))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			p, want := pin, error(nil)
			if i%2 == 1 {
				p, want = []byte("4711 9"), ErrPIN
			}
			if err := open(t.Context(), v, Unlocker(only(o), p)); !errors.Is(err, want) {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	all.Wait()
}

// What libraries of vendors do.
func TestLibraries(t *testing.T) {
	o := softHSM(t)
	secret := bytes.Repeat([]byte{7}, 32)
	data, err := enrol(t.Context(), generated(o, "vault"), pin, secret)
	if err != nil {
		t.Fatal(err)
	}
	w, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	w.anyModule = true
	t.Setenv("CIPHERDECK_PASSPHRASE", "must not be passed on")
	for does, want := range map[string]error{
		"print": nil, "one try": nil, "look": nil,
		"crash": ErrHelper, "exit": ErrHelper, "crash at login": ErrHelper,
		"locked": ErrLocked, "flag locked": ErrLocked, "never login": ErrToken,
	} {
		w.Module = shimmed(t, o, does).Module
		got, err := w.open(t.Context(), o.Helper, pin)
		if !errors.Is(err, want) || err == nil && !bytes.Equal(got, secret) {
			t.Errorf("%s: %v, want %v", does, err, want)
		}
	}
	_ = shimmed(t, o, "one try")
	if _, err := w.open(t.Context(), o.Helper, []byte("4711 9")); !errors.Is(err, ErrPIN) || !strings.Contains(err.Error(), "one more try") {
		t.Errorf("the last try: %v", err)
	}
	if _, err := enrol(t.Context(), shimmed(t, o, "wrong"), pin, secret); !errors.Is(err, ErrRefused) {
		t.Errorf("decrypts to something else: %v", err)
	}
	list, err := List(t.Context(), shimmed(t, o, "escapes"))
	if err != nil || len(list) != 1 || strings.ContainsAny(list[0].Label, "\x1b\x07\xff") {
		t.Errorf("%+v %v", list, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w.Module = shimmed(t, o, "hang").Module
	there := fifo(t, t.TempDir())
	t.Setenv("SHIM_FIFO", there)
	ended := make(chan error, 1)
	go func() { _, err := w.open(ctx, o.Helper, pin); ended <- err }()
	_, _ = os.ReadFile(there) // until it hangs
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("hang: %v", err)
	}
}

func TestModules(t *testing.T) {
	o := softHSM(t)
	v := create(t, Slot(generated(o, "vault"), pin))
	empty := filepath.Join(t.TempDir(), "empty.so")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"none": "/nonexistent.so", "relative": "libsofthsm2.so", "no library": empty, "directory": t.TempDir(),
		"another library": "/lib/x86_64-linux-gnu/libc.so.6",
	} {
		other := o
		other.Module = path
		if err := open(t.Context(), v, Unlocker(other, pin)); !errors.Is(err, ErrModule) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := List(t.Context(), other); !errors.Is(err, ErrModule) {
			t.Errorf("%s, list: %v", name, err)
		}
	}
}

// A library that others can change is loaded only if the caller names it: the
// path in the slot may be a stranger's.
func TestModuleOfTheSlotMustBeInstalled(t *testing.T) {
	o := softHSM(t)
	here := shimmed(t, o, "")
	lib, err := os.ReadFile(here.Module)
	if err != nil {
		t.Fatal(err)
	}
	here.Module = filepath.Join(t.TempDir(), "lib.so")
	if err := os.WriteFile(here.Module, lib, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(here.Module, 0o666); err != nil { // root may run this test, whose files pass otherwise
		t.Fatal(err)
	}
	v := create(t, Slot(generated(here, "vault"), pin))
	if err := open(t.Context(), v, Unlocker(only(o), pin)); !errors.Is(err, ErrModule) {
		t.Errorf("as in the slot: %v", err)
	}
	if err := open(t.Context(), v, Unlocker(here, pin)); err != nil {
		t.Errorf("named: %v", err)
	}
	link := filepath.Join(t.TempDir(), "link.so")
	if err := os.Symlink(here.Module, link); err != nil {
		t.Fatal(err)
	}
	if _, err := installed(link); !errors.Is(err, ErrModule) {
		t.Errorf("through a link: %v", err)
	}
	if real, err := installed(o.Module); err != nil || real == "" {
		t.Error(err)
	}
}

// BenchmarkOpen is one unlock: start, library, login, C_Decrypt of RSA-3072.
func BenchmarkOpen(b *testing.B) {
	o := softHSM(b)
	v := create(b, Slot(generated(o, "vault"), pin))
	for b.Loop() {
		if err := open(b.Context(), v, Unlocker(only(o), pin)); err != nil {
			b.Fatal(err)
		}
	}
}
