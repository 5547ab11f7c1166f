package sftp_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
	"cipherdeck/remote/store/sftp"
	"cipherdeck/remote/store/storetest"
)

const limit = 1 << 20

// openssh is where Debian has OpenSSH's own SFTP server.
const openssh = "/usr/lib/openssh/sftp-server"

// rig is an SSH server on loopback whose sftp subsystem is the real one.
type rig struct {
	target sftp.Target
	mu     sync.Mutex
	conns  []net.Conn
}

func newRig(t *testing.T) *rig {
	t.Helper()
	if _, err := os.Stat(openssh); err != nil {
		t.Skipf("SKIPPED: %s is missing: apt-get install openssh-sftp-server", openssh)
	}
	hostKey, hostLine, _ := newKey(t)
	_, userLine, userFile := newKey(t)
	conf := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		if string(ssh.MarshalAuthorizedKey(k)) != userLine {
			return nil, errors.New("another key")
		}
		return nil, nil
	}}
	conf.AddHostKey(hostKey)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	r := &rig{target: sftp.Target{Addr: ln.Addr().String(), User: "store", Dir: filepath.Join(t.TempDir(), "blobs"), KeyFile: userFile, HostKey: hostLine}}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.conns = append(r.conns, c)
			r.mu.Unlock()
			go serve(c, conf)
		}
	}()
	return r
}

// cut breaks every connection.
func (r *rig) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
}

func serve(c net.Conn, conf *ssh.ServerConfig) {
	conn, chans, reqs, err := ssh.NewServerConn(c, conf)
	if err != nil {
		return
	}
	defer conn.Close()
	go ssh.DiscardRequests(reqs)
	for ch := range chans {
		stream, reqs, err := ch.Accept()
		if err != nil {
			return
		}
		go func() {
			for q := range reqs {
				_ = q.Reply(q.Type == "subsystem", nil)
				if q.Type == "subsystem" {
					go func() {
						cmd := exec.Command(openssh)
						cmd.Stdin, cmd.Stdout = stream, stream
						_ = cmd.Run()
						_ = stream.Close()
					}()
				}
			}
		}()
	}
}

func newKey(t *testing.T) (ssh.Signer, string, string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return signer, string(ssh.MarshalAuthorizedKey(signer.PublicKey())), file
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
		r.cut()
		body, _, err := e.Blobs.Get(t.Context(), id.Of([]byte(text)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(body); err != nil || string(got) != text {
			t.Errorf("got %q, %v", got, err)
		}
		r.cut()
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("the unfinished upload is still there: %v", err)
	}
}

// TestPinned shows that another machine at the same address gets nothing.
func TestPinned(t *testing.T) {
	r := newRig(t)
	_, r.target.HostKey, _ = newKey(t)
	_, err := r.open(t).Blobs.Has(t.Context(), []id.ID{{}})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestTarget(t *testing.T) {
	_, line, file := newKey(t)
	_, _, open := newKey(t)
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
