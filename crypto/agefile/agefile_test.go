package agefile

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/seal"
)

func epoch() *seal.EpochKey { return seal.Epoch(id.Of([]byte("p")), 1, [32]byte{1}) }

func write(t *testing.T, name string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// sealed makes a container of in, a file or directory.
func sealed(t *testing.T, in string) string {
	t.Helper()
	box := filepath.Join(t.TempDir(), "box")
	if err := seal.SealFile(t.Context(), box, in, seal.Meta{}, []seal.Recipient{epoch()}, seal.FileOptions{}); err != nil {
		t.Fatal(err)
	}
	return box
}

// A pair of keys that the age library made, as it comes from a user: text.
type textKeys struct{ recipient, identity string }

func kinds(t *testing.T) map[string]textKeys {
	t.Helper()
	x, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	h, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]textKeys{
		"X25519": {x.Recipient().String(), x.String()},
		"hybrid": {h.Recipient().String(), "# a comment\n\n" + h.String()},
	}
}

func TestThereAndBack(t *testing.T) {
	tmp := t.TempDir()
	plain := bytes.Repeat([]byte("row\n"), 50_000)
	in := write(t, filepath.Join(tmp, "data.csv"), plain)
	box := sealed(t, in)
	for name, k := range kinds(t) {
		for _, text := range []bool{false, true} {
			to, err := ReadRecipients(strings.NewReader("# me\n\n" + k.recipient + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			out, again, back := filepath.Join(tmp, "data.csv.age"), filepath.Join(tmp, "again"), filepath.Join(tmp, "back")
			if err := ExportFile(t.Context(), out, box, []seal.Identity{epoch()}, to, Options{Armor: text, Force: true}); err != nil {
				t.Fatal(name, err)
			}
			ids, err := ReadIdentities(strings.NewReader(k.identity), nil)
			if err != nil {
				t.Fatal(err)
			}
			o := seal.FileOptions{Force: true, Pad: text}
			if err := ImportFile(t.Context(), again, out, ids, []seal.Recipient{epoch()}, o); err != nil {
				t.Fatal(name, err)
			}
			m, err := seal.OpenFile(t.Context(), back, again, []seal.Identity{epoch()}, o)
			got, _ := os.ReadFile(back)
			if err != nil || !bytes.Equal(got, plain) || m.Name != "data.csv" {
				t.Errorf("%s: %d bytes, %+v, %v", name, len(got), m, err)
			}
		}
	}
}

// stock runs the age of the system.
func stock(t *testing.T, args ...string) []byte {
	t.Helper()
	for _, p := range []string{"age", "age-keygen"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("SKIPPED: the program %s is not installed (Debian package age); that the stock age opens our export is NOT tested", p)
		}
	}
	c := exec.Command(args[0], args[1:]...)
	var diag bytes.Buffer
	c.Stderr = &diag
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%q: %v: %s", args, err, diag.String())
	}
	return out
}

