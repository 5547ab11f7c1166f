package tpm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"cipherdeck/crypto/doc"
	"cipherdeck/vault"
)

// swtpm runs a real software TPM until the test ends and returns its socket.
func swtpm(t testing.TB) Opener {
	t.Helper()
	path, err := exec.LookPath("swtpm")
	if err != nil {
		t.Skip("SKIPPED, NOT TESTED: swtpm is not installed (package swtpm)")
	}
	dir, err := os.MkdirTemp("", "swtpm") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	sock := filepath.Join(dir, "s")
	cmd := exec.Command(path, "socket", "--tpm2", "--tpmstate", "dir="+dir,
		"--server", "type=unixio,path="+sock, "--ctrl", "type=unixio,path="+filepath.Join(dir, "c"),
		"--flags", "not-need-init,startup-clear")
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	for up := false; !up; {
		select {
		case err := <-exited:
			t.Fatalf("swtpm exited: %v", err)
		case <-time.After(time.Millisecond):
		}
		if c, err := net.Dial("unix", sock); err == nil {
			_ = c.Close()
			up = true
		}
	}
	dev := Device(sock)
	t.Cleanup(func() {
		if c, err := dev(); err == nil {
			_, _ = (tpm2.Shutdown{ShutdownType: tpm2.TPMSUClear}).Execute(c)
			_ = c.Close()
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-exited
	})
	return dev
}

var pin = []byte("4711 8")

func create(t testing.TB, slots ...vault.NewSlot) *vault.Vault {
	t.Helper()
	d := t.TempDir()
	_ = os.Chmod(d, 0o700)
	v, err := vault.Create(filepath.Join(d, "vault"), vault.State{Account: vault.Account{Name: "ana"}}, slots...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func open(t testing.TB, v *vault.Vault, u vault.Unlocker) error {
	t.Helper()
	again, err := vault.Open(t.Context(), v.Path(), u)
	if err == nil {
		again.Close()
	}
	return err
}

func extendPCR7(t *testing.T, dev Opener) {
	t.Helper()
	c, err := dev()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = tpm2.PCRExtend{
		PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(7), Auth: tpm2.PasswordAuth(nil)},
		Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: make([]byte, 32)}}},
	}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
}

func TestPINOpens(t *testing.T) {
	dev := swtpm(t)
	v := create(t, Slot(dev, pin, Options{}))
	for range 5 { // a leak of handles would show: there is room for three
		if err := open(t, v, Unlocker(dev, pin)); err != nil {
			t.Fatal(err)
		}
	}
	extendPCR7(t, dev)
	if err := open(t, v, Unlocker(dev, pin)); err != nil {
		t.Errorf("PCR 7 counts though it was not asked for: %v", err)
	}
	if err := vault.TestSlot(t.Context(), v.Path(), v.Slots()[0].ID, Unlocker(dev, pin)); err != nil {
		t.Error(err)
	}
	if r, err := v.RotateKey(t.Context(), nil, Unlocker(dev, pin)); err != nil || !r.Done {
		t.Errorf("rotation: %+v %v", r, err)
	}
	if err := open(t, v, Unlocker(dev, pin)); err != nil {
		t.Error(err)
	}
}

// Wrong PINs are counted by the chip, which then refuses the right one too.
func TestWrongPINsLockTheChip(t *testing.T) {
	dev := swtpm(t)
	v := create(t, Slot(dev, pin, Options{}))
	for i := range 100 {
		err := open(t, v, Unlocker(dev, []byte("4711 9")))
		if errors.Is(err, ErrLockout) {
			if err := open(t, v, Unlocker(dev, pin)); !errors.Is(err, ErrLockout) {
				t.Fatalf("the right PIN in lockout: %v", err)
			}
			return
		}
		if !errors.Is(err, ErrPIN) {
			t.Fatalf("attempt %d: %v", i, err)
		}
	}
	t.Fatal("100 wrong PINs without a lockout")
}

func TestBootState(t *testing.T) {
	dev := swtpm(t)
	v := create(t, Slot(dev, pin, Options{PCR7: true}))
	if err := open(t, v, Unlocker(dev, pin)); err != nil {
		t.Fatal(err)
	}
	extendPCR7(t, dev)
	if err := open(t, v, Unlocker(dev, pin)); !errors.Is(err, ErrBoot) {
		t.Fatalf("another boot state: %v", err)
	}
}

