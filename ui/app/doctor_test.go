//go:build linux

package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cipherdeck/vault"
	"cipherdeck/vault/secret"
)

const sickPass = "atlas banjo cedar dune ember fable grove haiku"

// entry is a keyring in memory, or one that fails.
type entry struct {
	b   []byte
	err error
}

func (e *entry) Get(context.Context) ([]byte, error) {
	if e.err != nil {
		return nil, fmt.Errorf("%w: %w", vault.ErrKeyring, e.err)
	}
	if e.b == nil {
		return nil, vault.ErrKeyringMissing
	}
	return slices.Clone(e.b), nil
}
func (e *entry) Set(_ context.Context, b []byte) error { e.b = slices.Clone(b); return nil }
func (e *entry) Delete(context.Context) error          { e.b = nil; return nil }

// sickVault is the file of a vault with slots for a passphrase and a keyring.
// Its keys take a while to make, so all tests have the same.
var sickVault = sync.OnceValues(func() ([]byte, []byte) {
	home, err := os.MkdirTemp("", "cipherdeck-doctor-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(home)
	ring := &entry{}
	a := New(Config{Home: home, Keyring: ring, NoKernel: true})
	defer a.Close()
	if _, err := a.InitVault(context.Background(), "alice", []byte(sickPass), true); err != nil {
		panic(err)
	}
	file, err := os.ReadFile(filepath.Join(home, VaultFile))
	if err != nil {
		panic(err)
	}
	return file, ring.b
})

// patient is a doctor's case with a healthy vault.
func patient(t *testing.T) *doctor {
	t.Helper()
	file, key := sickVault()
	home := filepath.Join(t.TempDir(), "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, VaultFile), file, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir()) // no agent of the person who runs the tests
	a := New(Config{Home: home, StateDir: t.TempDir(), Keyring: &entry{b: key}, NoKernel: true})
	t.Cleanup(a.Close)
	return &doctor{a: a, proc: t.TempDir(), sys: t.TempDir(), path: t.TempDir(), environ: []string{"TERM=xterm"}}
}

func (d *doctor) open(t *testing.T) {
	t.Helper()
	if _, err := d.a.UnlockTyped(t.Context(), []byte(sickPass)); err != nil {
		t.Fatal(err)
	}
}

func (d *doctor) says(t *testing.T, id string, state Health, words ...string) Finding {
	t.Helper()
	for _, f := range d.all(t.Context()) {
		if f.ID != id {
			continue
		}
		text := f.Found + " " + f.Means + " " + f.Do
		if f.State != state {
			t.Errorf("%s is %s, want %s: %s", id, f.State, state, text)
		}
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Errorf("%s does not say %q: %s", id, w, text)
			}
		}
		if (state == Bad || state == Warn) && f.Do == "" {
			t.Errorf("%s does not say what to do: %s", id, text)
		}
		return f
	}
	t.Errorf("nothing about %s", id)
	return Finding{}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDoctorSeesAHealthyVault(t *testing.T) {
	d := patient(t)
	d.open(t)
	for _, f := range d.all(t.Context()) {
		if f.State == Bad {
			t.Errorf("%+v", f)
		}
	}
	for _, id := range []string{"vault.file", "vault.folder", "vault.copies", "vault.version", "vault.rollback", "slots.cost", "keyring", "agent", "env.variables", "env.settings", "clock", "secrets.due", "slots.kit"} {
		d.says(t, id, Good)
	}
}

func TestDoctorSeesRights(t *testing.T) {
	d := patient(t)
	home, path := d.a.cfg.Home, d.a.vaultPath()
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620} {
		os.Chmod(path, mode)
		d.says(t, "vault.file", Bad, "chmod 600")
	}
	os.Chmod(path, 0o600)
	os.Chmod(home, 0o755)
	d.says(t, "vault.file", Good)
	d.says(t, "vault.folder", Warn, "chmod 700")
	os.Chmod(home, 0o770)
	d.says(t, "vault.folder", Bad, "chmod 700")
	d.says(t, "vault.file", Bad)
	os.Chmod(home, 0o700)
	put(t, path+".bak", "x")
	d.says(t, "vault.copies", Good)
	os.Chmod(path+".bak", 0o644)
	d.says(t, "vault.copies", Bad, "vault.cdv.bak")
	os.Remove(path + ".bak")
	for _, name := range []string{path + ".tmp", filepath.Join(home, "report.cdk.part")} {
		put(t, name, "")
		d.says(t, "vault.copies", Warn, filepath.Base(name))
		os.Remove(name)
	}
	if os.Geteuid() != 0 {
		t.Log("SKIPPED, NOT TESTED: only root can give a file to somebody else")
		return
	}
	os.Chown(path, 12345, 12345)
	d.says(t, "vault.file", Bad, "12345")
}