func TestStockAge(t *testing.T) {
	tmp := t.TempDir()
	plain := bytes.Repeat([]byte("row\n"), 50_000)
	box := sealed(t, write(t, filepath.Join(tmp, "in"), plain))
	key := filepath.Join(tmp, "key")
	stock(t, "age-keygen", "-o", key)
	pub := strings.TrimSpace(string(stock(t, "age-keygen", "-y", key)))
	for kind, k := range sshKeys(t, tmp, [2]string{pub, key}) {
		to, err := ParseRecipient(k[0])
		if err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(tmp, "out.age")
		if err := ExportFile(t.Context(), out, box, []seal.Identity{epoch()}, []Recipient{to}, Options{Force: true}); err != nil {
			t.Fatal(err)
		}
		if got := stock(t, "age", "-d", "-i", k[1], out); !bytes.Equal(got, plain) {
			t.Errorf("%s: stock age opens our export as %d bytes", kind, len(got))
		}
		theirs := filepath.Join(tmp, "theirs")
		stock(t, "age", "-a", "-r", k[0], "-o", theirs, filepath.Join(tmp, "in"))
		b, _ := os.ReadFile(k[1])
		ids, err := ReadIdentities(bytes.NewReader(b), nil)
		if err != nil {
			t.Fatal(err)
		}
		f, _ := os.ReadFile(theirs)
		r, err := Decrypt(bytes.NewReader(f), ids...)
		if err != nil {
			t.Fatal(kind, err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: we open stock age's file as %d bytes, %v", kind, len(got), err)
		}
		os.Remove(theirs)
	}
}

// sshKeys adds real OpenSSH keys, public text and private file.
func sshKeys(t *testing.T, dir string, x [2]string) map[string][2]string {
	out := map[string][2]string{"X25519": x}
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Log("SKIPPED: ssh-keygen is not installed; OpenSSH keys are NOT tested")
		return out
	}
	for _, kind := range []string{"ed25519", "rsa"} {
		name := filepath.Join(dir, kind)
		stock(t, "ssh-keygen", "-q", "-t", kind, "-N", "", "-f", name)
		pub, err := os.ReadFile(name + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		out["ssh-"+kind] = [2]string{strings.TrimSpace(string(pub)), name}
	}
	return out
}

func TestProtectedSSHKey(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("SKIPPED: ssh-keygen is not installed; protected OpenSSH keys are NOT tested")
	}
	name := filepath.Join(t.TempDir(), "k")
	stock(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "pass word", "-f", name)
	pub, _ := os.ReadFile(name + ".pub")
	to, err := ParseRecipient(string(pub))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Export(t.Context(), &b, open(t, []byte("hello")), []Recipient{to}, Options{}); err != nil {
		t.Fatal(err)
	}
	pem, _ := os.ReadFile(name)
	if _, err := ReadIdentities(bytes.NewReader(pem), nil); !errors.Is(err, ErrPassphrase) {
		t.Error(err)
	}
	if _, err := ReadIdentities(bytes.NewReader(pem), []byte("wrong")); !errors.Is(err, ErrPassphrase) {
		t.Error(err)
	}
	ids, err := ReadIdentities(bytes.NewReader(pem), []byte("pass word"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Decrypt(&b, ids...)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "hello" {
		t.Errorf("%q %v", got, err)
	}
}

// open gives a Reader of a container of plain.
func open(t *testing.T, plain []byte) *seal.Reader {
	t.Helper()
	var b bytes.Buffer
	err := seal.Seal(t.Context(), &b, bytes.NewReader(plain), seal.Meta{Size: int64(len(plain))}, []seal.Recipient{epoch()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := seal.Open(&b, epoch())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDirectoryBecomesTar(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "sub"), 0o755), os.Symlink("sub", filepath.Join(dir, "link"))); err != nil {
		t.Skip(err)
	}
	write(t, filepath.Join(dir, "sub", "file"), []byte("text"))
	box := sealed(t, dir)
	k := kinds(t)["X25519"]
	to, _ := ParseRecipient(k.recipient)
	ids, _ := ReadIdentities(strings.NewReader(k.identity), nil)
	out := filepath.Join(t.TempDir(), "out.age")
	if err := ExportFile(t.Context(), out, box, []seal.Identity{epoch()}, []Recipient{to}, Options{}); err != nil {
		t.Fatal(err)
	}
	f, _ := os.Open(out)
	defer f.Close()
	r, err := Decrypt(f, ids...)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	in := tar.NewReader(r)
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(in)
		got = append(got, h.Name+"="+h.Linkname+string(b))
	}
	if s := strings.Join(got, " "); s != "link=sub sub/= sub/file=text" {
		t.Error(s)
	}
}

func TestBadContainerMakesNoAgeFile(t *testing.T) {
	box := sealed(t, write(t, filepath.Join(t.TempDir(), "in"), make([]byte, 100_000)))
	b, _ := os.ReadFile(box)
	b[len(b)-1] ^= 1
	write(t, box, b)
	to, _ := ParseRecipient(kinds(t)["X25519"].recipient)
	out := filepath.Join(t.TempDir(), "out")
	if err := ExportFile(t.Context(), out, box, []seal.Identity{epoch()}, []Recipient{to}, Options{}); !errors.Is(err, seal.ErrAuth) {
		t.Error(err)
	}
	if _, err := os.Lstat(out); err == nil {
		t.Error("an age file was left")
	}
}

// The file that is converted is not the one that is written, by any of its
// names, and a pipe is not waited for.
func TestPathsThatAreRefused(t *testing.T) {
	tmp := t.TempDir()
	k := kinds(t)["X25519"]
	to, _ := ParseRecipient(k.recipient)
	ids, _ := ReadIdentities(strings.NewReader(k.identity), nil)
	box, age, hard := filepath.Join(tmp, "box"), filepath.Join(tmp, "age"), filepath.Join(tmp, "hard")
	if err := os.Rename(sealed(t, write(t, filepath.Join(t.TempDir(), "in"), []byte("hello"))), box); err != nil {
		t.Fatal(err)
	}
	export := func(out, in string) error {
		return ExportFile(t.Context(), out, in, []seal.Identity{epoch()}, []Recipient{to}, Options{Force: true})
	}
	imports := func(out, in string) error {
		return ImportFile(t.Context(), out, in, ids, []seal.Recipient{epoch()}, seal.FileOptions{Force: true})
	}
	if err := errors.Join(export(age, box), os.Link(age, hard)); err != nil {
		t.Skip(err)
	}
	for name, err := range map[string]error{
		"export": export(box, box), "import": imports(age, age), "hard link": imports(hard, age), "other path": imports(tmp+"/./age", age),
	} {
		if !errors.Is(err, seal.ErrSameFile) {
			t.Errorf("%s onto itself: %v", name, err)
		}
	}
	for _, in := range []string{tmp, os.DevNull} {
		if err := export(filepath.Join(tmp, "out"), in); !errors.Is(err, seal.ErrNotRegular) {
			t.Errorf("export %s: %v", in, err)
		}
		if err := imports(filepath.Join(tmp, "out"), in); !errors.Is(err, seal.ErrNotRegular) {
			t.Errorf("import %s: %v", in, err)
		}
	}
	if err := imports(filepath.Join(tmp, "again"), age); err != nil {
		t.Error("the age file is not what it was:", err)
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	k := kinds(t)["X25519"]
	for _, s := range []string{"", "age1", "age1pq1x", "ssh-dss AAAA", "ssh-rsa !", k.identity, k.recipient + "x"} {
		_, err := ParseRecipient(s)
		if !errors.Is(err, ErrKey) {
			t.Errorf("%q: %v", s, err)
		}
		if err != nil && strings.Contains(err.Error(), k.identity[20:]) {
			t.Error("the error repeats a private key")
		}
	}
	for _, s := range []string{"", "# nothing", k.identity + "x", k.identity[:40], "-----BEGIN OPENSSH PRIVATE KEY-----\n"} {
		_, err := ReadIdentities(strings.NewReader(s), nil)
		if !errors.Is(err, ErrKey) {
			t.Errorf("%q: %v", s, err)
		}
		if err != nil && strings.Contains(err.Error(), k.identity[20:40]) {
			t.Error("the error repeats a private key")
		}
	}
	if _, err := ReadRecipients(strings.NewReader("# nobody\n")); !errors.Is(err, ErrKey) {
		t.Error(err)
	}
	if err := Export(t.Context(), io.Discard, open(t, nil), nil, Options{}); !errors.Is(err, ErrKey) {
		t.Error(err)
	}
}

func TestPassphraseFile(t *testing.T) {
	to, err := PassphraseRecipient("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	to.(*age.ScryptRecipient).SetWorkFactor(10)
	var b bytes.Buffer
	if err := Export(t.Context(), &b, open(t, []byte("hello")), []Recipient{to}, Options{Armor: true}); err != nil {
		t.Fatal(err)
	}
	for secret, want := range map[string]error{"correct horse": nil, "wrong": ErrIdentity} {
		i, err := PassphraseIdentity(secret)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decrypt(bytes.NewReader(b.Bytes()), i); !errors.Is(err, want) {
			t.Errorf("%q: %v", secret, err)
		}
	}
}
