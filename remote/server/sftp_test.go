package server_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	rt "cipherdeck/remote/remotetest"
	"cipherdeck/remote/server"
)

// pass is a fresh key with a certificate for who, as account ssh-key makes it;
// edit changes it before it is signed.
func pass(t *testing.T, who rt.Who, edit ...func(*ssh.Certificate)) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	device, err := ssh.NewSignerFromKey(who.Key)
	if err != nil {
		t.Fatal(err)
	}
	c := &ssh.Certificate{Key: fresh.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{who.UID.String()},
		ValidAfter: uint64(time.Now().Add(-time.Minute).Unix()), ValidBefore: uint64(time.Now().Add(time.Hour).Unix())}
	for _, e := range edit {
		e(c)
	}
	if err := c.SignCert(rand.Reader, device); err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewCertSigner(c, fresh)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func knock(t *testing.T, s *server.Server, user chain.UID, key ssh.Signer) (*ssh.Client, error) {
	t.Helper()
	c, err := ssh.Dial("tcp", s.SFTP(), &ssh.ClientConfig{User: user.String(), Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err == nil {
		t.Cleanup(func() { _ = c.Close() })
	}
	return c, err
}

func enter(t *testing.T, s *server.Server, who rt.Who) *sftp.Client {
	t.Helper()
	c, err := knock(t, s, who.UID, pass(t, who))
	if err != nil {
		t.Fatal(err)
	}
	f, err := sftp.NewClient(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func withDoor(t *testing.T) *setup {
	t.Helper()
	return start(t, func(c *server.Config) { c.SFTP = "127.0.0.1:0" })
}

// TestSFTPPass tries to get in with what is not one's own pass.
func TestSFTPPass(t *testing.T) {
	s := withDoor(t)
	other := rt.Person(t, "other")
	rt.Enrolled(t, s.srv, other)
	device, err := ssh.NewSignerFromKey(s.owner.Key)
	if err != nil {
		t.Fatal(err)
	}
	hour := uint64(3600)
	for name, key := range map[string]ssh.Signer{
		"a device key itself":    device,
		"another's":              pass(t, other),
		"another's, for me":      pass(t, other, func(c *ssh.Certificate) { c.ValidPrincipals = []string{s.owner.UID.String()} }),
		"a stranger's":           pass(t, rt.Person(t, "stranger"), func(c *ssh.Certificate) { c.ValidPrincipals = []string{s.owner.UID.String()} }),
		"mine, for another":      pass(t, s.owner, func(c *ssh.Certificate) { c.ValidPrincipals = []string{other.UID.String()} }),
		"mine, for nobody":       pass(t, s.owner, func(c *ssh.Certificate) { c.ValidPrincipals = nil }),
		"mine, for ever":         pass(t, s.owner, func(c *ssh.Certificate) { c.ValidBefore = ssh.CertTimeInfinity }),
		"mine, over":             pass(t, s.owner, func(c *ssh.Certificate) { c.ValidBefore = c.ValidAfter }),
		"mine, not yet":          pass(t, s.owner, func(c *ssh.Certificate) { c.ValidAfter += hour; c.ValidBefore += hour }),
		"mine, of a host":        pass(t, s.owner, func(c *ssh.Certificate) { c.CertType = ssh.HostCert }),
		"mine, from elsewhere":   pass(t, s.owner, func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"source-address": "192.0.2.0/24"} }),
		"mine, with a condition": pass(t, s.owner, func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"force-command": "x"} }),
	} {
		if _, err := knock(t, s.srv, s.owner.UID, key); err == nil {
			t.Errorf("%s: let in", name)
		}
	}
	if _, err := knock(t, s.srv, s.owner.UID, pass(t, s.owner)); err != nil {
		t.Errorf("mine: %v", err)
	}
	bad, err := ssh.Dial("tcp", s.srv.SFTP(), &ssh.ClientConfig{User: s.owner.UID.String(), Auth: []ssh.AuthMethod{ssh.Password("x")}, HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err == nil {
		_ = bad.Close()
		t.Error("let in by password")
	}
}

// TestSFTPNothingElse asks for what SSH and SFTP offer besides blobs.
func TestSFTPNothingElse(t *testing.T) {
	s := withDoor(t)
	c, err := knock(t, s.srv, s.owner.UID, pass(t, s.owner))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Dial("tcp", s.srv.Addr()); err == nil {
		t.Error("a connection was forwarded")
	}
	if _, err := c.Listen("tcp", "127.0.0.1:0"); err == nil {
		t.Error("a port was opened")
	}
	session, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Run("id"); err == nil {
		t.Error("a command was run")
	}
	i := s.p.Put(t, []byte("ciphertext"))
	f := enter(t, s.srv, s.owner)
	dir := "/" + s.p.ID().String()
	file := dir + "/" + i.String()
	for name, err := range map[string]error{
		"remove":  f.Remove(file),
		"rename":  f.Rename(file, dir+"/"+id.Of([]byte("x")).String()),
		"mkdir":   f.Mkdir("/new"),
		"symlink": f.Symlink("/etc/passwd", file),
		"link":    f.Link(file, dir+"/x"),
	} {
		if err == nil {
			t.Errorf("%s was done", name)
		}
	}
	for _, path := range []string{"/etc/passwd", "/../../etc/passwd", dir + "/../../etc/passwd", dir + "/x", "/x", dir + "/" + i.String() + "/x"} {
		if _, err := f.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestSFTPBlobs puts, gets and lists, as everybody.
func TestSFTPBlobs(t *testing.T) {
	s := withDoor(t)
	writer, reader, stranger := rt.Person(t, "writer"), rt.Person(t, "reader"), rt.Person(t, "stranger")
	for _, w := range []rt.Who{writer, reader, stranger} {
		rt.Enrolled(t, s.srv, w)
	}
	s.p.Add(t, writer, chain.Writer)
	s.p.Add(t, reader, chain.Reader)
	body := bytes.Repeat([]byte("ciphertext"), 50_000)
	i := id.Of(body)
	dir := "/" + s.p.ID().String()
	path := dir + "/" + i.String()

	w := enter(t, s.srv, writer)
	for name, c := range map[string]struct {
		path string
		body []byte
	}{
		"other bytes":  {path, append(bytes.Clone(body), 0)},
		"cut":          {path, body[:len(body)-1]},
		"nothing":      {path, nil},
		"too much":     {dir + "/" + id.Of([]byte("x")).String(), make([]byte, s.cfg.MaxBlobBytes+1)},
		"no such name": {dir + "/file.txt", body},
		"outside":      {"/" + id.Of([]byte("no project")).String() + "/" + i.String(), body},
	} {
		if err := upload(w, c.path, c.body); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if have, err := s.p.Have(t.Context(), []id.ID{i}); err != nil || have[0] {
		t.Fatalf("after refused uploads: %v, %v", have, err)
	}
	if err := upload(enter(t, s.srv, reader), path, body); !errors.Is(err, os.ErrPermission) {
		t.Errorf("a reader's upload: %v", err)
	}
	if err := upload(w, path, body); err != nil {
		t.Fatalf("a writer's upload: %v", err)
	}
	for name, f := range map[string]*sftp.Client{"writer": w, "reader": enter(t, s.srv, reader)} {
		r, err := f.Open(path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if top, err := f.ReadDir("/"); err != nil || len(top) != 1 || top[0].Name() != s.p.ID().String() {
			t.Errorf("%s: projects %v, %v", name, top, err)
		}
		all, err := f.ReadDir(dir)
		if err != nil || !strings.Contains(names(all), i.String()) {
			t.Errorf("%s: blobs %s, %v", name, names(all), err)
		}
	}
	out := enter(t, s.srv, stranger)
	if top, err := out.ReadDir("/"); err != nil || len(top) != 0 {
		t.Errorf("a stranger sees %v, %v", top, err)
	}
	for _, p := range []string{dir, path} {
		if _, err := out.Stat(p); !errors.Is(err, os.ErrPermission) {
			t.Errorf("a stranger at %s: %v", p, err)
		}
	}
	s.p.Do(t, chain.KindRemove, chain.RemoveBody{UID: writer.UID, Epoch: chain.Epoch{Number: 2, Prev: []byte{1}, Wraps: id.Of([]byte("w"))}})
	if err := upload(w, path, body); !errors.Is(err, os.ErrPermission) {
		t.Errorf("a removed writer, still connected: %v", err)
	}
}

func upload(c *sftp.Client, path string, body []byte) error {
	f, err := c.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	return errors.Join(err, f.Close())
}

func names(all []os.FileInfo) string {
	var b strings.Builder
	for _, e := range all {
		b.WriteString(e.Name() + " ")
	}
	return b.String()
}

// TestSFTPEndsWithTheDevice shows that a session ends with the right of the device
// that let it in: who stole a laptop stays connected, and its owner revokes it. So
// it does with the time of its certificate.
func TestSFTPEndsWithTheDevice(t *testing.T) {
	var ahead atomic.Int64
	s := &setup{cfg: rt.Config(t.TempDir()), owner: rt.Person(t, "owner")}
	s.cfg.SFTP = "127.0.0.1:0"
	s.srv = rt.Start(t, server.Options{Config: s.cfg, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	s.client = rt.Enrolled(t, s.srv, s.owner)
	s.p = rt.NewProject(t, s.client, s.owner)
	other := rt.Person(t, "laptop") // only its keys are used
	req, err := chain.NewRequest(s.owner.UID, "laptop", other.Signer(), other.XWing)
	if err != nil {
		t.Fatal(err)
	}
	two, err := s.owner.AddDevice(s.owner.Author(), req, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.client.PutAccountLink(t.Context(), two.UID, two.Links[1]); err != nil {
		t.Fatal(err)
	}
	body := []byte("ciphertext")
	path := "/" + s.p.ID().String() + "/" + s.p.Put(t, body).String()
	laptop := s.owner
	laptop.Account, laptop.Key, laptop.PQ = two, other.Key, other.PQ
	f, mine := enter(t, s.srv, laptop), enter(t, s.srv, s.owner)
	if _, err := f.Stat(path); err != nil {
		t.Fatalf("a device that was added: %v", err)
	}
	kid, _ := laptop.Signer().ID()
	three, err := two.RevokeDevice(s.owner.Author(), kid, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.client.PutAccountLink(t.Context(), two.UID, three.Links[2]); err != nil {
		t.Fatal(err)
	}
	look := func(what string, f *sftp.Client) {
		t.Helper()
		if _, err := f.Stat(path); !errors.Is(err, os.ErrPermission) {
			t.Errorf("%s sees a blob: %v", what, err)
		}
		if _, err := f.Open(path); !errors.Is(err, os.ErrPermission) {
			t.Errorf("%s reads: %v", what, err)
		}
		if _, err := f.ReadDir("/"); !errors.Is(err, os.ErrPermission) {
			t.Errorf("%s lists projects: %v", what, err)
		}
		if err := upload(f, path, body); !errors.Is(err, os.ErrPermission) {
			t.Errorf("%s writes: %v", what, err)
		}
	}
	look("a revoked device", f)
	if _, err := mine.Stat(path); err != nil {
		t.Fatalf("another device: %v", err)
	}
	ahead.Store(int64(2 * time.Hour))
	look("a certificate that is over", mine)
}

// TestSFTPStrangersCountForThemselves shows that who knocks with the name of
// another does not use up what that one may ask for.
func TestSFTPStrangersCountForThemselves(t *testing.T) {
	s := start(t)
	s.cfg.SFTP, s.cfg.RatePerSecond, s.cfg.RateBurst = "127.0.0.1:0", 1, 30
	s.restart(t)
	c := open(t, s.srv)
	c.who = &s.owner
	if rsp := c.login(t, c, c.nonce(t)); rsp.StatusCode != 200 {
		t.Fatal(rsp.Status)
	}
	stranger := rt.Person(t, "stranger")
	for range 40 {
		forged := pass(t, stranger, func(c *ssh.Certificate) { c.ValidPrincipals = []string{s.owner.UID.String()} })
		if _, err := knock(t, s.srv, s.owner.UID, forged); err == nil {
			t.Fatal("let in")
		}
	}
	if rsp := c.do(t, "GET", "/v1/projects", nil); rsp.StatusCode != 200 {
		t.Errorf("whose name was used: %s", rsp.Status)
	}
}

// TestSFTPClose shows that a silent guest does not hold the server up.
func TestSFTPClose(t *testing.T) {
	s := withDoor(t)
	c, err := net.Dial("tcp", s.srv.SFTP())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	enter(t, s.srv, s.owner)
	if err := s.srv.Close(); err != nil {
		t.Error(err)
	}
}
