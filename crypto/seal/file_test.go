package seal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"cipherdeck/crypto/progress"
)

var (
	toEpoch = []Recipient{epoch(1)}
	byEpoch = []Identity{epoch(1)}
)

func writeFile(t *testing.T, name string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(name, b, 0o640); err != nil {
		t.Fatal(err)
	}
	return name
}

// only checks that dir holds these names and nothing half-written.
func only(t *testing.T, dir string, want ...string) {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range es {
		got = append(got, e.Name())
	}
	if len(got) != len(want) {
		t.Fatalf("directory holds %q, want %q", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("directory holds %q, want %q", got, want)
		}
	}
}

func TestFileRoundTrip(t *testing.T) {
	dir := t.TempDir()
	plain := bytes.Repeat([]byte("row\n"), 300_000)
	in, box, out := writeFile(t, filepath.Join(dir, "a.csv"), plain), filepath.Join(dir, "b.cdk"), filepath.Join(dir, "c.csv")
	when := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.Chtimes(in, when, when); err != nil {
		t.Fatal(err)
	}
	count := &counter{}
	if err := SealFile(t.Context(), box, in, Meta{Type: "text/csv"}, toEpoch, FileOptions{Sink: count}); err != nil {
		t.Fatal(err)
	}
	m, err := OpenFile(t.Context(), out, box, byEpoch, FileOptions{Sink: count})
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != "a.csv" || m.Size != int64(len(plain)) || m.Type != "text/csv" || !m.Modified().Equal(when) {
		t.Errorf("%+v", m)
	}
	if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, plain) {
		t.Error("content differs", err)
	}
	if n := count.n.Load(); n != int64(2*len(plain)) {
		t.Errorf("%d bytes reported, want %d", n, 2*len(plain))
	}
	for _, name := range []string{box, out} {
		if st, _ := os.Stat(name); runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, st.Mode())
		}
	}
	if st, _ := os.Stat(out); !st.ModTime().Equal(when) {
		t.Errorf("time %v, want %v", st.ModTime(), when)
	}
	only(t, dir, "a.csv", "b.cdk", "c.csv")
}

type counter struct {
	progress.Discard
	n atomic.Int64
}

func (c *counter) Add(n int64) { c.n.Add(n) }

