package vault

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"cipherdeck/vault/shamir"
)

func TestRecoveryCode(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		code := string(NewRecoveryCode())
		if len(code) != 34 || seen[code] || strings.ContainsAny(code, "ILOU") {
			t.Fatalf("code of %d characters", len(code))
		}
		seen[code] = true
		want, err := parseCode([]byte(code))
		if err != nil {
			t.Fatal(err)
		}
		sloppy := strings.NewReplacer("0", "o", "1", "l", "-", " ").Replace(strings.ToLower(code))
		if got, err := parseCode([]byte(sloppy + "\n")); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%v", err)
		}
	}
}

// Every single wrong character and every exchange of two different ones before
// the check is noticed, not only most of them.
func TestRecoveryCodeNoticesTyping(t *testing.T) {
	code := bytes.ReplaceAll(NewRecoveryCode(), []byte("-"), nil)
	for i := range code {
		for _, c := range []byte(crockford) {
			bad := bytes.Clone(code)
			bad[i] = c
			if _, err := parseCode(bad); c != code[i] && !errors.Is(err, ErrCode) {
				t.Fatalf("character %d: %v", i, err)
			}
		}
		for j := range i {
			bad := bytes.Clone(code)
			bad[i], bad[j] = bad[j], bad[i]
			if _, err := parseCode(bad); i < codeLetters && bad[i] != bad[j] && !errors.Is(err, ErrCode) {
				t.Fatalf("characters %d and %d exchanged: %v", i, j, err)
			}
		}
	}
	for _, bad := range []string{"", "A", string(code) + "0", string(code[1:]), strings.Replace(string(code), string(code[0]), "!", 1), string(code[:27]) + "é"} {
		if _, err := parseCode([]byte(bad)); !errors.Is(err, ErrCode) || bad != "" && strings.Contains(err.Error(), string(code[4:])) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestRecoverySlotAndKit(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	code := NewRecoveryCode()
	k := &ring{}
	v := create(t, path, sample(), KeyringSlot(k), RecoverySlot(code))
	if got := open(t, path, Recovery(code)).copyOf(t); !reflect.DeepEqual(got, sample()) {
		t.Fatal("another state")
	}
	page, err := v.Kit(code)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{string(code), v.ID(), v.Slots()[1].ID, "alice"} {
		if !strings.Contains(page, part) {
			t.Errorf("the kit lacks %q:\n%s", part, page)
		}
	}
	for _, line := range strings.Split(page, "\n") {
		if len(line) > 80 && !strings.HasPrefix(line, "File") {
			t.Errorf("line of %d characters: %s", len(line), line)
		}
	}
	other := NewRecoveryCode()
	if _, err := v.Kit(other); !errors.Is(err, ErrCode) {
		t.Errorf("a kit that opens nothing: %v", err)
	}
	if _, err := Open(t.Context(), path, Recovery(other)); !errors.Is(err, ErrCode) {
		t.Error(err)
	}
	if _, err := v.ReplaceSlot(t.Context(), v.Slots()[1].ID, RecoverySlot(other)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, Recovery(code)); !errors.Is(err, ErrCode) {
		t.Errorf("the replaced code: %v", err)
	}
	open(t, path, Recovery(other))
	if _, err := v.AddSlot(t.Context(), RecoverySlot([]byte("not a code"))); !errors.Is(err, ErrCode) {
		t.Error(err)
	}
}

func TestKeyringAndPassphrase(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	k := &ring{}
	create(t, path, sample(), KeyringAndPassphraseSlot(k, pass, cheap()))
	open(t, path, KeyringAndPassphrase(k, pass))
	for name, c := range map[string]struct {
		u    Unlocker
		want error
	}{
		"passphrase alone": {Passphrase(pass), ErrNoSlot},
		"keyring alone":    {FromKeyring(k), ErrNoSlot},
		"no passphrase":    {KeyringAndPassphrase(k, nil), ErrWrongPassphrase},
		"wrong passphrase": {KeyringAndPassphrase(k, []byte("correct horse batterx")), ErrWrongPassphrase},
		"another entry":    {KeyringAndPassphrase(&ring{make([]byte, 32)}, pass), ErrWrongPassphrase},
		"a short entry":    {KeyringAndPassphrase(&ring{make([]byte, 31)}, pass), ErrKeyringMismatch},
		"entry is gone":    {KeyringAndPassphrase(&ring{}, pass), ErrKeyringMissing},
	} {
		if _, err := Open(t.Context(), path, c.u); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	weak := &ring{}
	if _, err := Create(path+"2", State{}, KeyringAndPassphraseSlot(weak, []byte("short"), cheap())); !errors.Is(err, ErrWeak) || weak.secret != nil {
		t.Errorf("weak: %v, %d bytes left in the keyring", err, len(weak.secret))
	}
}

func TestGroup(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	g := NewGroup(2, 3)
	v := create(t, path, sample(), g.Slot())
	s := g.Shares()
	if len(s) != 3 || v.Slots()[0].Need != 2 || v.Slots()[0].Of != 3 {
		t.Fatalf("%d shares, %+v", len(s), v.Slots())
	}
	for _, pair := range [][]string{{s[0], s[1]}, {s[2], s[0]}, {s[1], s[2]}, s, {s[0], s[0], s[1]}} {
		open(t, path, Shares(pair...))
	}
	open(t, path, Shares(strings.ToLower(s[0]), strings.ReplaceAll(s[1], "-", "\n")))
	page, err := v.ShareKit(s[1])
	if err != nil || !strings.Contains(page, s[1][:29]) || !strings.Contains(page, "SHARE 2 OF 3") {
		t.Errorf("%v\n%s", err, page)
	}
	other := NewGroup(2, 2)
	create(t, filepath.Join(dir(t), "vault"), State{}, other.Slot())
	second := NewGroup(2, 2)
	if _, err := v.AddSlot(t.Context(), second.Slot()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		shares []string
		want   error
	}{
		"none":           {nil, ErrShares},
		"one":            {s[:1], ErrShares},
		"one, twice":     {[]string{s[0], s[0]}, ErrShares},
		"another vault":  {[]string{s[0], other.Shares()[1]}, ErrCode},
		"another group":  {[]string{s[0], second.Shares()[1]}, ErrShares},
		"empty":          {[]string{""}, ErrCode},
		"cut":            {[]string{s[0][:len(s[0])-1], s[1]}, ErrCode},
		"forged":         {[]string{forged(t, s[0]), s[1]}, ErrShares},
		"forged double":  {[]string{forged(t, s[0]), s[0]}, ErrShares},
		"not the letter": {[]string{"1" + s[0][1:], s[1]}, ErrCode},
	} {
		if _, err := Open(t.Context(), path, Shares(c.shares...)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := Open(t.Context(), path, Shares(s[0])); err == nil || !strings.Contains(err.Error(), "2 are needed") {
		t.Errorf("too few: %v", err)
	}
	if err := v.RemoveSlot(v.Slots()[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, Shares(s...)); !errors.Is(err, ErrNoSlot) {
		t.Error(err)
	}
	for _, kn := range [][2]int{{1, 1}, {1, 3}, {3, 2}, {2, 17}, {0, 0}, {-1, 4}, {258, 260}} {
		bad := NewGroup(kn[0], kn[1])
		if _, err := v.AddSlot(t.Context(), bad.Slot()); !errors.Is(err, ErrSlot) || bad.Shares() != nil {
			t.Errorf("%v: %v", kn, err)
		}
	}
}

// forged is a well-written share with another value.
func forged(t *testing.T, text string) string {
	t.Helper()
	s, err := parseShare(text)
	if err != nil {
		t.Fatal(err)
	}
	var vault [idSize]byte
	var h slotHeader
	copy(vault[:], unhex(t, s.Vault))
	copy(h.ID[:], unhex(t, s.Slot))
	h.Data = []byte{byte(s.Need), byte(s.Of)}
	s.Y[5] ^= 1
	return writeShare(vault, h, s.Share)
}

func TestShareNoticesTyping(t *testing.T) {
	text := writeShare([idSize]byte{1}, slotHeader{ID: [4]byte{2}, Data: []byte{2, 3}}, shamir.Share{X: 3, Y: make([]byte, 32)})
	if s, err := ReadShare(text); err != nil || s.Number != 3 || s.Need != 2 || s.Of != 3 || s.Slot != "02000000" {
		t.Fatalf("%+v %v", s, err)
	}
	for i := range text {
		for _, c := range []byte("A7B") {
			bad := []byte(text)
			if bad[i] == '-' || bad[i] == c {
				continue
			}
			bad[i] = c
			if _, err := ReadShare(string(bad)); !errors.Is(err, ErrCode) {
				t.Fatalf("character %d: %v", i, err)
			}
		}
	}
	for name, bad := range map[string]string{
		"x above n": writeShare([idSize]byte{1}, slotHeader{Data: []byte{2, 3}}, shamir.Share{X: 4, Y: make([]byte, 32)}),
		"x is 0":    writeShare([idSize]byte{1}, slotHeader{Data: []byte{2, 3}}, shamir.Share{X: 0, Y: make([]byte, 32)}),
		"k above n": writeShare([idSize]byte{1}, slotHeader{Data: []byte{4, 3}}, shamir.Share{X: 1, Y: make([]byte, 32)}),
	} {
		if _, err := ReadShare(bad); !errors.Is(err, ErrCode) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTestSlot(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	k, code := &ring{}, NewRecoveryCode()
	v := create(t, path, sample(), PassphraseSlot(pass, cheap()), KeyringSlot(k), RecoverySlot(code))
	before, _ := os.ReadFile(path)
	ids := v.Slots()
	for name, c := range map[string]struct {
		id   string
		u    Unlocker
		want error
	}{
		"passphrase":        {ids[0].ID, Passphrase(pass), nil},
		"keyring":           {ids[1].ID, FromKeyring(k), nil},
		"code":              {ids[2].ID, Recovery(code), nil},
		"wrong passphrase":  {ids[0].ID, Passphrase([]byte("something else")), ErrWrongPassphrase},
		"of another slot":   {ids[1].ID, Passphrase(pass), ErrNoSlot},
		"no such slot":      {"00000000", Passphrase(pass), ErrSlot},
		"the key of no one": {ids[0].ID, lent(t, v), ErrNoSlot},
	} {
		if err := TestSlot(t.Context(), path, c.id, c.u); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	edit(t, path, func(f *file) { f.slots = f.slots[:2] })
	if err := TestSlot(t.Context(), path, ids[0].ID, Passphrase(pass)); !errors.Is(err, ErrDamaged) {
		t.Errorf("changed list: %v", err)
	}
	put(t, path, before)
}

// lent is an Unlocker with the key as an agent has it.
func lent(t *testing.T, v *Vault) Unlocker {
	t.Helper()
	var key []byte
	if err := v.Lend(func(k []byte) error { key = bytes.Clone(k); return nil }); err != nil {
		t.Fatal(err)
	}
	return FromKey(func(_ context.Context, id string) ([]byte, error) {
		if id != v.ID() {
			return nil, ErrNotFound
		}
		return bytes.Clone(key), nil
	})
}

func TestLend(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	k, kernel := &ring{}, &ring{}
	v := create(t, path, sample(), KeyringSlot(k))
	open(t, path, lent(t, v))
	if err := v.Remember(t.Context(), kernel); err != nil {
		t.Fatal(err)
	}
	open(t, path, Remembered(kernel))
	if _, err := v.RotateKey(t.Context(), nil, FromKeyring(k)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, Remembered(kernel)); !errors.Is(err, ErrRotated) {
		t.Errorf("the key of before: %v", err)
	}
	if _, err := Open(t.Context(), path, Remembered(&ring{[]byte("short")})); !errors.Is(err, ErrRotated) {
		t.Error(err)
	}
	v.Close()
	if err := v.Lend(func([]byte) error { t.Error("called"); return nil }); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, err := v.Kit(NewRecoveryCode()); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestDeviceSlot(t *testing.T) {
	path := filepath.Join(dir(t), "vault")
	gone := errors.New("no device")
	flip := func(b []byte) []byte {
		out := bytes.Clone(b)
		for i := range out {
			out[i] ^= 0xff
		}
		return out
	}
	sealed := DeviceSlot(SlotTPM, "TPM", func(_ context.Context, s []byte) ([]byte, error) { return flip(s), nil })
	create(t, path, sample(), sealed)
	with := func(f func([]byte) ([]byte, error)) Unlocker {
		return FromDevice(SlotTPM, func(_ context.Context, d []byte) ([]byte, error) { return f(d) })
	}
	open(t, path, with(func(d []byte) ([]byte, error) { return flip(d), nil }))
	if _, err := Open(t.Context(), path, with(func([]byte) ([]byte, error) { return nil, gone })); !errors.Is(err, gone) {
		t.Error(err)
	}
	if _, err := Open(t.Context(), path, with(func(d []byte) ([]byte, error) { return bytes.Clone(d), nil })); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
	for name, n := range map[string]NewSlot{
		"no data":       DeviceSlot(SlotTPM, "TPM", func(context.Context, []byte) ([]byte, error) { return nil, nil }),
		"too much data": DeviceSlot(SlotTPM, "TPM", func(context.Context, []byte) ([]byte, error) { return make([]byte, maxData+1), nil }),
		"not a device":  DeviceSlot(SlotGroup, "x", func(context.Context, []byte) ([]byte, error) { return []byte{2, 3}, nil }),
	} {
		if _, err := Create(path+"2", State{}, n); !errors.Is(err, ErrSlot) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