func TestAnotherTPM(t *testing.T) {
	dev, other := swtpm(t), swtpm(t)
	v := create(t, Slot(dev, pin, Options{}))
	if err := open(t, v, Unlocker(other, pin)); !errors.Is(err, ErrOther) {
		t.Error(err)
	}
	if err := open(t, v, Unlocker(Device("/nonexistent"), pin)); !errors.Is(err, ErrNoTPM) {
		t.Error(err)
	}
	if _, err := v.AddSlot(t.Context(), Slot(dev, pin[:3], Options{})); !errors.Is(err, ErrShort) {
		t.Error(err)
	}
	if _, err := v.AddSlot(t.Context(), Slot(Device("/dev/null2"), pin, Options{})); !errors.Is(err, ErrNoTPM) {
		t.Error(err)
	}
}

// The object alone is bound to the chip: a root name that was changed to fit
// another chip does not help.
func TestSealedObjectDoesNotMove(t *testing.T) {
	dev, other := swtpm(t), swtpm(t)
	secret := bytes.Repeat([]byte{7}, 32)
	data, err := with(dev, func(c *chip) ([]byte, error) { return c.seal(secret, pin, Options{}) })
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, secret) {
		t.Fatal("the secret is readable")
	}
	var s sealed
	if err := doc.Decode(data, &s); err != nil {
		t.Fatal(err)
	}
	_, err = with(other, func(c *chip) ([]byte, error) {
		s.Root = c.root.Name.Buffer
		return c.unseal(s, pin)
	})
	if !errors.Is(err, ErrOther) {
		t.Fatal(err)
	}
	t.Logf("private %d bytes, public %d bytes", len(s.Private), len(s.Public))
}

// wire listens on the bus.
type wire struct {
	transport.TPMCloser
	seen *[]byte
}

func (w wire) Send(in []byte) ([]byte, error) {
	out, err := w.TPMCloser.Send(in)
	*w.seen = append(append(*w.seen, in...), out...)
	return out, err
}

func TestNothingOnTheBus(t *testing.T) {
	dev := swtpm(t)
	var seen []byte
	tapped := func() (transport.TPMCloser, error) {
		c, err := dev()
		return wire{c, &seen}, err
	}
	secret := []byte("a secret of exactly 32 bytes ...")
	data, err := with(tapped, func(c *chip) ([]byte, error) { return c.seal(secret, pin, Options{PCR7: true}) })
	if err != nil {
		t.Fatal(err)
	}
	var s sealed
	if err := doc.Decode(data, &s); err != nil {
		t.Fatal(err)
	}
	got, err := with(tapped, func(c *chip) ([]byte, error) { return c.unseal(s, pin) })
	if err != nil || !bytes.Equal(got, secret) {
		t.Fatalf("%q %v", got, err)
	}
	auth, err := authOf(pin)
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) < 1000 || bytes.Contains(seen, secret) || bytes.Contains(seen, pin) || bytes.Contains(seen, auth) {
		t.Fatalf("the bus shows the secret or the PIN (%d bytes seen)", len(seen))
	}
}

func TestDamagedData(t *testing.T) {
	dev := swtpm(t)
	good, err := with(dev, func(c *chip) ([]byte, error) { return c.seal(make([]byte, 32), pin, Options{}) })
	if err != nil {
		t.Fatal(err)
	}
	known := []error{ErrData, ErrOther, ErrPIN, ErrBoot, vault.ErrDamaged}
	for i := 0; i < len(good); i += 11 {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		v := create(t, vault.DeviceSlot(vault.SlotTPM, "TPM", func(_ context.Context, _ []byte) ([]byte, error) { return bad, nil }))
		err := open(t, v, Unlocker(dev, pin))
		found := false
		for _, k := range known {
			found = found || errors.Is(err, k)
		}
		if !found {
			t.Errorf("byte %d: %v", i, err)
		}
	}
}

// A real chip, if there is one that we may use.
func TestDevice(t *testing.T) {
	if os.Getenv("CIPHERDECK_TEST_TPM") != "1" {
		t.Skip("SKIPPED, NOT TESTED: /dev/tpmrm0: CIPHERDECK_TEST_TPM=1 is not set (it makes no lasting change)")
	}
	dev := Device("")
	v := create(t, Slot(dev, pin, Options{}))
	if err := open(t, v, Unlocker(dev, pin)); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkUnlock(b *testing.B) {
	dev := swtpm(b)
	v := create(b, Slot(dev, pin, Options{PCR7: true}))
	for b.Loop() {
		if err := open(b, v, Unlocker(dev, pin)); err != nil {
			b.Fatal(err)
		}
	}
}
