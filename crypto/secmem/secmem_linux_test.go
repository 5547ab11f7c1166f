package secmem

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// flagsOf is the kernel's own word on the pages at p (proc(5), VmFlags).
func flagsOf(t *testing.T, p []byte) string {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED: /proc/self/smaps: %v", err)
	}
	at, here := uint64(uintptr(unsafe.Pointer(&p[0]))), false
	for line := range strings.Lines(string(maps)) {
		from, rest, _ := strings.Cut(line, "-")
		to, _, _ := strings.Cut(rest, " ")
		lo, e1 := strconv.ParseUint(from, 16, 64)
		hi, e2 := strconv.ParseUint(to, 16, 64)
		if e1 == nil && e2 == nil {
			here = lo <= at && at < hi
		}
		if here && strings.HasPrefix(line, "VmFlags:") {
			return line
		}
	}
	return ""
}

func TestPagesAreLockedAndHidden(t *testing.T) {
	secret := bytes.Repeat([]byte{0xa5}, 32)
	b := New(secret)
	defer b.Wipe()
	got := b.Protection()
	if !got.Pages || !got.NoDump {
		t.Fatalf("%+v", got)
	}
	if !got.Locked {
		t.Log("SKIPPED: locking: the system does not allow it (RLIMIT_MEMLOCK)")
	}
	var flags string
	b.Use(func(s []byte) {
		if !bytes.Equal(s, secret) {
			t.Error("another secret")
		}
		flags = flagsOf(t, s) + " "
	})
	if !strings.Contains(flags, " dd ") || got.Locked && !strings.Contains(flags, " lo ") {
		t.Fatalf("the kernel says %q", flags)
	}
}

func TestWipe(t *testing.T) {
	for _, n := range []int{0, 1, 32, 5000} {
		b := New(bytes.Repeat([]byte{1}, n))
		b.Use(func(s []byte) {
			if len(s) != n || cap(s) != n {
				t.Errorf("%d bytes, capacity %d, want %d", len(s), cap(s), n)
			}
		})
		b.Wipe()
		b.Wipe()
		b.Use(func(s []byte) {
			if s != nil {
				t.Error("still there")
			}
		})
	}
}

// Memory that the system does not map is replaced by ordinary memory, which is
// overwritten.
func TestFallback(t *testing.T) {
	s := []byte{1, 2, 3}
	b := &Buffer{b: s}
	b.Wipe()
	if !bytes.Equal(s, make([]byte, 3)) || b.Protection() != (Protection{}) {
		t.Fatal(s)
	}
}

func TestNothingPrintsTheSecret(t *testing.T) {
	b := New([]byte("SECRET"))
	defer b.Wipe()
	for _, f := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(f, b); got != "secmem.Buffer(hidden)" {
			t.Errorf("%s: %s", f, got)
		}
	}
}

// All of the memory is locked where there is no limit, and otherwise nothing is
// done: in a child, which is not like others afterwards.
func TestLockAll(t *testing.T) {
	if os.Getenv("CIPHERDECK_LOCK_TEST") == "" {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe, "-test.run", "^TestLockAll$", "-test.v")
		cmd.Env = append(os.Environ(), "CIPHERDECK_LOCK_TEST=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if strings.Contains(string(out), "LOUD") {
			t.Skipf("%s", out)
		}
		return
	}
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: 1 << 16, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	if err := LockAll(); !errors.Is(err, ErrLimit) {
		t.Errorf("with a limit: %v", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}); err != nil {
		t.Skip("LOUD: nobody here may lock memory without limit, so that was not tried")
	}
	if err := LockAll(); err != nil {
		t.Fatal(err)
	}
	page := make([]byte, 1<<20)
	for i := range page {
		page[i] = 1
	}
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil || !regexp.MustCompile(`VmLck:\s+[1-9]\d{3,} kB`).Match(raw) {
		t.Errorf("not locked: %v\n%s", err, raw)
	}
	if page[0] != 1 {
		t.Error("lost")
	}
}

// Harden is tried in a child: it cannot be undone.
func TestHarden(t *testing.T) {
	if os.Getenv("CIPHERDECK_HARDEN_TEST") != "" {
		if err := Harden(); err != nil {
			t.Fatal(err)
		}
		dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		var core unix.Rlimit
		if e := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil || e != nil || dumpable != 0 || core.Cur != 0 {
			t.Fatalf("dumpable %d, core %d, %v %v", dumpable, core.Cur, err, e)
		}
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run", "^TestHarden$")
	cmd.Env = append(os.Environ(), "CIPHERDECK_HARDEN_TEST=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
