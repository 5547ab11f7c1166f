package seal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"cipherdeck/crypto/archive"
)

// madeDir is a small directory; its files are returned too.
func madeDir(t *testing.T) (string, map[string]string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "study")
	files := map[string]string{"a.csv": "x,y\n", "img/1.raw": strings.Repeat("pixel", 60_000), "img/2.raw": "", "deep/er/still": "z"}
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(text), 0o640)); err != nil {
			t.Fatal(err)
		}
	}
	return dir, files
}

func sameFiles(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		n++
		rel, _ := filepath.Rel(dir, p)
		b, err := os.ReadFile(p)
		if text, there := want[filepath.ToSlash(rel)]; !there || text != string(b) {
			t.Errorf("%s differs", rel)
		}
		return err
	})
	if err != nil || n != len(want) {
		t.Errorf("%d files, want %d; %v", n, len(want), err)
	}
}

func TestDirectoryRoundTrip(t *testing.T) {
	for i := range 4 {
		pad, cbc := i%2 == 1, i > 1
		dir, files := madeDir(t)
		box, out := filepath.Join(t.TempDir(), "box"), filepath.Join(t.TempDir(), "out")
		count := &counter{}
		if err := SealFile(t.Context(), box, dir, Meta{}, toEpoch, FileOptions{Pad: pad, CBC: cbc, Sink: count}); err != nil {
			t.Fatal(err)
		}
		m, err := OpenFile(t.Context(), out, box, byEpoch, FileOptions{Sink: count})
		if err != nil || m.Name != "study" || m.Size != SizeUnknown {
			t.Fatalf("%+v %v", m, err)
		}
		sameFiles(t, out, files)
		if n := count.n.Load(); n != 2*300_005 {
			t.Errorf("%d bytes reported", n)
		}
		st, _ := os.Stat(out)
		if runtime.GOOS != "windows" && (st.Mode().Perm() != 0o700 || !st.ModTime().Equal(m.Modified())) {
			t.Errorf("%v %v", st.Mode(), st.ModTime())
		}
		if _, err := OpenFile(t.Context(), out, box, byEpoch, FileOptions{Force: true}); !errors.Is(err, ErrExists) {
			t.Error("a directory is replaced:", err)
		}
		only(t, filepath.Dir(out), "out")
		only(t, filepath.Dir(box), "box")
		f, _ := os.Open(box)
		defer f.Close()
		stream := filepath.Join(t.TempDir(), "stream")
		if _, err := OpenStream(t.Context(), stream, io.MultiReader(f), byEpoch, FileOptions{}); err != nil {
			t.Error(err)
		}
		sameFiles(t, stream, files)
		f.Seek(0, io.SeekStart)
		if i, err := Inspect(f); err != nil || !i.Archive() || i.Padded() != pad || i.CBC() != cbc {
			t.Errorf("%+v %v", i, err)
		}
	}
}

func TestOneFileOfADirectory(t *testing.T) {
	dir, files := madeDir(t)
	tmp := t.TempDir()
	box := filepath.Join(tmp, "box")
	if err := SealFile(t.Context(), box, dir, Meta{}, toEpoch, FileOptions{Pad: true}); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(box)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, _ := f.Stat()
	a, _, err := OpenArchive(f, st.Size(), epoch(1))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for e, err := range a.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, e.Path)
	}
	if got := strings.Join(names, " "); got != "a.csv deep deep/er deep/er/still img img/1.raw img/2.raw" {
		t.Error(got)
	}
	one, part := filepath.Join(tmp, "one"), filepath.Join(tmp, "part")
	if e, err := ExtractMember(t.Context(), one, box, "a.csv", byEpoch, FileOptions{}); err != nil || e.Size != 4 {
		t.Error(e, err)
	}
	if b, _ := os.ReadFile(one); string(b) != "x,y\n" {
		t.Errorf("%q", b)
	}
	if _, err := ExtractMember(t.Context(), part, box, "img", byEpoch, FileOptions{}); err != nil {
		t.Error(err)
	}
	sameFiles(t, part, map[string]string{"1.raw": files["img/1.raw"], "2.raw": ""})
	for member, want := range map[string]error{"no": fs.ErrNotExist, "../study/a.csv": fs.ErrNotExist, "": fs.ErrNotExist} {
		if _, err := ExtractMember(t.Context(), filepath.Join(tmp, "x"), box, member, byEpoch, FileOptions{}); !errors.Is(err, want) {
			t.Errorf("%q: %v", member, err)
		}
	}
	if _, err := ExtractMember(t.Context(), one, box, "a.csv", byEpoch, FileOptions{}); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
	file := sealedFile(t, []byte("x"), epoch(1))
	if _, err := ExtractMember(t.Context(), filepath.Join(tmp, "x"), file, "a", byEpoch, FileOptions{}); !errors.Is(err, ErrNotArchive) {
		t.Error(err)
	}
	only(t, tmp, "box", "one", "part")
}

