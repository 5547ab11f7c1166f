package sftp_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
	"cipherdeck/remote/store/sftp"
	"cipherdeck/remote/store/sftp/sftptest"
	"cipherdeck/remote/store/storetest"
)

const limit = 1 << 20

// rig is an SSH server whose sftp subsystem is the one of OpenSSH.
type rig struct {
	*sftptest.Server
	target sftp.Target
}

func newRig(t *testing.T) *rig {
	t.Helper()
	s := sftptest.New(t)
	return &rig{s, sftp.Target{Addr: s.Addr, User: sftptest.User, Dir: s.Dir, KeyFile: s.KeyFile, HostKey: s.HostKey}}
}

func (r *rig) open(t *testing.T) storetest.Engines {
	c, err := sftp.Open(r.target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return storetest.Engines{
		Blobs:   c.Blobs("room", limit),
		MaxBlob: limit,
		Reopen:  r.open,
		Damage: func(t *testing.T, name string) {
			r.change(t, name, func(b []byte) []byte { b[0] ^= 1; return b })
		},
		Truncate: func(t *testing.T, name string) {
			r.change(t, name, func(b []byte) []byte { return b[:len(b)-1] })
		},
	}
}

func (r *rig) change(t *testing.T, name string, how func([]byte) []byte) {
	i, err := id.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	hx := hex.EncodeToString(i[:])
	path := filepath.Join(r.target.Dir, "room", hx[:2], hx)
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, how(body), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T, _ time.Duration) storetest.Engines { return newRig(t).open(t) })
}

// TestBroken shows that a connection that broke costs nothing but time, and
// that an unfinished upload of an earlier process is cleared.
func TestBroken(t *testing.T) {
	r := newRig(t)
	left := filepath.Join(r.target.Dir, "room", "part", "cut.part")
	if err := os.MkdirAll(filepath.Dir(left), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := r.open(t)
	for _, text := range []string{"one", "two", "three"} {
		if err := e.Blobs.Put(t.Context(), id.Of([]byte(text)), int64(len(text)), bytes.NewReader([]byte(text))); err != nil {
			t.Fatal(err)
		}
		r.Cut()
		body, _, err := e.Blobs.Get(t.Context(), id.Of([]byte(text)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(body); err != nil || string(got) != text {
			t.Errorf("got %q, %v", got, err)
		}
		r.Cut()
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("the unfinished upload is still there: %v", err)
	}
}

// TestPinned shows that another machine at the same address gets nothing.
func TestPinned(t *testing.T) {
	r := newRig(t)
	_, r.target.HostKey, _ = sftptest.NewKey(t)
	_, err := r.open(t).Blobs.Has(t.Context(), []id.ID{{}})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestTarget(t *testing.T) {
	_, line, file := sftptest.NewKey(t)
	_, _, open := sftptest.NewKey(t)
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	good := sftp.Target{Addr: "h:22", User: "u", Dir: "d", KeyFile: file, HostKey: line}
	for name, edit := range map[string]func(*sftp.Target){
		"no port":            func(t *sftp.Target) { t.Addr = "h" },
		"no user":            func(t *sftp.Target) { t.User = "" },
		"no directory":       func(t *sftp.Target) { t.Dir = "" },
		"no host key":        func(t *sftp.Target) { t.HostKey = "" },
		"no key":             func(t *sftp.Target) { t.KeyFile = "/nowhere" },
		"key open to others": func(t *sftp.Target) { t.KeyFile = open },
	} {
		bad := good
		edit(&bad)
		if _, err := sftp.Open(bad); !errors.Is(err, sftp.ErrTarget) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := sftp.Open(good); err != nil {
		t.Error(err)
	}
}