// Damage at the very end is found after all other plaintext was written: it
// must not be seen under its name.
func TestNothingIsLeftOfABadContainer(t *testing.T) {
	dir := t.TempDir()
	in := writeFile(t, filepath.Join(dir, "a"), make([]byte, 600_000))
	box := filepath.Join(dir, "b")
	if err := SealFile(t.Context(), box, in, Meta{}, toEpoch, FileOptions{}); err != nil {
		t.Fatal(err)
	}
	sealed, _ := os.ReadFile(box)
	bad := bytes.Clone(sealed)
	bad[len(bad)-1] ^= 1
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"last byte": {bad, ErrAuth}, "cut": {sealed[:headerUnit+56+16400], ErrTruncated}, "empty": {nil, ErrNotContainer},
	} {
		writeFile(t, box, c.b)
		if _, err := OpenFile(t.Context(), filepath.Join(dir, "out"), box, byEpoch, FileOptions{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		only(t, dir, "a", "b")
	}
}

func TestOutputsThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	in := writeFile(t, filepath.Join(dir, "in"), []byte("precious"))
	there := writeFile(t, filepath.Join(dir, "there"), []byte("old"))
	hard, soft := filepath.Join(dir, "hard"), filepath.Join(dir, "soft")
	if err := errors.Join(os.Link(in, hard), os.Symlink(there, soft), os.Mkdir(filepath.Join(dir, "sub"), 0o700)); err != nil {
		t.Skip(err)
	}
	for name, c := range map[string]struct {
		out   string
		force bool
		want  error
	}{
		"there":                 {there, false, ErrExists},
		"same":                  {in, true, ErrSameFile},
		"same by another path":  {filepath.Join(dir, "sub", "..", "in"), true, ErrSameFile},
		"hard link of input":    {hard, true, ErrSameFile},
		"symbolic link":         {soft, true, ErrExists},
		"directory":             {dir, true, ErrExists},
		"device":                {os.DevNull, true, ErrExists},
		"directory not present": {filepath.Join(dir, "no", "x"), false, fs.ErrNotExist},
	} {
		if err := SealFile(t.Context(), c.out, in, Meta{}, toEpoch, FileOptions{Force: c.force}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if b, _ := os.ReadFile(in); string(b) != "precious" {
		t.Error("input changed")
	}
	if b, _ := os.ReadFile(there); string(b) != "old" {
		t.Error("output replaced without force")
	}
	if err := SealFile(t.Context(), there, in, Meta{}, toEpoch, FileOptions{Force: true}); err != nil {
		t.Error(err)
	}
	if b, _ := os.ReadFile(there); !bytes.HasPrefix(b, []byte(magic)) {
		t.Error("force does not replace")
	}
	only(t, dir, "hard", "in", "soft", "sub", "there")
}

func TestInputsThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string]error{
		dir: ErrNotRegular, os.DevNull: ErrNotRegular, filepath.Join(dir, "no"): fs.ErrNotExist,
	} {
		if name == dir { // a directory can be sealed, not opened
			want = ErrSameFile
		}
		if err := SealFile(t.Context(), filepath.Join(dir, "out"), name, Meta{}, toEpoch, FileOptions{}); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
		if name == dir {
			want = ErrNotRegular
		}
		if _, err := OpenFile(t.Context(), filepath.Join(dir, "out"), name, byEpoch, FileOptions{}); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	only(t, dir)
}

// A file that appears between the check and the end is not replaced.
func TestOutputThatAppearsMeanwhile(t *testing.T) {
	dir := t.TempDir()
	in, out := writeFile(t, filepath.Join(dir, "in"), []byte("x")), filepath.Join(dir, "out")
	st, _ := os.Stat(in)
	err := writeWhole(out, st, false, func(f *os.File) error {
		writeFile(t, out, []byte("theirs"))
		return nil
	})
	if b, _ := os.ReadFile(out); !errors.Is(err, ErrExists) || string(b) != "theirs" {
		t.Errorf("%v, %q", err, b)
	}
	only(t, dir, "in", "out")
}

// stopper cancels when the first bytes have gone through.
type stopper struct {
	progress.Discard
	cancel context.CancelFunc
}

func (s stopper) Add(int64) { s.cancel() }

func TestCancelLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	in, box := writeFile(t, filepath.Join(dir, "in"), make([]byte, 4<<20)), filepath.Join(dir, "out")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := SealFile(ctx, box, in, Meta{}, toEpoch, FileOptions{Sink: stopper{cancel: cancel}}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	only(t, dir, "in")
	if err := SealFile(t.Context(), box, in, Meta{}, toEpoch, FileOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	if _, err := OpenFile(ctx, box+".plain", box, byEpoch, FileOptions{Sink: stopper{cancel: cancel}}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	only(t, dir, "in", "out")
}

func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	plain := make([]byte, 3<<20)
	if err := Seal(t.Context(), full, bytes.NewReader(plain), Meta{Size: SizeUnknown}, toEpoch, nil); err == nil {
		t.Error("a full disk is not noticed when sealing")
	}
	r, err := Open(bytes.NewReader(sealBytes(t, plain, Meta{Size: SizeUnknown}, epoch(1))), epoch(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Copy(t.Context(), full, nil); err == nil {
		t.Error("a full disk is not noticed when opening")
	}
}

// A file that is written to while it is read is not sealed: longer, shorter, or
// as long as before.
func TestSourceThatChanges(t *testing.T) {
	for name, change := range map[string]func(in string) error{
		"grows":   func(in string) error { return os.WriteFile(in, make([]byte, 3<<20+4), 0o600) },
		"shrinks": func(in string) error { return os.Truncate(in, 1<<20) },
		"emptied": func(in string) error { return os.Truncate(in, 0) },
		"rewritten": func(in string) error {
			return errors.Join(os.WriteFile(in, bytes.Repeat([]byte{1}, 3<<20), 0o600), os.Chtimes(in, time.Time{}, time.Now().Add(time.Hour)))
		},
	} {
		for _, o := range []FileOptions{{}, {Pad: true}, {CBC: true}} {
			dir := t.TempDir()
			in := writeFile(t, filepath.Join(dir, "in"), make([]byte, 3<<20))
			o.Sink = atPhase{do: func() {
				if err := change(in); err != nil {
					t.Error(err)
				}
			}}
			if err := SealFile(t.Context(), filepath.Join(dir, "out"), in, Meta{}, toEpoch, o); !errors.Is(err, ErrChanged) {
				t.Errorf("%s, %+v: %v", name, o.flags(), err)
			}
			only(t, dir, "in")
		}
	}
}

// atPhase is a sink that does something when work begins.
type atPhase struct {
	progress.Discard
	do func()
}

func (f atPhase) Phase(string, int64, progress.Unit) { f.do() }

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	out, broken := filepath.Join(dir, "out"), errors.New("broken pipe")
	fill := func(s string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			_, werr := io.WriteString(w, s)
			return errors.Join(werr, err)
		}
	}
	if err := WriteFile(out, false, fill("half", broken)); !errors.Is(err, broken) {
		t.Error(err)
	}
	only(t, dir)
	if err := WriteFile(out, false, fill("first", nil)); err != nil {
		t.Error(err)
	}
	if err := WriteFile(out, false, fill("second", nil)); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
	if b, _ := os.ReadFile(out); string(b) != "first" {
		t.Errorf("%q", b)
	}
	only(t, dir, "out")
}
