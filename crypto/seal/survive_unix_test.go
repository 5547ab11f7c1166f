//go:build unix

package seal

import (
	"bytes"

	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"cipherdeck/crypto/archive"
)

const survivorWork, survivorDir = "CIPHERDECK_TEST_WORK", "CIPHERDECK_TEST_DIR"

// TestMain makes the test program its own victim.
func TestMain(m *testing.M) {
	if work := os.Getenv(survivorWork); work != "" {
		if err := survivor(work, os.Getenv(survivorDir)); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// kill -9 in a loop while a container is replaced: the old one or the new one
// is there and verifies, never neither. The child is killed after it has
// reported n times, for each n until it gets to its end.
func TestKilledWhileSealing(t *testing.T) {
	for _, work := range []string{"seal", "seal directory", "recipients", "reseal"} {
		dir := t.TempDir()
		old, fresh := bytes.Repeat([]byte("old "), 300_000), bytes.Repeat([]byte("new!"), 300_000)
		writeFile(t, filepath.Join(dir, "old"), old)
		writeFile(t, filepath.Join(dir, "new"), fresh)
		os.Mkdir(filepath.Join(dir, "tree"), 0o700)
		writeFile(t, filepath.Join(dir, "tree", "a"), fresh)
		box := filepath.Join(dir, "box")
		if err := SealFile(t.Context(), box, filepath.Join(dir, "old"), Meta{}, toEpoch, FileOptions{}); err != nil {
			t.Fatal(err)
		}
		ended := false
		for n := 1; n <= 20 && !ended; n++ {
			ended = killAfter(t, work, dir, n)
			v, err := VerifyFile(t.Context(), box, byEpoch, FileOptions{})
			if err != nil || v.Size < 1_200_000 {
				t.Fatalf("%s, killed after %d reports: %+v %v", work, n, v, err)
			}
		}
		parts, _ := filepath.Glob(filepath.Join(dir, ".cipherdeck-*.part"))
		for _, p := range parts {
			os.Remove(p)
		}
		only(t, dir, "box", "new", "old", "tree")
		t.Logf("%s: %d unfinished files, to the end: %v", work, len(parts), ended)
	}
}

// killAfter runs the work and kills it after n reports; true if it ended first.
func killAfter(t *testing.T, work, dir string, n int) bool {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), survivorWork+"="+work, survivorDir+"="+dir)
	var diag strings.Builder
	c.Stderr = &diag
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	_, err = io.ReadFull(out, make([]byte, n))
	if err == nil {
		c.Process.Kill()
	}
	io.Copy(io.Discard, out)
	werr := c.Wait()
	if err != nil && werr != nil {
		t.Fatalf("%s: %v: %s", work, werr, diag.String())
	}
	return werr == nil
}

// Pipes must not be waited for, wherever they are.
func TestFIFO(t *testing.T) {
	dir := t.TempDir()
	fifo, tree := filepath.Join(dir, "fifo"), filepath.Join(dir, "tree")
	in := writeFile(t, filepath.Join(dir, "in"), []byte("x"))
	if err := errors.Join(syscall.Mkfifo(fifo, 0o600), os.Mkdir(tree, 0o700), syscall.Mkfifo(filepath.Join(tree, "fifo"), 0o600)); err != nil {
		t.Skip(err)
	}
	if err := SealFile(t.Context(), filepath.Join(dir, "out"), fifo, Meta{}, toEpoch, FileOptions{}); !errors.Is(err, ErrNotRegular) {
		t.Error(err)
	}
	if _, err := OpenFile(t.Context(), filepath.Join(dir, "out"), fifo, byEpoch, FileOptions{}); !errors.Is(err, ErrNotRegular) {
		t.Error(err)
	}
	if err := SealFile(t.Context(), fifo, in, Meta{}, toEpoch, FileOptions{Force: true}); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
	if err := SealFile(t.Context(), filepath.Join(dir, "out"), tree, Meta{}, toEpoch, FileOptions{}); !errors.Is(err, archive.ErrSpecial) || !strings.Contains(err.Error(), "fifo") {
		t.Error(err)
	}
	if _, err := AddRecipients(t.Context(), fifo, byEpoch, toEpoch, FileOptions{}); !errors.Is(err, ErrNotRegular) {
		t.Error(err)
	}
	only(t, dir, "fifo", "in", "tree")
}

// A hard link keeps the old recipients: replacing is not writing into.
func TestHardLinkKeepsTheOldContainer(t *testing.T) {
	path := sealedFile(t, []byte("hello"), epoch(1))
	other := path + ".link"
	if err := os.Link(path, other); err != nil {
		t.Skip(err)
	}
	if _, err := AddRecipients(t.Context(), path, byEpoch, []Recipient{epoch(2)}, FileOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := opens(t, other, "", epoch(2)); !errors.Is(err, ErrNotRecipient) {
		t.Error(err)
	}
	if err := opens(t, other, "hello", epoch(1)); err != nil {
		t.Error(err)
	}
}
