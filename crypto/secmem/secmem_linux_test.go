package secmem

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
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