// Damage that is only found at the end of a directory: nothing is left of it.
func TestNothingIsLeftOfABadDirectory(t *testing.T) {
	dir, _ := madeDir(t)
	tmp := t.TempDir()
	box := filepath.Join(tmp, "box")
	os.Chmod(filepath.Join(dir, "img"), 0o500)
	defer os.Chmod(filepath.Join(dir, "img"), 0o700)
	if err := SealFile(t.Context(), box, dir, Meta{}, toEpoch, FileOptions{}); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(box)
	b[len(b)-1] ^= 1
	writeFile(t, box, b)
	if _, err := OpenFile(t.Context(), filepath.Join(tmp, "out"), box, byEpoch, FileOptions{}); !errors.Is(err, ErrAuth) {
		t.Error(err)
	}
	only(t, tmp, "box")
}

// A recipient may write any archive into a container: nothing leaves out.
func TestHostileArchiveInAContainer(t *testing.T) {
	for name, content := range map[string]string{"not an archive": "hello", "empty": "", "only the beginning": "CDKARC\x00\x01"} {
		tmp := t.TempDir()
		box := filepath.Join(tmp, "box")
		var b bytes.Buffer
		err := sealWith(&b, Meta{Size: SizeUnknown}, toEpoch, flagArchive, func(w payload) error {
			_, err := io.WriteString(w, content)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, box, b.Bytes())
		if _, err := OpenFile(t.Context(), filepath.Join(tmp, "out"), box, byEpoch, FileOptions{}); !errors.Is(err, archive.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := OpenArchive(bytes.NewReader(b.Bytes()), int64(b.Len()), epoch(1)); !errors.Is(err, archive.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
		only(t, tmp, "box")
	}
}

func TestOutputInsideTheDirectory(t *testing.T) {
	dir, _ := madeDir(t)
	link := filepath.Join(t.TempDir(), "link")
	os.Symlink(filepath.Join(dir, "deep"), link)
	for _, out := range []string{filepath.Join(dir, "box"), filepath.Join(dir, "deep", "er", "box"), filepath.Join(link, "box")} {
		if err := SealFile(t.Context(), out, dir, Meta{}, toEpoch, FileOptions{}); !errors.Is(err, ErrSameFile) {
			t.Errorf("%s: %v", out, err)
		}
	}
	if err := SealFile(t.Context(), dir+".box", dir, Meta{}, toEpoch, FileOptions{}); err != nil {
		t.Error(err)
	}
}

// 100 000 files on a disk, in and out.
func TestHundredThousandFilesOnDisk(t *testing.T) {
	slow(t, "a directory of 100 000 files on a disk")
	tmp := t.TempDir()
	dir, box, out := filepath.Join(tmp, "dir"), filepath.Join(tmp, "box"), filepath.Join(tmp, "out")
	for i := range 100_000 {
		sub := filepath.Join(dir, fmt.Sprintf("%03d", i/1000))
		if i%1000 == 0 {
			os.MkdirAll(sub, 0o700)
		}
		writeFile(t, filepath.Join(sub, fmt.Sprint(i)), []byte(fmt.Sprint(i)))
	}
	if err := SealFile(t.Context(), box, dir, Meta{}, toEpoch, FileOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFile(t.Context(), out, box, byEpoch, FileOptions{}); err != nil {
		t.Fatal(err)
	}
	for i := range 100_000 {
		if b, err := os.ReadFile(filepath.Join(out, fmt.Sprintf("%03d", i/1000), fmt.Sprint(i))); err != nil || string(b) != fmt.Sprint(i) {
			t.Fatalf("%d: %q %v", i, b, err)
		}
	}
}

// 100 000 files as entries of one archive; on a disk they take longer than a
// test should (TestHundredThousandFilesOnDisk).
func TestHundredThousandFiles(t *testing.T) {
	const files = 100_000
	var b bytes.Buffer
	err := sealWith(&b, Meta{Size: SizeUnknown}, toEpoch, flagArchive, func(dst payload) error {
		w, err := archive.NewWriter(dst)
		if err != nil {
			return err
		}
		for i := range files {
			if i%1000 == 0 {
				if err := w.Add(archive.Entry{Path: fmt.Sprintf("d%03d", i/1000), Kind: archive.Dir, Mode: 0o755}, nil); err != nil {
					return err
				}
			}
			text := fmt.Sprint(i)
			e := archive.Entry{Path: fmt.Sprintf("d%03d/%06d", i/1000, i), Mode: 0o644, ModTime: int64(i), Size: int64(len(text))}
			if err := w.Add(e, strings.NewReader(text)); err != nil {
				return err
			}
		}
		return w.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	a, _, err := OpenArchive(bytes.NewReader(b.Bytes()), int64(b.Len()), epoch(1))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range a.Entries() {
		if n++; err != nil {
			t.Fatal(err)
		}
	}
	if n != files+100 {
		t.Errorf("%d entries", n)
	}
	e, err := a.Find("d077/077777")
	if err != nil {
		t.Fatal(err)
	}
	data, err := a.Open(e)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(data); err != nil || string(got) != "77777" {
		t.Errorf("%q %v", got, err)
	}
}
