package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/keys"
	"cipherdeck/vault/journal"
	"cipherdeck/vault/secret"
)

// ring is a Keyring in memory: it stands for the operating system's service.
type ring struct{ secret []byte }

func (r *ring) Get(context.Context) ([]byte, error) {
	if r.secret == nil {
		return nil, ErrKeyringMissing
	}
	return bytes.Clone(r.secret), nil
}

func (r *ring) Set(_ context.Context, b []byte) error {
	r.secret = bytes.Clone(b)
	return nil
}

func (r *ring) Delete(context.Context) error {
	r.secret = nil
	return nil
}

// cheap is the least that is allowed.
func cheap() keys.Argon2id { return keys.Argon2id{T: 2, MKiB: 19 << 10, P: 1} }

var pass = []byte("correct horse battery")

func dir(t testing.TB) string {
	t.Helper()
	d := t.TempDir()
	if err := os.Chmod(d, 0o700); err != nil {
		t.Fatal(err)
	}
	return d
}

func sample() State {
	return State{
		Account:  Account{Name: "alice", Seed: [32]byte{1}, Device: [32]byte{2}, RSA: []byte("der"), Genesis: []byte("g"), Check: []byte("c"), Imported: true},
		People:   map[string]Person{"u1": {Name: "bob", Genesis: []byte("b"), Verified: "words", Added: 7}},
		Servers:  map[string]Server{"lab": {Addr: "lab:443", Pin: [32]byte{9}, Pinned: Pinned{Signers: [][]byte{{1}, {2}}, Threshold: 2, Version: 5, AKName: []byte{3}}}},
		Projects: map[string]Project{"p1": {Name: "trial", Server: "lab", Seq: 3, Head: id.Of(nil)}},
		Secrets:  secret.Set{"lab key": {Kind: secret.API, Fields: map[string][]byte{"key": []byte("k3y")}, Created: 4, Changed: 5, Rotate: 6}},
		Nodes:    map[string]Node{},
		Journal:  journal.Log{Entries: []journal.Entry{{At: 8, What: journal.Shown, Secret: "lab key", Field: "key", By: "secret show"}}, Lost: 2},
	}
}

