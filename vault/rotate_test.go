package vault

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func vaultKey(t *testing.T, v *Vault) (key []byte) {
	t.Helper()
	if err := v.Lend(func(k []byte) error { key = bytes.Clone(k); return nil }); err != nil {
		t.Fatal(err)
	}
	return key
}

func TestRotateKeyAtOnce(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	k, code, g := &ring{}, NewRecoveryCode(), NewGroup(2, 3)
	v := create(t, path, sample(), PassphraseSlot(pass, cheap()), KeyringSlot(k), RecoverySlot(code), g.Slot())
	if err := v.Update(func(*State) error { return nil }); err != nil { // makes a .bak
		t.Fatal(err)
	}
	other := open(t, path, FromKeyring(k))
	old, slots := vaultKey(t, v), v.Slots()
	r, err := v.RotateKey(t.Context(), nil, Shares(g.Shares()[:2]...), Passphrase(pass), FromKeyring(k), Recovery(code))
	if err != nil || !r.Done || len(r.Left) != 0 {
		t.Fatalf("%+v %v", r, err)
	}
	if bytes.Equal(old, vaultKey(t, v)) || !reflect.DeepEqual(slots, v.Slots()) || !reflect.DeepEqual(v.copyOf(t), sample()) {
		t.Fatal("same key, or other slots or state")
	}
	for name, u := range map[string]Unlocker{"passphrase": Passphrase(pass), "keyring": FromKeyring(k), "code": Recovery(code), "shares": Shares(g.Shares()[1:]...)} {
		if got := open(t, path, u).copyOf(t); !reflect.DeepEqual(got, sample()) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	_, f, err := read(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.open(old); !errors.Is(err, ErrDamaged) {
		t.Errorf("the old key: %v", err)
	}
	if _, err := os.Lstat(path + ".bak"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a copy with the old key is still there")
	}
	if err := other.Update(func(*State) error { return nil }); !errors.Is(err, ErrRotated) {
		t.Errorf("the other handle: %v", err)
	}
	if err := v.Update(func(s *State) error { s.Account.Name = "z"; return nil }); err != nil || open(t, path, Passphrase(pass)).copyOf(t).Account.Name != "z" {
		t.Fatal(err)
	}
}

// A rotation is done in three calls, each from a new opening of the file; the
// vault is usable by every slot all the time.
func TestRotateKeyIsResumed(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	k, code := &ring{}, NewRecoveryCode()
	create(t, path, sample(), PassphraseSlot(pass, cheap()), KeyringSlot(k), RecoverySlot(code))
	all := map[string]Unlocker{"passphrase": Passphrase(pass), "keyring": FromKeyring(k), "code": Recovery(code)}
	step := func(want int, us ...Unlocker) {
		t.Helper()
		v := open(t, path, us[0])
		r, err := v.RotateKey(t.Context(), nil, us...)
		if err != nil || len(r.Left) != want || r.Done != (want == 0) {
			t.Fatalf("%+v %v", r, err)
		}
		if _, on := v.Rotating(); on != (want > 0) {
			t.Errorf("in progress: %v", on)
		}
		for name, u := range all {
			if got := open(t, path, u).copyOf(t); !reflect.DeepEqual(got, sample()) {
				t.Fatalf("%s, %d slots left: another state", name, want)
			}
		}
	}
	old := vaultKey(t, open(t, path, FromKeyring(k)))
	step(2, Passphrase(pass))
	step(1, Passphrase(pass), FromKeyring(k))
	if err := open(t, path, FromKeyring(k)).Update(func(*State) error { return nil }); err != nil {
		t.Fatal(err) // a save in between keeps what is done
	}
	v := open(t, path, Recovery(code))
	if _, err := v.RotateKey(t.Context(), nil, Recovery(code)); !errors.Is(err, ErrPending) {
		t.Fatalf("without a secret from before: %v", err)
	}
	if !bytes.Equal(old, vaultKey(t, v)) {
		t.Fatal("the key has changed before the end")
	}
	step(0, FromKeyring(k), Recovery(code))
	if bytes.Equal(old, vaultKey(t, open(t, path, FromKeyring(k)))) {
		t.Fatal("the same key after the end")
	}
}

// The key that is to come cannot be found with the key of now.
func TestPendingRotationDoesNotTellTheNextKey(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	k, l := &ring{}, &ring{}
	v := create(t, path, sample(), KeyringSlot(k), KeyringSlot(l))
	now := lent(t, v)
	if _, err := v.RotateKey(t.Context(), nil, FromKeyring(k)); err != nil {
		t.Fatal(err)
	}
	stolen := open(t, path, now)
	if _, err := stolen.RotateKey(t.Context(), nil, now); !errors.Is(err, ErrPending) {
		t.Error(err)
	}
	raw := vaultKey(t, stolen)
	if _, err := v.RotateKey(t.Context(), nil, FromKeyring(k), FromKeyring(l)); err != nil {
		t.Fatal(err)
	}
	for _, p := range stolen.pending {
		if bytes.Contains(p.Sealed, raw) || bytes.Contains(p.Sealed, vaultKey(t, v)) {
			t.Error("a key in clear")
		}
	}
	if _, err := Open(t.Context(), path, now); !errors.Is(err, ErrRotated) {
		t.Errorf("the stolen key: %v", err)
	}
}

func TestRotateKeyDropsAndRefuses(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	k, l := &ring{}, &ring{}
	v := create(t, path, sample(), KeyringSlot(k), KeyringSlot(l))
	ids := v.Slots()
	before, _ := os.ReadFile(path)
	for name, c := range map[string]struct {
		drop []string
		us   []Unlocker
		want error
	}{
		"unknown slot":     {[]string{"00000000"}, []Unlocker{FromKeyring(k)}, ErrSlot},
		"all slots":        {[]string{ids[0].ID, ids[1].ID}, nil, ErrSlot},
		"wrong secret":     {nil, []Unlocker{FromKeyring(k), FromKeyring(&ring{make([]byte, 32)})}, ErrKeyringMismatch},
		"of no slot":       {nil, []Unlocker{Passphrase(pass)}, ErrNoSlot},
		"the key of now":   {nil, []Unlocker{lent(t, v)}, ErrNoSlot},
		"of a closed ring": {nil, []Unlocker{FromKeyring(&ring{})}, ErrKeyringMissing},
	} {
		if _, err := v.RotateKey(t.Context(), c.drop, c.us...); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
			t.Fatalf("%s: the file has changed", name)
		}
	}
	if r, err := v.RotateKey(t.Context(), nil, FromKeyring(l)); err != nil || r.Done || r.Left[0].ID != ids[0].ID {
		t.Fatalf("%+v %v", r, err)
	}
	if err := v.CancelRotation(); err != nil {
		t.Fatal(err)
	}
	if _, on := v.Rotating(); on {
		t.Fatal("still in progress")
	}
	if r, err := v.RotateKey(t.Context(), []string{ids[1].ID}, FromKeyring(k)); err != nil || !r.Done {
		t.Fatalf("%+v %v", r, err)
	}
	open(t, path, FromKeyring(k))
	if got := v.Slots(); len(got) != 1 || got[0].ID != ids[0].ID {
		t.Fatalf("%+v", got)
	}
	if _, err := Open(t.Context(), path, FromKeyring(l)); !errors.Is(err, ErrKeyringMismatch) {
		t.Errorf("the dropped slot: %v", err)
	}
}

// A slot that is replaced or added during a rotation is asked for again.
func TestRotationSeesOtherChanges(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	k, l, m := &ring{}, &ring{}, &ring{}
	v := create(t, path, sample(), KeyringSlot(k), KeyringSlot(l))
	if _, err := v.RotateKey(t.Context(), nil, FromKeyring(k)); err != nil {
		t.Fatal(err)
	}
	if _, err := v.ReplaceSlot(t.Context(), v.Slots()[0].ID, KeyringSlot(m)); err != nil {
		t.Fatal(err)
	}
	r, err := v.RotateKey(t.Context(), nil, FromKeyring(l))
	if err != nil || r.Done || len(r.Left) != 1 {
		t.Fatalf("%+v %v", r, err)
	}
	if r, err = v.RotateKey(t.Context(), nil, FromKeyring(l), FromKeyring(m)); err != nil || !r.Done {
		t.Fatalf("%+v %v", r, err)
	}
	open(t, path, FromKeyring(m))
	open(t, path, FromKeyring(l))
}
