package seal

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Mail programs, FTP in text mode and version control change line ends. The
// first bytes are made to show it.
func TestCRLFDamage(t *testing.T) {
	sealed := sealBytes(t, bytes.Repeat([]byte("\r\n\n\r"), 1000), Meta{Size: 4000}, epoch(1))
	for name, change := range map[string]*strings.Replacer{
		"LF to CRLF":      strings.NewReplacer("\n", "\r\n"),
		"CRLF to LF":      strings.NewReplacer("\r\n", "\n"),
		"CR to LF":        strings.NewReplacer("\r", "\n"),
		"cut at Ctrl-Z":   strings.NewReplacer(string(sealed[6:]), ""),
		"top bit lost":    strings.NewReplacer("\x89", "\x09"),
		"UTF-8 encoded":   strings.NewReplacer("\x89", "\u0089"),
		"byte order mark": strings.NewReplacer(magic, "\ufeff"+magic),
	} {
		if _, _, err := openBytes([]byte(change.Replace(string(sealed))), epoch(1)); !errors.Is(err, ErrNotContainer) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A name that is not UTF-8 is stored so that it can be printed; the file itself
// is found by its bytes.
func TestNameThatIsNotUTF8(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "caf\xe9\xff")
	if err := os.WriteFile(in, []byte("x"), 0o600); err != nil {
		t.Skip(err)
	}
	for k, from := range []string{in, dir} {
		box, out := filepath.Join(t.TempDir(), "box\xe9"), filepath.Join(t.TempDir(), "out\xe9")
		if err := SealFile(t.Context(), box, from, Meta{}, toEpoch, FileOptions{}); err != nil {
			t.Fatal(err)
		}
		m, err := OpenFile(t.Context(), out, box, byEpoch, FileOptions{})
		if err != nil || k == 0 && m.Name != "caf__" {
			t.Errorf("%+v %v", m, err)
		}
		if k == 1 {
			if b, err := os.ReadFile(filepath.Join(out, "caf\xe9\xff")); err != nil || string(b) != "x" {
				t.Errorf("%q %v", b, err)
			}
		}
	}
}

// A file with holes is sealed as what it reads as, and comes back the same.
func TestSparseFile(t *testing.T) {
	const size = 40<<20 + 77
	dir := t.TempDir()
	in, box, out := filepath.Join(dir, "in"), filepath.Join(dir, "box"), filepath.Join(dir, "out")
	f, err := os.Create(in)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, size)
	for _, at := range []int64{0, 17<<20 + 5, size - 4} {
		copy(want[at:], "data")
		if _, err := f.WriteAt([]byte("data"), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, o := range []FileOptions{{Force: true}, {Force: true, Pad: true}} {
		if err := SealFile(t.Context(), box, in, Meta{}, toEpoch, o); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenFile(t.Context(), out, box, byEpoch, o); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%+v: %d bytes, %v", o, len(got), err)
		}
	}
}

// slow skips what takes too long for every run.
func slow(t *testing.T, needs string) {
	t.Helper()
	if os.Getenv("CIPHERDECK_SLOW") == "" {
		t.Skipf("SKIPPED, NOT TESTED: %s; run: make test-slow", needs)
	}
}

// More than 4 GiB on a disk, as a file and in a directory with a small file
// after it. The file is sparse, the container is not. The short forms of it are
// TestParallelMoreThan4GiB of cobblestone and TestMoreThan4GiB of archive.
func TestMoreThan4GiB(t *testing.T) {
	slow(t, "containers of more than 4 GiB on a disk, which needs 9 GiB in TMPDIR")
	const size = 4<<30 + 12345
	tmp := t.TempDir()
	dir := filepath.Join(tmp, "dir")
	in := filepath.Join(dir, "big")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(in, nil, 0o600), os.Truncate(in, size-4)); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(in, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(f, "end.")
	if err := errors.Join(err, f.Close(), os.WriteFile(filepath.Join(dir, "later"), []byte("small"), 0o600)); err != nil {
		t.Fatal(err)
	}
	box := filepath.Join(tmp, "box")
	for _, from := range []string{in, dir} {
		if err := SealFile(t.Context(), box, from, Meta{}, toEpoch, FileOptions{Force: true, Pad: from == dir}); err != nil {
			t.Fatal(err)
		}
		if v, err := VerifyFile(t.Context(), box, byEpoch, FileOptions{}); err != nil || v.Size < size {
			t.Errorf("%+v %v", v, err)
		}
		b, err := os.Open(box)
		if err != nil {
			t.Fatal(err)
		}
		st, _ := b.Stat()
		if from == in {
			r, _, err := OpenAt(b, st.Size(), epoch(1))
			if err != nil || r.Size() != size {
				t.Fatal(err)
			}
			tail := make([]byte, 8)
			if _, err := r.ReadAt(tail, size-8); err != nil || string(tail) != "\x00\x00\x00\x00end." {
				t.Errorf("%q %v", tail, err)
			}
		}
		b.Close()
	}
	out := filepath.Join(tmp, "later")
	if _, err := ExtractMember(t.Context(), out, box, "later", byEpoch, FileOptions{}); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(out); string(b) != "small" {
		t.Errorf("%q", b)
	}
}