func create(t testing.TB, path string, st State, slots ...NewSlot) *Vault {
	t.Helper()
	v, err := Create(path, st, slots...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func open(t testing.TB, path string, u Unlocker) *Vault {
	t.Helper()
	v, err := Open(t.Context(), path, u)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func (v *Vault) copyOf(t testing.TB) State {
	t.Helper()
	var out State
	v.View(func(s State) {
		b, err := encodeBody(content{State: s})
		if err != nil {
			t.Fatal(err)
		}
		c, err := decodeBody(version, b)
		if err != nil {
			t.Fatal(err)
		}
		out = c.State
	})
	return out
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(dir(t), "sub", "vault")
	k := &ring{}
	v := create(t, path, sample(), PassphraseSlot(pass, cheap()), KeyringSlot(k))
	if got := v.copyOf(t); !reflect.DeepEqual(got, sample()) {
		t.Fatalf("created: %+v", got)
	}
	for name, u := range map[string]Unlocker{"passphrase": Passphrase(pass), "keyring": FromKeyring(k)} {
		if got := open(t, path, u).copyOf(t); !reflect.DeepEqual(got, sample()) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	infos, err := Slots(path)
	if err != nil || len(infos) != 2 || infos[0].Type != SlotPassphrase || infos[0].KDF != cheap() ||
		infos[1].Type != SlotKeyring || infos[0].ID == infos[1].ID || !reflect.DeepEqual(infos, v.Slots()) {
		t.Fatalf("slots: %+v %v", infos, err)
	}
	raw, _ := os.ReadFile(path)
	for _, secret := range []string{"alice", "lab:443", "der"} {
		if bytes.Contains(raw, []byte(secret)) {
			t.Errorf("%q is readable in the file", secret)
		}
	}
}

func TestUnlockRefuses(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	k := &ring{}
	create(t, path, State{}, PassphraseSlot(pass, cheap()))
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	other := filepath.Join(dir(t), "vault")
	create(t, other, State{}, KeyringSlot(k))
	for name, c := range map[string]struct {
		ctx  context.Context
		path string
		u    Unlocker
		want error
	}{
		"wrong passphrase":   {t.Context(), path, Passphrase([]byte("correct horse batterz")), ErrWrongPassphrase},
		"empty passphrase":   {t.Context(), path, Passphrase(nil), ErrWrongPassphrase},
		"no keyring slot":    {t.Context(), path, FromKeyring(&ring{}), ErrNoSlot},
		"no passphrase slot": {t.Context(), other, Passphrase(pass), ErrNoSlot},
		"entry is missing":   {t.Context(), other, FromKeyring(&ring{}), ErrKeyringMissing},
		"another's entry":    {t.Context(), other, FromKeyring(&ring{make([]byte, 32)}), ErrKeyringMismatch},
		"canceled":           {canceled, path, Passphrase(pass), context.Canceled},
		"no file":            {t.Context(), path + "x", Passphrase(pass), ErrNotFound},
	} {
		if _, err := Open(c.ctx, c.path, c.u); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestPassphraseIsNormalised(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	create(t, path, State{}, PassphraseSlot([]byte("caf\u00e9 au lait"), cheap()))
	open(t, path, Passphrase([]byte("cafe\u0301 au lait")))
}

func TestCreateRefuses(t *testing.T) {
	d := dir(t)
	old := filepath.Join(d, "old")
	create(t, old, State{}, KeyringSlot(&ring{}))
	os.WriteFile(filepath.Join(d, "lost.bak"), nil, 0o600)
	os.Symlink("nowhere", filepath.Join(d, "link"))
	used := &ring{make([]byte, 32)}
	bad := KeyringSlot(&ring{})
	bad.Label = "two\nlines"
	nine := make([]NewSlot, 9)
	for name, c := range map[string]struct {
		path  string
		slots []NewSlot
		want  error
	}{
		"no slot":       {"new", nil, ErrSlot},
		"nine slots":    {"new", nine, ErrSlot},
		"zero slot":     {"new", []NewSlot{{}}, ErrSlot},
		"bad label":     {"new", []NewSlot{bad}, ErrSlot},
		"empty":         {"new", []NewSlot{PassphraseSlot(nil, cheap())}, ErrWeak},
		"7 characters":  {"new", []NewSlot{PassphraseSlot([]byte("ääääääa"), cheap())}, ErrWeak},
		"cheap":         {"new", []NewSlot{PassphraseSlot(pass, keys.Argon2id{T: 1, MKiB: 1 << 10, P: 1})}, keys.ErrKDF},
		"entry in use":  {"new", []NewSlot{KeyringSlot(used)}, ErrKeyringInUse},
		"vault exists":  {"old", []NewSlot{KeyringSlot(&ring{})}, ErrExists},
		"copy exists":   {"lost", []NewSlot{KeyringSlot(&ring{})}, ErrExists},
		"dangling link": {"link", []NewSlot{KeyringSlot(&ring{})}, ErrExists},
	} {
		if _, err := Create(filepath.Join(d, c.path), State{}, c.slots...); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := os.Lstat(filepath.Join(d, "new")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a refused vault was made")
	}
	// What was put into a keyring for a vault that was not made is taken back.
	k := &ring{}
	Create(filepath.Join(d, "new"), State{}, KeyringSlot(k), PassphraseSlot(nil, cheap()))
	if k.secret != nil || used.secret == nil {
		t.Error("keyring entry left over, or a foreign one removed")
	}
}

func TestUpdate(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	k := &ring{}
	v := create(t, path, sample(), KeyringSlot(k))
	before, _ := os.ReadFile(path)
	sentinel := errors.New("no")
	err := v.Update(func(s *State) error {
		s.Account.Name, s.People["u1"] = "eve", Person{}
		delete(s.Servers, "lab")
		s.Account.RSA[0] = 0
		return sentinel
	})
	after, _ := os.ReadFile(path)
	if !errors.Is(err, sentinel) || !reflect.DeepEqual(v.copyOf(t), sample()) || !bytes.Equal(before, after) {
		t.Fatalf("a failed update changed something: %v", err)
	}
	if err := v.Update(func(s *State) error { s.Account.Name = "carol"; s.People = nil; return nil }); err != nil {
		t.Fatal(err)
	}
	for _, got := range []State{v.copyOf(t), open(t, path, FromKeyring(k)).copyOf(t)} {
		if got.Account.Name != "carol" || got.People == nil || len(got.People) != 0 {
			t.Fatalf("%+v", got)
		}
	}
	bak, _ := os.ReadFile(path + ".bak")
	if !bytes.Equal(bak, before) {
		t.Fatal(".bak is not the vault from before the save")
	}
	if fi, _ := os.Stat(path); fi.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v", fi.Mode())
	}
	if got := names(t, filepath.Dir(path)); got != "vault vault.bak vault.lock" {
		t.Fatalf("files: %s", got)
	}
}

func names(t *testing.T, d string) string {
	t.Helper()
	es, err := os.ReadDir(d)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range es {
		out = append(out, e.Name())
	}
	return strings.Join(out, " ")
}

func TestUpdateTooLarge(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	v := create(t, path, sample(), KeyringSlot(&ring{}))
	err := v.Update(func(s *State) error { s.Account.Genesis = make([]byte, maxFile); return nil })
	if !errors.Is(err, ErrTooLarge) || !reflect.DeepEqual(v.copyOf(t), sample()) {
		t.Fatal(err)
	}
}

func TestClose(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	v := create(t, path, sample(), KeyringSlot(&ring{}))
	key, der := v.key, v.state.Account.RSA
	v.Close()
	v.Close()
	key.Use(func(b []byte) {
		if b != nil {
			t.Error("the vault key is still in memory")
		}
	})
	if !bytes.Equal(der, make([]byte, 3)) {
		t.Error("keys are still in memory")
	}
	v.View(func(s State) {
		if !reflect.DeepEqual(s, State{}) {
			t.Error("a closed vault shows its state")
		}
	})
	if err := v.Update(func(*State) error { t.Error("called"); return nil }); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestNothingPrintsSecrets(t *testing.T) {
	s := sample()
	s.Account.RSA = []byte("SECRET")
	for _, f := range []string{"%v", "%+v", "%#v", "%s"} {
		got := fmt.Sprintf(f, s)
		if strings.Contains(got, "SECRET") || strings.Contains(got, fmt.Sprint(s.Account.RSA)) || strings.Contains(got, "0x53, 0x45") {
			t.Errorf("%s shows the account: %s", f, got)
		}
	}
}

func TestSlotsComeAndGo(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	v := create(t, path, sample(), PassphraseSlot(pass, cheap()))
	first := v.Slots()[0].ID
	if err := v.RemoveSlot(first); !errors.Is(err, ErrSlot) {
		t.Fatalf("last slot removed: %v", err)
	}
	if _, err := v.AddSlot(t.Context(), PassphraseSlot([]byte("short"), cheap())); !errors.Is(err, ErrWeak) {
		t.Fatal(err)
	}
	k := &ring{}
	added, err := v.AddSlot(t.Context(), KeyringSlot(k))
	if err != nil {
		t.Fatal(err)
	}
	open(t, path, FromKeyring(k))
	changed := []byte("another good one")
	replaced, err := v.ReplaceSlot(t.Context(), first, PassphraseSlot(changed, cheap()))
	if err != nil {
		t.Fatal(err)
	}
	open(t, path, Passphrase(changed))
	if _, err := Open(t.Context(), path, Passphrase(pass)); !errors.Is(err, ErrWrongPassphrase) {
		t.Fatalf("the replaced passphrase: %v", err)
	}
	if err := v.RemoveSlot(first); !errors.Is(err, ErrSlot) {
		t.Fatalf("removed twice: %v", err)
	}
	if err := v.RemoveSlot(added.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path + ".bak"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the copy with the removed slot is still there")
	}
	if _, err := Open(t.Context(), path, FromKeyring(k)); !errors.Is(err, ErrNoSlot) {
		t.Fatal(err)
	}
	if got := v.Slots(); len(got) != 1 || got[0] != replaced || !reflect.DeepEqual(v.copyOf(t), sample()) {
		t.Fatalf("%+v", got)
	}
	for range maxSlots - 1 {
		if _, err := v.AddSlot(t.Context(), KeyringSlot(&ring{})); err != nil {
			t.Fatal(err)
		}
	}
	over := &ring{}
	if _, err := v.AddSlot(t.Context(), KeyringSlot(over)); !errors.Is(err, ErrSlot) || over.secret != nil {
		t.Fatalf("ninth slot: %v", err)
	}
}

func TestPermissions(t *testing.T) {
	d := dir(t)
	path := filepath.Join(d, "vault")
	k := &ring{}
	v := create(t, path, State{}, KeyringSlot(k))
	for _, c := range []struct {
		name       string
		file, dir  os.FileMode
		cure, what string
	}{
		{"group reads the file", 0o640, 0o700, "chmod 600", path},
		{"others write the file", 0o602, 0o700, "chmod 600", path},
		{"group writes the directory", 0o600, 0o770, "chmod 700", d},
		{"others write the directory", 0o600, 0o702, "chmod 700", d},
	} {
		os.Chmod(path, c.file)
		os.Chmod(d, c.dir)
		_, open := Open(t.Context(), path, FromKeyring(k))
		_, list := Slots(path)
		for _, err := range []error{open, list, v.Update(func(*State) error { return nil })} {
			if !errors.Is(err, ErrPermissions) || !strings.Contains(err.Error(), c.cure+" '"+c.what+"'") {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
	if _, err := Create(filepath.Join(d, "new"), State{}, KeyringSlot(&ring{})); !errors.Is(err, ErrPermissions) {
		t.Error(err)
	}
}

func TestLinkToVaultIsFollowed(t *testing.T) {
	d := dir(t)
	path, link := filepath.Join(d, "vault"), filepath.Join(d, "link")
	k := &ring{}
	create(t, path, sample(), KeyringSlot(k))
	if err := os.Symlink(path, link); err != nil {
		t.Skipf("SKIPPED: no symbolic links here: %v", err)
	}
	if err := open(t, link, FromKeyring(k)).Update(func(s *State) error { s.Account.Name = "x"; return nil }); err != nil {
		t.Fatal(err)
	}
	if fi, _ := os.Lstat(link); fi.Mode()&fs.ModeSymlink == 0 || open(t, path, FromKeyring(k)).copyOf(t).Account.Name != "x" {
		t.Fatal("the link was replaced, or its file not saved")
	}
}

// Two handles of one process exclude each other as two processes do: flock
// belongs to the open file, not to the process.
func TestConcurrentSavesLoseNothing(t *testing.T) {
	const handles, saves = 4, 20
	path := filepath.Join(dir(t), "vault")
	k := &ring{}
	create(t, path, State{}, KeyringSlot(k))
	var wg sync.WaitGroup
	for h := range handles {
		v := open(t, path, FromKeyring(k))
		wg.Go(func() {
			for i := range saves {
				err := v.Update(func(s *State) error {
					s.People[strconv.Itoa(h*saves+i)] = Person{Added: int64(i)}
					n := s.Projects["count"]
					n.Seq++
					s.Projects["count"] = n
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				v.View(func(State) {})
			}
		})
	}
	wg.Wait()
	got := open(t, path, FromKeyring(k)).copyOf(t)
	if len(got.People) != handles*saves || got.Projects["count"].Seq != handles*saves {
		t.Fatalf("%d people, count %d, want %d", len(got.People), got.Projects["count"].Seq, handles*saves)
	}
}
