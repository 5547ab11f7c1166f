package pkcs11

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"cipherdeck/vault/pkcs11/wire"
)

// The soft token of NSS is a second library by other people: it has two tokens
// with one serial number, and does OAEP with SHA-256.
func TestNSS(t *testing.T) {
	o := Options{Helper: realHelper(t), Key: "vault", Token: "NSS Certificate DB"}
	libs, _ := filepath.Glob("/usr/lib*/*/libsoftokn3.so")
	_, err := exec.LookPath("certutil")
	if len(libs) == 0 || err != nil {
		t.Skip("SKIPPED, NOT TESTED: NSS is not installed (packages libnss3, libnss3-tools)")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pin"), append(bytes.Clone(pin), '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("certutil", "-N", "-d", "sql:"+dir, "-f", filepath.Join(dir, "pin")).CombinedOutput(); err != nil {
		t.Fatalf("certutil: %v\n%s", err, out)
	}
	o.Module = libs[0]
	o = shimmed(t, o, "") // NSS wants to be told where its files are
	t.Setenv("SHIM_PARAMS", "configdir='sql:"+dir+"' certPrefix='' keyPrefix='' secmod='secmod.db' flags=")

	nobody := o
	nobody.Token = ""
	if _, err := enrol(t.Context(), nobody, pin, make([]byte, 32)); !errors.Is(err, ErrChoose) {
		t.Errorf("one of two tokens: %v", err)
	}
	o.Generate = true
	secret := bytes.Repeat([]byte{7}, 32)
	data, err := enrol(t.Context(), o, pin, secret)
	if err != nil {
		t.Fatal(err)
	}
	if w, err := parse(data); err != nil || w.Hash != wire.SHA256 {
		t.Errorf("%+v %v", w, err)
	}
	v := create(t, Slot(Options{Helper: o.Helper, Module: o.Module, Token: o.Token}, pin))
	named := Options{Helper: o.Helper, Module: o.Module}
	if err := open(t.Context(), v, Unlocker(named, pin)); err != nil {
		t.Error(err)
	}
	if err := open(t.Context(), v, Unlocker(named, []byte("4711 9"))); !errors.Is(err, ErrPIN) {
		t.Errorf("wrong PIN: %v", err)
	}
}
