package pkcs11

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"cipherdeck/vault/pkcs11/wire"
)

// built is what tests compile, once for all of them.
type built struct {
	dir     string
	program func() (string, error)
	shim    func() (string, error)
}

var made built // for tests only: to compile takes longer than they do

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "pkcs11")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	made = built{dir: dir}
	made.program = sync.OnceValues(func() (string, error) {
		out := filepath.Join(dir, program)
		cmd := exec.Command("go", "build", "-o", out, "./"+program)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
		text, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("build the helper: %v\n%s", err, text)
		}
		return out, err
	})
	made.shim = sync.OnceValues(func() (string, error) {
		headers, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/miekg/pkcs11").Output()
		if err != nil {
			return "", err
		}
		out := filepath.Join(dir, "shim.so")
		text, err := exec.Command("gcc", "-shared", "-fPIC", "-I", strings.TrimSpace(string(headers)), "-o", out, "testdata/shim.c", "-ldl").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("build the shim: %v\n%s", err, text)
		}
		return out, err
	})
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// realHelper is the path of the helper, compiled now.
func realHelper(t testing.TB) string {
	t.Helper()
	_, err := exec.LookPath("gcc")
	if _, e := os.Stat("/usr/include/stdlib.h"); err != nil || e != nil {
		t.Skip("SKIPPED, NOT TESTED: gcc is not installed (packages gcc, libc6-dev)")
	}
	path, err := made.program()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// shimmed makes the library of o one that does something else than SoftHSM.
func shimmed(t testing.TB, o Options, does string) Options {
	t.Helper()
	path, err := made.shim()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SHIM_MODULE", o.Module)
	t.Setenv("SHIM_DOES", does)
	o.Module = path
	return o
}

const userPIN, soPIN = "4711 8", "8765 4321"

// softHSM is a real token "alpha", without keys, in a directory of its own.
func softHSM(t testing.TB) Options {
	t.Helper()
	o := Options{Helper: realHelper(t)}
	for _, p := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"} {
		if _, err := os.Stat(p); err == nil {
			o.Module = p
		}
	}
	if _, err := exec.LookPath("softhsm2-util"); err != nil || o.Module == "" {
		t.Skip("SKIPPED, NOT TESTED: SoftHSM is not installed (package softhsm2)")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "softhsm2.conf")
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+dir+"/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	newToken(t, "alpha")
	return o
}

func newToken(t testing.TB, label string) {
	t.Helper()
	util(t, "--init-token", "--free", "--label", label, "--pin", userPIN, "--so-pin", soPIN)
}

func util(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command("softhsm2-util", args...).CombinedOutput(); err != nil {
		t.Fatalf("softhsm2-util %v: %v\n%s", args, err, out)
	}
}

// importKey gives the token a key that was made elsewhere.
func importKey(t testing.TB, token, label string, bits int, id []byte) {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	util(t, "--import", file, "--token", token, "--label", label, "--id", hex.EncodeToString(id), "--pin", userPIN)
}

// removeKeys deletes all keys of all tokens.
func removeKeys(t testing.TB) {
	t.Helper()
	objects, err := filepath.Glob(filepath.Join(filepath.Dir(os.Getenv("SOFTHSM2_CONF")), "tokens", "*", "*.object"))
	if err != nil || len(objects) < 2 {
		t.Fatal(objects, err)
	}
	for _, o := range objects {
		if filepath.Base(o) == "token.object" {
			continue
		}
		if err := os.Remove(o); err != nil {
			t.Fatal(err)
		}
	}
}

// fake is a helper that is the shell script body; REPLY in it is a file with the
// message of reply and secret.
func fake(t testing.TB, body string, reply wire.Reply, secret []byte) string {
	t.Helper()
	dir := t.TempDir()
	var b bytes.Buffer
	if err := wire.Write(&b, reply, secret); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "reply"), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "helper")
	text := "#!/bin/sh\nDIR='" + dir + "'\nREPLY='" + dir + "/reply'\n" + body + "\n"
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// fifo is a named pipe in dir: reading it waits for somebody who opens it.
func fifo(t testing.TB, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
