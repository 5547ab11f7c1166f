package vault

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/zalando/go-keyring"
)

// realKeyring skips unless the keyring of this session may be written to.
// The script .ci/keyring makes a session with one of its own.
func realKeyring(t *testing.T) OSEntry {
	t.Helper()
	if os.Getenv("CIPHERDECK_TEST_KEYRING") != "1" {
		t.Skip("SKIPPED: the OS keyring is not tested: CIPHERDECK_TEST_KEYRING=1 is not set (run .ci/keyring)")
	}
	e := OSKeyring("")
	if _, err := e.Get(t.Context()); !errors.Is(err, ErrKeyringMissing) {
		t.Skipf("SKIPPED: the OS keyring is not tested: no Secret Service can be reached: %v", err)
	}
	t.Cleanup(func() { e.Delete(context.Background()) })
	return e
}

func TestKeyringEntry(t *testing.T) {
	e, ctx := realKeyring(t), t.Context()
	for _, secret := range [][]byte{make([]byte, 32), bytes.Repeat([]byte{0xfe}, 32)} {
		if err := e.Set(ctx, secret); err != nil {
			t.Fatal(err)
		}
		got, err := OSKeyring(e.Entry()).Get(ctx)
		if err != nil || !bytes.Equal(got, secret) {
			t.Fatalf("%x %v", got, err)
		}
	}
	if err := e.Delete(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Get(ctx); !errors.Is(err, ErrKeyringMissing) || !errors.Is(err, ErrKeyring) {
		t.Errorf("get after delete: %v", err)
	}
	if err := e.Delete(ctx); !errors.Is(err, ErrKeyringMissing) {
		t.Errorf("delete twice: %v", err)
	}
	if err := keyring.Set(keyringService, e.Entry(), "not base64"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Get(ctx); !errors.Is(err, ErrKeyringMismatch) {
		t.Errorf("foreign content: %v", err)
	}
}

func TestKeyringOpensVault(t *testing.T) {
	e := realKeyring(t)
	path := filepath.Join(dir(t), "vault")
	v := create(t, path, sample(), PassphraseSlot(pass, cheap()))
	info, err := v.AddSlot(t.Context(), KeyringSlot(e))
	if err != nil {
		t.Fatal(err)
	}
	infos, err := Slots(path)
	if err != nil || infos[1] != info || info.Entry != e.Entry() {
		t.Fatalf("%+v %v", infos, err)
	}
	if got := open(t, path, FromKeyring(OSKeyring(infos[1].Entry))).copyOf(t); got.Account.Name != "alice" {
		t.Fatalf("%+v", got)
	}
	if err := e.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, FromKeyring(e)); !errors.Is(err, ErrKeyringMissing) {
		t.Errorf("entry is gone: %v", err)
	}
	open(t, path, Passphrase(pass))
}

func TestKeyringAbsent(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	if available() == nil {
		t.Skip("SKIPPED: a keyring is found even without DBUS_SESSION_BUS_ADDRESS")
	}
	e := OSKeyring("")
	_, get := e.Get(t.Context())
	for name, err := range map[string]error{"get": get, "set": e.Set(t.Context(), make([]byte, 32)), "delete": e.Delete(t.Context())} {
		if !errors.Is(err, ErrKeyringAbsent) || !errors.Is(err, ErrKeyring) {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := filepath.Join(dir(t), "vault")
	if _, err := Create(path, State{}, KeyringSlot(e)); !errors.Is(err, ErrKeyringAbsent) {
		t.Error(err)
	}
}

// A service that never answers costs the deadline and no more, and what it
// writes after that is taken back.
func TestKeyringThatHangs(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	release, undone := make(chan struct{}), make(chan struct{})
	started := make(chan struct{})
	go func() { <-started; cancel() }()
	err := wait(ctx, func() error { close(started); <-release; return nil }, func() { close(undone) })
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	close(release)
	<-undone
}

func TestKeyringCauses(t *testing.T) {
	for text, want := range map[string]error{
		"The name org.freedesktop.secrets was not provided by any .service files":     ErrKeyringAbsent,
		"failed to unlock correct collection '/org/freedesktop/secrets/collection/x'": ErrKeyringLocked,
		"Cannot create an item in a locked collection":                                ErrKeyringLocked,
		"org.freedesktop.DBus.Error.AccessDenied":                                     ErrKeyringDenied,
		"No such object path '/org/freedesktop/secrets/aliases/default'":              ErrKeyringAbsent,
	} {
		if got := cause(errors.New(text)); !errors.Is(got, want) {
			t.Errorf("%s: %v", text, got)
		}
	}
	for in, want := range map[error]error{
		context.DeadlineExceeded: ErrKeyringTimeout,
		context.Canceled:         context.Canceled,
		keyring.ErrNotFound:      ErrKeyringMissing,
	} {
		if got := cause(in); !errors.Is(got, want) {
			t.Errorf("%v: %v", in, got)
		}
	}
}
