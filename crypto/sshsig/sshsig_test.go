package sshsig

import (
	"bytes"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
)

// sign makes a key of a type with the real ssh-keygen and signs message.
func sign(t *testing.T, typ, namespace string, message []byte) (sig []byte, pub ssh.PublicKey) {
	t.Helper()
	tool, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("SKIPPED: ssh-keygen is not installed: apt-get install openssh-client")
	}
	dir := t.TempDir()
	key, msg := filepath.Join(dir, "key"), filepath.Join(dir, "msg")
	if err := os.WriteFile(msg, message, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-q", "-t", typ, "-N", "", "-C", "bob@home", "-f", key}, {"-q", "-Y", "sign", "-f", key, "-n", namespace, msg}} {
		if out, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen %v: %v\n%s", args, err, out)
		}
	}
	if sig, err = os.ReadFile(msg + ".sig"); err != nil {
		t.Fatal(err)
	}
	line, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	if pub, _, _, _, err = ssh.ParseAuthorizedKey(line); err != nil {
		t.Fatal(err)
	}
	return sig, pub
}

func TestRealSignatures(t *testing.T) {
	msg := []byte("23f5rtgd3zsoyesvugdg6rxhfd6idtyp\n")
	for _, typ := range []string{"ed25519", "rsa", "ecdsa"} {
		sig, pub := sign(t, typ, "cipherdeck", msg)
		if err := Verify(sig, msg, "cipherdeck", pub); err != nil {
			t.Errorf("%s: %v", typ, err)
		}
	}
}

func TestRefused(t *testing.T) {
	msg := []byte("23f5rtgd3zsoyesvugdg6rxhfd6idtyp")
	sig, pub := sign(t, "ed25519", "cipherdeck", msg)
	_, other := sign(t, "ed25519", "cipherdeck", msg)
	file, fileKey := sign(t, "ed25519", "file", msg)
	for name, err := range map[string]error{
		"another message":   Verify(sig, append(msg, 'x'), "cipherdeck", pub),
		"another key":       Verify(sig, msg, "cipherdeck", other),
		"another namespace": Verify(file, msg, "cipherdeck", fileKey),
		"no namespace":      Verify(sig, msg, "", pub),
		"twice":             Verify(append(bytes.Clone(sig), sig...), msg, "cipherdeck", pub),
		"empty":             Verify(nil, msg, "cipherdeck", pub),
	} {
		if !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p, _ := pem.Decode(sig)
	for i := range len(p.Bytes) * 8 {
		bad := bytes.Clone(p.Bytes)
		bad[i/8] ^= 1 << (i % 8)
		if err := Verify(pem.EncodeToMemory(&pem.Block{Type: p.Type, Bytes: bad}), msg, "cipherdeck", pub); !errors.Is(err, ErrSignature) {
			t.Fatalf("bit %d: %v", i, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte("-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"))
	pub, _, _, _, err := ssh.ParseAuthorizedKey([]byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if Verify(b, []byte("m"), "cipherdeck", pub) == nil {
			t.Fatal("verified")
		}
	})
}