func TestDoctorSeesDamageAndAbsence(t *testing.T) {
	d := patient(t)
	raw, _ := os.ReadFile(d.a.vaultPath())
	raw[len(raw)-1] ^= 1
	os.WriteFile(d.a.vaultPath(), raw, 0o600)
	d.says(t, "vault.file", Bad, "damaged")
	os.Remove(d.a.vaultPath())
	d.says(t, "vault.file", Warn, "vault init")
	for _, f := range d.all(t.Context()) {
		if f.State == Bad {
			t.Errorf("bad without a vault: %+v", f)
		}
	}
}

func TestDoctorSeesAnOlderVersion(t *testing.T) {
	d := patient(t)
	raw, err := os.ReadFile("../../vault/testdata/v2.vault")
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(d.a.vaultPath(), raw, 0o600)
	d.says(t, "vault.version", Warn, "version 2")
}

func TestDoctorSeesARollback(t *testing.T) {
	d := patient(t)
	d.says(t, "vault.rollback", Unknown)
	old, _ := os.ReadFile(d.a.vaultPath())
	d.open(t)
	if err := d.a.PutSecret("n", secret.Secret{Kind: secret.Note, Fields: map[string][]byte{"text": []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	d.says(t, "vault.rollback", Good)
	d.a.Close()
	os.WriteFile(d.a.vaultPath(), old, 0o600)
	d.says(t, "vault.rollback", Bad, "older copy")
}

func TestDoctorSeesSlots(t *testing.T) {
	d := patient(t)
	d.says(t, "slots.recovery", Warn, "vault recovery")
	d.says(t, "slots.cost", Good)
	d.a.cfg.Unlock = time.Minute // today a guess shall cost far more
	d.says(t, "slots.cost", Warn, "vault passphrase")
	d.a.cfg.Unlock = 0
	d.open(t)
	if _, err := d.a.AddRecovery(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	d.says(t, "slots.recovery", Good)
	d.says(t, "slots.kit", Good)
	d.a.cfg.Now = func() time.Time { return time.Now().Add(366 * 24 * time.Hour) }
	d.says(t, "slots.kit", Warn, "vault test")
}

func TestDoctorSeesKeyrings(t *testing.T) {
	d := patient(t)
	ring := d.a.cfg.Keyring.(*entry)
	for _, c := range []struct {
		err   error
		state Health
		word  string
	}{
		{vault.ErrKeyringAbsent, Warn, "no keyring service"}, {vault.ErrKeyringLocked, Warn, "is locked"}, {vault.ErrKeyringDenied, Warn, "refused access"},
		{vault.ErrKeyringTimeout, Warn, "did not answer"}, {vault.ErrKeyringMismatch, Bad, "not a key"}, {vault.ErrKeyringMissing, Bad, "no entry"},
	} {
		ring.err = c.err
		d.says(t, "keyring", c.state, c.word)
	}
	t.Run("the real one, without a bus", func(t *testing.T) {
		if _, err := os.Stat(fmt.Sprintf("/run/user/%d/bus", os.Getuid())); err == nil {
			t.Skip("SKIPPED, NOT TESTED: this session has a bus")
		}
		t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
		d.a.cfg.Keyring = nil
		d.says(t, "keyring", Warn, "no keyring service")
	})
	d.a.cfg.Keyring = nil
	d.a.cfg.NoKeyring = true
	d.says(t, "keyring", Unknown)
}

func TestDoctorSeesTheKernelsKeyring(t *testing.T) {
	d := patient(t)
	d.open(t)
	if err := d.a.Remember(t.Context(), time.Minute); err != nil {
		if errors.Is(err, vault.ErrKeyringAbsent) {
			t.Skipf("SKIPPED, NOT TESTED: %v", err)
		}
		t.Fatal(err)
	}
	defer d.a.ForgetRemembered(context.Background())
	d.says(t, "kernel", Warn, "vault forget")
	if err := d.a.ForgetRemembered(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.says(t, "kernel", Good)
}

// Something that listens where the agent does and is not one: this test, which
// every program of its user may read. Root cannot see the difference.
func TestDoctorSeesAFalseAgent(t *testing.T) {
	d := patient(t)
	d.says(t, "agent", Good, "no unlock agent")
	dir, err := os.MkdirTemp("", "agent") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("XDG_RUNTIME_DIR", dir)
	os.Mkdir(filepath.Join(dir, "cipherdeck"), 0o700)
	l, err := net.Listen("unix", filepath.Join(dir, "cipherdeck", "agent"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d.proc = "/proc"
	if os.Geteuid() == 0 {
		d.says(t, "agent", Unknown, fmt.Sprint(os.Getpid()))
	} else {
		d.says(t, "agent", Bad, fmt.Sprint(os.Getpid()))
	}
	os.Chmod(filepath.Join(dir, "cipherdeck"), 0o777)
	d.says(t, "agent", Bad)
}

// slotted gives the vault a slot of a kind that only a device opens.
func (d *doctor) slotted(t *testing.T, typ vault.SlotType) {
	t.Helper()
	d.open(t)
	n := vault.DeviceSlot(typ, "a device", func(context.Context, []byte) ([]byte, error) { return []byte("x"), nil })
	if _, err := d.a.put(t.Context(), "", n); err != nil {
		t.Fatal(err)
	}
}

func TestDoctorSeesMissingDevices(t *testing.T) {
	d := patient(t)
	d.a.cfg.Devices.TPM = filepath.Join(t.TempDir(), "none")
	d.a.cfg.Devices.PKCS11.Helper = filepath.Join(t.TempDir(), "none")
	for _, id := range []string{"tpm", "pkcs11", "plugins"} {
		d.says(t, id, Good, "no slot of the vault needs")
	}
	d.slotted(t, vault.SlotTPM)
	d.says(t, "tpm", Bad, "--tpm")
	d.slotted(t, vault.SlotPKCS11)
	d.says(t, "pkcs11", Bad, "make pkcs11")
	d.slotted(t, vault.SlotAgePlugin)
	d.says(t, "plugins", Bad)
	plugin := filepath.Join(d.path, "age-plugin-paper")
	put(t, plugin, "")
	d.says(t, "plugins", Bad) // it cannot be executed
	os.Chmod(plugin, 0o700)
	d.says(t, "plugins", Good, "age-plugin-paper")
}

func TestDoctorSeesSwap(t *testing.T) {
	d := patient(t)
	d.says(t, "memory.swap", Unknown)
	const head = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
	swaps := func(lines string) { put(t, filepath.Join(d.proc, "swaps"), head+lines) }
	swaps("")
	d.says(t, "memory.swap", Good)
	swaps("/dev/zram0 partition 100 0 100\n")
	d.says(t, "memory.swap", Good)
	swaps("/dev/sdx2 partition 100 0 -2\n")
	d.says(t, "memory.swap", Warn, "/dev/sdx2")
	put(t, filepath.Join(d.sys, "class/block/dm-71/dm/uuid"), "CRYPT-LUKS2-aa\n")
	swaps("/dev/dm-71 partition 100 0 -2\n")
	d.says(t, "memory.swap", Good)
	put(t, filepath.Join(d.sys, "class/block/dm-72/dm/uuid"), "LVM-bb\n") // a volume on an encrypted disk
	os.MkdirAll(filepath.Join(d.sys, "class/block/dm-72/slaves/dm-71"), 0o700)
	swaps("/dev/dm-72 partition 100 0 -2\n")
	d.says(t, "memory.swap", Good)
	os.MkdirAll(filepath.Join(d.sys, "class/block/dm-72/slaves/sdx3"), 0o700) // and on one that is not
	d.says(t, "memory.swap", Warn)
	swaps("/swapfile file 100 0 -2\n")
	d.says(t, "memory.swap", Unknown, "/swapfile")
}

func TestDoctorSeesTheEnvironment(t *testing.T) {
	d := patient(t)
	d.says(t, "env.passphrase", Good)
	put(t, filepath.Join(d.proc, "self", "environ"), "A=b\x00CIPHERDECK_PASSPHRASE=x\x00")
	d.says(t, "env.passphrase", Warn, "convenient, not safe")
	put(t, filepath.Join(d.proc, "self", "environ"), "A=b\x00")
	d.a.cfg.EnvPass = true
	d.says(t, "env.passphrase", Warn)
	d.environ = append(d.environ, "CIPHERDECK_LOCKAFTER=5m", "CIPHERDECK_ZZZZZZZZZZZ=1", "CIPHERDECK_HOME=/x")
	d.says(t, "env.variables", Warn, "CIPHERDECK_LOCKAFTER", "CIPHERDECK_ZZZZZZZZZZZ", "CIPHERDECK_LOCKAFTER: CIPHERDECK_LOCK_AFTER?")
	for text, want := range map[string]Health{"soon": Bad, "-5m": Bad, "1ms": Bad, "0": Warn, "5m": Good, "": Good} {
		t.Setenv("CIPHERDECK_LOCK_AFTER", text)
		d.says(t, "env.settings", want)
	}
}

// The variables that doctor knows are those that the program reads.
func TestDoctorKnowsEveryVariable(t *testing.T) {
	seen := map[string]bool{}
	name := regexp.MustCompile(`"(CIPHERDECK_[A-Z_]+[A-Z])"`)
	for _, root := range []string{"../../ui", "../../vault", "../../crypto", "../../remote", "../../attest", "../../fhe"} {
		err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(filepath.Base(path), "doctor") || strings.HasSuffix(filepath.Dir(path), "test") {
				return err
			}
			raw, err := os.ReadFile(path)
			for _, m := range name.FindAllSubmatch(raw, -1) {
				seen[string(m[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range variables() {
		if !seen[v] {
			t.Errorf("nothing reads %s", v)
		}
		delete(seen, v)
	}
	for v := range seen {
		t.Errorf("doctor does not know %s", v)
	}
}

func TestDoctorSeesClipboardAndTerminal(t *testing.T) {
	d := patient(t)
	t.Setenv("PATH", t.TempDir())
	d.environ = []string{"WAYLAND_DISPLAY=wayland-0", "TERM=xterm"}
	d.says(t, "clipboard", Warn) // nothing for a desktop; a terminal or not
	tool := filepath.Join(os.Getenv("PATH"), "wl-copy")
	put(t, tool, "")
	os.Chmod(tool, 0o700)
	d.says(t, "clipboard", Good, "wl-copy")
	for _, c := range []struct {
		w, h  int
		kind  string
		state Health
	}{{80, 24, "xterm", Good}, {39, 24, "xterm", Warn}, {80, 11, "xterm", Warn}, {80, 24, "dumb", Warn}, {80, 24, "", Warn}} {
		d.environ = []string{"TERM=" + c.kind}
		if f := d.terminalOf(c.w, c.h); f.State != c.state {
			t.Errorf("%+v: %+v", c, f)
		}
	}
	d.says(t, "terminal", Unknown)
}

func TestDoctorSeesTheClock(t *testing.T) {
	d := patient(t)
	for _, at := range []time.Time{time.Unix(0, 0), time.Date(2025, 12, 1, 0, 0, 0, 0, time.UTC), time.Now().Add(-time.Hour), time.Date(2101, 1, 1, 0, 0, 0, 0, time.UTC)} {
		d.a.cfg.Now = func() time.Time { return at }
		d.says(t, "clock", Bad, "timedatectl")
	}
}

func TestDoctorSeesAFullDisk(t *testing.T) {
	d := patient(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: a full disk needs a small tmpfs, and mounting one is not allowed here: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	d.a.cfg.Home = filepath.Join(dir, "not", "yet")
	d.says(t, "disk", Bad)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=100m"); err != nil {
		t.Fatal(err)
	}
	d.says(t, "disk", Warn)
}

func TestDoctorSeesSecretsThatAreDue(t *testing.T) {
	d := patient(t)
	d.says(t, "secrets.due", Unknown, "doctor --open")
	d.open(t)
	s := secret.Secret{Kind: secret.Note, Fields: map[string][]byte{"text": []byte("x")}, Rotate: time.Now().Add(time.Hour).Unix()}
	if err := d.a.PutSecret("old-token", s); err != nil {
		t.Fatal(err)
	}
	d.says(t, "secrets.due", Good)
	d.a.cfg.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	d.says(t, "secrets.due", Warn, "old-token")
}

// The keyring of a real desktop, which has no entry of this vault.
func TestDoctorAsksTheRealKeyring(t *testing.T) {
	if os.Getenv("CIPHERDECK_TEST_KEYRING") == "" {
		t.Skip("SKIPPED, NOT TESTED: no keyring of the tests' own; .ci/keyring-tests has one")
	}
	d := patient(t)
	d.a.cfg.Keyring = nil
	d.says(t, "keyring", Bad, "no entry of this vault")
	d.open(t)
	s, err := d.a.AddKeyring(t.Context(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.a.deleteEntry(context.Background(), s.Entry)
	for _, old := range d.file.Slots {
		if old.Type == vault.SlotKeyring {
			d.a.cfg.Keyring = &entry{} // its entry was never in the real one
			if err := d.a.RemoveSlot(t.Context(), old.ID); err != nil {
				t.Fatal(err)
			}
			d.a.cfg.Keyring = nil
		}
	}
	d.says(t, "keyring", Good, "answers")
}
