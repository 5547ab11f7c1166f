//go:build unix

package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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

// kills is how often each kind of work is killed.
const kills = 20

// kill -9 in a loop while a file or directory is replaced again and again: the
// old one or the new one is there and whole, never neither. A child process
// works for ever; it is killed when the unfinished file has grown to a part of
// its length that is another one each time, or has just got its name.
func TestKilledWhileWorking(t *testing.T) {
	for _, work := range []string{"seal", "seal directory", "recipients", "reseal", "open", "open directory"} {
		t.Run(work, func(t *testing.T) {
			dir := t.TempDir()
			contents := map[string][]byte{"odd": bytes.Repeat([]byte("odd "), 800_000), "even": bytes.Repeat([]byte("even"), 810_000)}
			for name, text := range contents {
				writeFile(t, filepath.Join(dir, name), text)
				os.Mkdir(filepath.Join(dir, "tree "+name), 0o700)
				writeFile(t, filepath.Join(dir, "tree "+name, "a"), text)
				for _, from := range []string{name, "tree " + name} {
					if err := SealFile(t.Context(), filepath.Join(dir, from+".sealed"), filepath.Join(dir, from), Meta{}, toEpoch, FileOptions{}); err != nil {
						t.Fatal(err)
					}
				}
			}
			box, _ := os.ReadFile(filepath.Join(dir, "odd.sealed"))
			place := filepath.Join(dir, "place")
			os.Mkdir(place, 0o700)
			if strings.HasPrefix(work, "open") {
				writeFile(t, filepath.Join(place, "out"), contents["odd"])
			} else {
				writeFile(t, filepath.Join(place, "out"), box)
			}
			if work == "open directory" {
				os.Remove(filepath.Join(place, "out"))
			}
			unfinished := 0
			for i := range kills {
				killAt(t, work, dir, int64(i)*int64(len(box))/kills)
				parts, _ := filepath.Glob(filepath.Join(place, ".cipherdeck-*.part"))
				unfinished += len(parts)
				for _, p := range parts {
					os.RemoveAll(p)
				}
				if err := wholeOut(t, work, place, contents); err != nil {
					t.Fatalf("kill %d: %v", i, err)
				}
			}
			t.Logf("%d of %d kills left an unfinished file", unfinished, kills)
			if unfinished == 0 {
				t.Log("no kill fell into the writing: this run shows little")
			}
		})
	}
}

// wholeOut checks that what has the name is one of the two contents.
func wholeOut(t *testing.T, work, place string, contents map[string][]byte) error {
	out := filepath.Join(place, "out")
	es, err := os.ReadDir(place)
	if err != nil || len(es) > 1 || work != "open directory" && len(es) == 0 {
		return fmt.Errorf("the directory holds %v: %v", es, err)
	}
	var got []byte
	switch work {
	case "open":
		got, err = os.ReadFile(out)
	case "open directory":
		if len(es) == 0 {
			return nil
		}
		got, err = os.ReadFile(filepath.Join(out, "a"))
	case "seal directory":
		if i, ierr := InspectFile(out); ierr == nil && !i.Archive() { // the file it began with
			got, _, err = openBytes(must(os.ReadFile(out)), epoch(1))
			break
		}
		tmp := filepath.Join(t.TempDir(), "x")
		if _, err = OpenFile(t.Context(), tmp, out, byEpoch, FileOptions{}); err == nil {
			got, err = os.ReadFile(filepath.Join(tmp, "a"))
		}
	default:
		got, _, err = openBytes(must(os.ReadFile(out)), epoch(1))
	}
	if err != nil || !bytes.Equal(got, contents["odd"]) && !bytes.Equal(got, contents["even"]) {
		return fmt.Errorf("%d bytes that are neither the old content nor the new: %v", len(got), err)
	}
	return nil
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// killAt starts the work and kills it when an unfinished file has so many
// bytes; with 0 when the first work is done.
func killAt(t *testing.T, work, dir string, size int64) {
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
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		c.Wait()
		t.Fatalf("%s: %v: %s", work, err, diag.String())
	}
	for tries := 0; size > 0 && tries < 1<<16 && unfinishedSize(filepath.Join(dir, "place")) < size; tries++ {
		runtime.Gosched()
	}
	c.Process.Kill()
	io.Copy(io.Discard, out)
	if c.Wait(); diag.Len() > 0 {
		t.Fatalf("%s: %s", work, diag.String())
	}
}

// unfinishedSize is the length of the unfinished file, -1 if there is none.
func unfinishedSize(place string) int64 {
	parts, _ := filepath.Glob(filepath.Join(place, ".cipherdeck-*.part"))
	for _, p := range parts {
		if st, err := os.Stat(p); err == nil && st.IsDir() {
			p = filepath.Join(p, "a")
		}
		if st, err := os.Stat(p); err == nil {
			return st.Size()
		}
	}
	return -1
}

// survivor is a child process's work, chosen by an environment variable; it
// goes on until it is killed, and says so after each piece.
func survivor(work, dir string) error {
	o := FileOptions{Force: true}
	out := filepath.Join(dir, "place", "out")
	for {
		for _, name := range []string{"even", "odd"} {
			if err := piece(work, dir, name, out, o); err != nil {
				return err
			}
			os.Stdout.WriteString(".")
		}
	}
}

func piece(work, dir, name, out string, o FileOptions) (err error) {
	ctx := context.Background()
	switch work {
	case "seal":
		return SealFile(ctx, out, filepath.Join(dir, name), Meta{}, toEpoch, o)
	case "seal directory":
		return SealFile(ctx, out, filepath.Join(dir, "tree "+name), Meta{}, toEpoch, o)
	case "open":
		_, err = OpenFile(ctx, out, filepath.Join(dir, name+".sealed"), byEpoch, o)
	case "open directory": // a directory is never replaced
		gone := filepath.Join(dir, "gone") // at once: a kill must not find half of it
		if err = os.Rename(out, gone); errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		if err = errors.Join(err, os.RemoveAll(gone)); err == nil {
			_, err = OpenFile(ctx, out, filepath.Join(dir, "tree "+name+".sealed"), byEpoch, o)
		}
	case "recipients":
		to := map[string][]Recipient{"odd": toEpoch, "even": {epoch(1), epoch(2)}}
		_, err = ReplaceRecipients(ctx, out, byEpoch, to[name], o)
	case "reseal":
		_, err = Reseal(ctx, out, byEpoch, toEpoch, o)
	default:
		err = fmt.Errorf("no work %q", work)
	}
	return err
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
