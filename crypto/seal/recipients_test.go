package seal

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// sealedFile makes a container of plain in a new directory.
func sealedFile(t *testing.T, plain []byte, to ...Recipient) string {
	t.Helper()
	return writeFile(t, filepath.Join(t.TempDir(), "box"), sealBytes(t, plain, Meta{Name: "n", Size: int64(len(plain))}, to...))
}

func payloadOf(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	i, err := Inspect(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return b[i.HeaderLen:]
}

func opens(t *testing.T, path string, want string, ids ...Identity) error {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := openBytes(b, ids...)
	if err == nil && string(got) != want {
		t.Errorf("opens as %q", got)
	}
	return err
}

func TestRecipientsChangeAndThePayloadDoesNot(t *testing.T) {
	me, other := testPairs[0](), testPairs[1]()
	plain := bytes.Repeat([]byte("payload "), 10_000)
	path := sealedFile(t, plain, Hybrid(me.Public()), epoch(1))
	before := payloadOf(t, path)
	os.Chmod(path, 0o640)

	c, err := AddRecipients(t.Context(), path, []Identity{Pair(me)}, []Recipient{Hybrid(other.Public()), Hidden(other.Public())}, FileOptions{})
	if err != nil || len(c.Before) != 2 || len(c.After) != 4 || c.KeyKept || c.LockedOut {
		t.Fatalf("%+v %v", c, err)
	}
	for _, i := range []Identity{Pair(me), Pair(other), epoch(1)} {
		if err := opens(t, path, string(plain), i); err != nil {
			t.Error(err)
		}
	}
	otherKid, _ := other.Public().RSAKeyID()
	c, err = RemoveRecipients(t.Context(), path, []Identity{epoch(1)}, func(i int, r RecipientInfo) bool {
		return i == 3 || r.RSA == otherKid
	}, FileOptions{})
	if err != nil || len(c.After) != 2 || !c.KeyKept || c.LockedOut {
		t.Fatalf("%+v %v", c, err)
	}
	if err := opens(t, path, "", Pair(other)); !errors.Is(err, ErrNotRecipient) {
		t.Error("removed and still opens:", err)
	}
	if err := opens(t, path, string(plain), Pair(me)); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(payloadOf(t, path), before) {
		t.Error("payload changed")
	}
	if st, _ := os.Stat(path); st.Mode().Perm() != 0o640 {
		t.Error(st.Mode())
	}
	c, err = RemoveRecipients(t.Context(), path, []Identity{Pair(me)}, func(i int, _ RecipientInfo) bool { return i == 0 }, FileOptions{})
	if err != nil || !c.LockedOut {
		t.Errorf("%+v %v", c, err)
	}
	only(t, filepath.Dir(path), "box")
}

// A removed person who kept the file key opens a kept payload: KeyKept says so,
// and Reseal ends it.
func TestResealMakesTheOldKeyUseless(t *testing.T) {
	path := sealedFile(t, []byte("hello"), epoch(1), epoch(2))
	keyOf := func() FileKey {
		b, _ := os.ReadFile(path)
		h, err := readHeader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		k, err := h.unwrap([]Identity{epoch(1)})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	old := keyOf()
	if _, err := RemoveRecipients(t.Context(), path, byEpoch, func(i int, _ RecipientInfo) bool { return i == 1 }, FileOptions{}); err != nil {
		t.Fatal(err)
	}
	if keyOf() != old {
		t.Error("removing changed the file key, but says that it did not")
	}
	c, err := Reseal(t.Context(), path, byEpoch, toEpoch, FileOptions{})
	if err != nil || c.KeyKept || c.LockedOut || len(c.After) != 1 {
		t.Fatalf("%+v %v", c, err)
	}
	if keyOf() == old {
		t.Error("the file key is the old one")
	}
	if err := opens(t, path, "hello", epoch(1)); err != nil {
		t.Error(err)
	}
}

func TestReplacePassphrase(t *testing.T) {
	one, two := Passphrase([]byte("one"), cheap), Passphrase([]byte("two"), cheap)
	path := sealedFile(t, []byte("hello"), one)
	if c, err := ReplaceRecipients(t.Context(), path, []Identity{one}, []Recipient{two}, FileOptions{}); err != nil || !c.LockedOut || !c.KeyKept {
		t.Fatalf("%+v %v", c, err)
	}
	if err := opens(t, path, "", one); !errors.Is(err, ErrPassphrase) {
		t.Error(err)
	}
	if err := opens(t, path, "hello", two); err != nil {
		t.Error(err)
	}
}

func TestRecipientChangesThatAreRefused(t *testing.T) {
	pass := Passphrase([]byte("x"), cheap)
	all := func(int, RecipientInfo) bool { return true }
	none := func(int, RecipientInfo) bool { return false }
	add := func(ids []Identity, r ...Recipient) func(string) error {
		return func(p string) error {
			_, err := AddRecipients(t.Context(), p, ids, r, FileOptions{})
			return err
		}
	}
	var many []Recipient
	for i := range 1024 {
		many = append(many, epoch(uint32(10+i)))
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		do   func(string) error
		want error
	}{
		"there already": {add(byEpoch, epoch(1)), ErrRecipients},
		"twice":         {add(byEpoch, epoch(2), epoch(2)), ErrRecipients},
		"nobody":        {add(byEpoch), ErrRecipients},
		"passphrase":    {add(byEpoch, pass), ErrRecipients},
		"1025":          {add(byEpoch, many...), ErrRecipients},
		"by a stranger": {add([]Identity{epoch(9)}, epoch(2)), ErrNotRecipient},
		"remove all": {func(p string) error {
			_, err := RemoveRecipients(t.Context(), p, byEpoch, all, FileOptions{})
			return err
		}, ErrRecipients},
		"remove none": {func(p string) error {
			_, err := RemoveRecipients(t.Context(), p, byEpoch, none, FileOptions{})
			return err
		}, ErrRecipients},
		"replace by none": {func(p string) error {
			_, err := ReplaceRecipients(t.Context(), p, byEpoch, nil, FileOptions{})
			return err
		}, ErrRecipients},
		"stopped": {func(p string) error {
			_, err := AddRecipients(stopped, p, byEpoch, []Recipient{epoch(2)}, FileOptions{})
			return err
		}, context.Canceled},
	} {
		path := sealedFile(t, []byte("hello"), epoch(1))
		before, _ := os.ReadFile(path)
		if err := c.do(path); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
			t.Errorf("%s: the file changed", name)
		}
		only(t, filepath.Dir(path), "box")
	}
}

// A damaged payload must not get a fresh header that says all is well.
func TestRecipientsOfADamagedContainer(t *testing.T) {
	path := sealedFile(t, make([]byte, 100_000), epoch(1))
	whole, _ := os.ReadFile(path)
	for n, want := range map[int]error{len(whole) - 1: ErrAuth, headerUnit + 56 + 16400: ErrTruncated, headerUnit + 10: ErrTruncated, 100: ErrTruncated} {
		writeFile(t, path, whole[:n])
		if _, err := AddRecipients(t.Context(), path, byEpoch, []Recipient{epoch(2)}, FileOptions{}); !errors.Is(err, want) {
			t.Errorf("cut to %d: %v, want %v", n, err, want)
		}
	}
}

// Two people change one file: the second must not undo the first unseen.
func TestRecipientsOfAFileThatChangesMeanwhile(t *testing.T) {
	path := sealedFile(t, []byte("hello"), epoch(1))
	err := replace(path, func(src, dst *os.File) error {
		if _, err := AddRecipients(t.Context(), path, byEpoch, []Recipient{epoch(2)}, FileOptions{}); err != nil {
			t.Fatal(err)
		}
		_, err := dst.WriteString("mine")
		return err
	})
	if !errors.Is(err, ErrChanged) {
		t.Error(err)
	}
	if err := opens(t, path, "hello", epoch(2)); err != nil {
		t.Error(err)
	}
	only(t, filepath.Dir(path), "box")
}

func TestRecipientsThroughASymlink(t *testing.T) {
	path := sealedFile(t, []byte("hello"), epoch(1))
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	if _, err := AddRecipients(t.Context(), link, byEpoch, []Recipient{epoch(2)}, FileOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := opens(t, path, "hello", epoch(2)); err != nil {
		t.Error(err)
	}
	if st, err := os.Lstat(link); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Error("the link is gone")
	}
}
