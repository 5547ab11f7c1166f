package archive

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"testing"
	"time"

	"cipherdeck/crypto/doc"
)

// made is a directory with a bit of everything.
func made(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.txt": "A", "a/b": "AB", "a/c/d": strings.Repeat("d", 100_000), "a-b": "", "z/run.sh": "#!", "ü/ß": "ss", "new\nline": "n",
	} {
		p := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(text), 0o644)); err != nil {
			t.Skip(err)
		}
	}
	when := time.Date(2001, 2, 3, 4, 5, 6, 7000, time.UTC)
	err := errors.Join(os.Mkdir(filepath.Join(dir, "empty"), 0o755), os.Symlink("c/d", filepath.Join(dir, "a", "link")),
		os.Symlink("../z", filepath.Join(dir, "a", "up")), os.Chmod(filepath.Join(dir, "z", "run.sh"), 0o750),
		os.Chtimes(filepath.Join(dir, "a.txt"), when, when), os.Chtimes(filepath.Join(dir, "empty"), when, when),
		os.Chmod(filepath.Join(dir, "empty"), 0o555))
	if err != nil {
		t.Skip(err)
	}
	return dir
}

// listing is everything about a directory that an archive keeps.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		fmt.Fprintf(&b, "%q %v", rel, st.Mode())
		switch {
		case st.Mode()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(p)
			fmt.Fprintf(&b, " -> %s", to)
		case st.IsDir():
			fmt.Fprintf(&b, " %d", st.ModTime().UnixNano())
		default:
			c, _ := os.ReadFile(p)
			fmt.Fprintf(&b, " %d %d %x", st.ModTime().UnixNano(), len(c), c[:min(len(c), 9)])
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func pack(t *testing.T, dir string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Pack(t.Context(), &b, dir, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestTreeRoundTrip(t *testing.T) {
	dir, out := made(t), t.TempDir()
	b := pack(t, dir)
	if err := Extract(t.Context(), out, bytes.NewReader(b), nil); err != nil {
		t.Fatal(err)
	}
	if got, want := listing(t, out), listing(t, dir); got != want {
		t.Errorf("restored:\n%s\nwant:\n%s", got, want)
	}
	if again := pack(t, dir); !bytes.Equal(again, b) {
		t.Error("the same directory gives another archive")
	}
}

func TestListAndReadOne(t *testing.T) {
	b := pack(t, made(t))
	src := &counting{r: bytes.NewReader(b)}
	r, err := NewReader(src, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for e, err := range r.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, e.String())
	}
	want := `a a/b a/c a/c/d a/link a/up a-b a.txt empty "new\nline" z z/run.sh ü ü/ß`
	if got := strings.Join(names, " "); got != want || r.Len() != uint64(len(names)) {
		t.Errorf("%s, want %s", got, want)
	}
	e, err := r.Find("a/b")
	if err != nil {
		t.Fatal(err)
	}
	data, err := r.Open(e)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(data); err != nil || string(got) != "AB" {
		t.Errorf("%q %v", got, err)
	}
	if src.n > int64(len(b))/10 {
		t.Errorf("read %d of %d bytes to get 2", src.n, len(b))
	}
	if _, err := r.Find("a/c/nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	out := t.TempDir()
	if err := r.ExtractDir(t.Context(), out, "a/c", nil); err != nil {
		t.Error(err)
	}
	if got := listing(t, out); !strings.HasPrefix(got, `"d" `) || strings.Count(got, "\n") != 1 {
		t.Error(got)
	}
	if err := r.ExtractDir(t.Context(), t.TempDir(), "a", nil); !errors.Is(err, ErrLink) {
		t.Error("a link out of the part that is extracted:", err)
	}
}

type counting struct {
	r io.ReaderAt
	n int64
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n += int64(n)
	return n, err
}

// raw makes an archive of entries that a Writer might refuse.
func raw(entries ...Entry) []byte {
	b, index := []byte(magic), []byte(nil)
	for _, e := range entries {
		h, err := doc.Encode(wire{[]byte(e.Path), e.Kind, e.Mode, e.ModTime, e.Size, []byte(e.Target)})
		if err != nil {
			panic(err)
		}
		b = append(b, doc.LP(h)...)
		index = binary.BigEndian.AppendUint64(append(index, doc.LP(h)...), uint64(len(b)))
		b = append(b, bytes.Repeat([]byte{'x'}, int(max(e.Size, 0)))...)
	}
	b = append(b, 0, 0, 0, 0)
	at := len(b)
	b = binary.BigEndian.AppendUint64(append(b, index...), uint64(at))
	return append(binary.BigEndian.AppendUint64(b, uint64(len(entries))), magic...)
}

// Whatever the archive holds, nothing appears beside the directory it is
// restored into, and the error says what was wrong.
func TestHostileArchives(t *testing.T) {
	dir := func(p string) Entry { return Entry{Path: p, Kind: Dir, Mode: 0o755} }
	file := func(p string) Entry { return Entry{Path: p, Size: 1} }
	link := func(p, to string) Entry { return Entry{Path: p, Kind: Link, Target: to} }
	for name, c := range map[string]struct {
		es   []Entry
		want error
	}{
		"up":                   {[]Entry{file("../evil")}, ErrPath},
		"up inside":            {[]Entry{dir("a"), file("a/../../evil")}, ErrPath},
		"absolute":             {[]Entry{file("/evil")}, ErrPath},
		"empty":                {[]Entry{file("")}, ErrPath},
		"dot":                  {[]Entry{file("./evil")}, ErrPath},
		"double slash":         {[]Entry{dir("a"), file("a//evil")}, ErrPath},
		"NUL":                  {[]Entry{file("evil\x00")}, ErrPath},
		"long name":            {[]Entry{file(strings.Repeat("n", 256))}, ErrPath},
		"long path":            {[]Entry{file(strings.Repeat("n/", 2048) + "n")}, ErrPath},
		"twice":                {[]Entry{file("a"), file("a")}, ErrFormat},
		"out of order":         {[]Entry{file("b"), file("a")}, ErrFormat},
		"no parent":            {[]Entry{file("a/b")}, ErrFormat},
		"file as parent":       {[]Entry{file("a"), file("a/b")}, ErrFormat},
		"link as parent":       {[]Entry{link("a", "."), file("a/b")}, ErrFormat},
		"parent closed":        {[]Entry{dir("a"), file("a.b"), file("a/b")}, ErrFormat},
		"absolute link":        {[]Entry{link("a", "/etc")}, ErrLink},
		"link up":              {[]Entry{link("a", "..")}, ErrLink},
		"link up and down":     {[]Entry{dir("a"), link("a/b", "../../x")}, ErrLink},
		"link up in the midst": {[]Entry{link("a", "."), link("b", "a/..")}, ErrLink},
		"link to nothing":      {[]Entry{link("a", "")}, ErrLink},
		"link with NUL":        {[]Entry{link("a", "b\x00")}, ErrLink},
		"kind":                 {[]Entry{{Path: "a", Kind: 3}}, ErrFormat},
		"setuid":               {[]Entry{{Path: "a", Mode: 0o4755}}, ErrFormat},
		"negative size":        {[]Entry{{Path: "a", Size: -1}}, ErrFormat},
		"directory with data":  {[]Entry{{Path: "a", Kind: Dir, Size: 1}}, ErrFormat},
		"target of a file":     {[]Entry{{Path: "a", Target: "b"}}, ErrFormat},
	} {
		parent := t.TempDir()
		out := filepath.Join(parent, "out")
		os.Mkdir(out, 0o700)
		b := raw(c.es...)
		if err := Extract(t.Context(), out, bytes.NewReader(b), nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if es, _ := os.ReadDir(parent); len(es) != 1 {
			t.Errorf("%s: wrote outside: %v", name, es)
		}
		r, err := NewReader(bytes.NewReader(b), int64(len(b)))
		for _, e := range r.Entries() {
			err = errors.Join(err, e)
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s, listed: %v, want %v", name, err, c.want)
		}
		w, err := NewWriter(io.Discard)
		for _, e := range c.es {
			err = errors.Join(err, w.Add(e, strings.NewReader("x")))
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s, written: %v, want %v", name, err, c.want)
		}
	}
}

// A directory that already has a link where the archive has a directory must
// not lead out of it either: os.Root is the second fence.
func TestRestoreDoesNotFollowLinks(t *testing.T) {
	out, elsewhere := t.TempDir(), t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(out, "a")); err != nil {
		t.Skip(err)
	}
	b := raw(Entry{Path: "a", Kind: Dir}, Entry{Path: "a/b", Size: 1})
	if err := Extract(t.Context(), out, bytes.NewReader(b), nil); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
	if es, _ := os.ReadDir(elsewhere); len(es) != 0 {
		t.Error("wrote through a link")
	}
}

// Every byte and every cut is noticed by a pass over the whole, or does not
// matter: names and data are not checked here, the container does that.
func TestDamagedStructure(t *testing.T) {
	good := raw(Entry{Path: "a", Kind: Dir}, Entry{Path: "a/b", Size: 3}, Entry{Path: "c", Kind: Link, Target: "a"})
	read := func(b []byte) error {
		s, err := NewStream(bytes.NewReader(b))
		for err == nil {
			_, err = s.Next()
		}
		return err
	}
	if err := read(good); err != io.EOF {
		t.Fatal(err)
	}
	for n := range good {
		if err := read(good[:n]); !errors.Is(err, ErrFormat) {
			t.Errorf("cut to %d: %v", n, err)
		}
	}
	if err := read(append(bytes.Clone(good), 0)); !errors.Is(err, ErrFormat) {
		t.Error("longer:", err)
	}
	at := bytes.Index(good, []byte("xxx"))
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if err := read(bad); (err == io.EOF) != (i >= at && i < at+3) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
}

// An index that lists another file than the data hold is refused by both ways
// of reading.
func TestIndexThatLies(t *testing.T) {
	good := raw(Entry{Path: "harmless", Size: 1})
	bad := bytes.Clone(good)
	copy(bad[bytes.LastIndex(bad, []byte("harmless")):], "precious")
	if err := Extract(t.Context(), t.TempDir(), bytes.NewReader(bad), nil); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
	r, err := NewReader(bytes.NewReader(bad), int64(len(bad)))
	if err != nil {
		t.Fatal(err)
	}
	e, err := r.Find("precious")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Open(e); !errors.Is(err, ErrFormat) {
		t.Error(err)
	}
}

func TestNamesThatAreNotUTF8(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system has no such names")
	}
	dir, out := t.TempDir(), t.TempDir()
	name := "caf\xe9\xff"
	if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
		t.Skip(err)
	}
	if err := Extract(t.Context(), out, bytes.NewReader(pack(t, dir)), nil); err != nil {
		t.Fatal(err)
	}
	es, _ := os.ReadDir(out)
	if len(es) != 1 || es[0].Name() != name {
		t.Errorf("%q", es)
	}
	if got := (Entry{Path: name}).String(); got != `"caf\xe9\xff"` {
		t.Error(got)
	}
}

func TestPackRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "out")); err != nil {
		t.Skip(err)
	}
	if err := Pack(t.Context(), io.Discard, dir, nil); !errors.Is(err, ErrLink) || !strings.Contains(err.Error(), "passwd") {
		t.Error(err)
	}
	if err := Pack(t.Context(), io.Discard, filepath.Join(dir, "no"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Pack(ctx, io.Discard, t.TempDir(), nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A file that shrinks or grows while it is read is named.
func TestFileThatChanges(t *testing.T) {
	w, err := NewWriter(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(Entry{Path: "a", Size: 5}, strings.NewReader("1234")); !errors.Is(err, ErrChanged) {
		t.Error(err)
	}
	dir := t.TempDir()
	name := filepath.Join(dir, "a")
	os.WriteFile(name, []byte("12345"), 0o600)
	grow := writerFunc(func(p []byte) (int, error) {
		if string(p) == "12345" {
			os.WriteFile(name, []byte("1234567"), 0o600)
		}
		return len(p), nil
	})
	if err := Pack(t.Context(), grow, dir, nil); !errors.Is(err, ErrChanged) {
		t.Error(err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestOrder(t *testing.T) {
	paths := []string{"a", "a/b", "a/b/c", "a/b-c", "a/bc", "a b", "a-", "a.txt", "aa", "b"}
	for i, p := range paths {
		for j, q := range paths {
			if before(p, q) != (i < j) {
				t.Errorf("%q before %q: %v", p, q, before(p, q))
			}
		}
	}
	sort.Slice(paths, func(i, j int) bool { return before(paths[j], paths[i]) })
}

func FuzzStream(f *testing.F) {
	f.Add(raw(Entry{Path: "a", Kind: Dir}, Entry{Path: "a/b", Size: 3}, Entry{Path: "c", Kind: Link, Target: "a/b"}))
	f.Add(raw(Entry{Path: "../a"}))
	f.Add(raw())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := NewStream(bytes.NewReader(b))
		var paths []string
		for err == nil {
			var e Entry
			if e, err = s.Next(); err == nil {
				paths = append(paths, e.Path)
			}
		}
		if err != io.EOF {
			return
		}
		r, err := NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal("reads in one pass and not by index:", err)
		}
		i := 0
		for e, err := range r.Entries() {
			if err != nil || i >= len(paths) || e.Path != paths[i] {
				t.Fatalf("entry %d is %q by index: %v", i, e.Path, err)
			}
			if _, err := r.Open(e); err != nil {
				t.Fatal(err)
			}
			if i++; !fs.ValidPath(e.Path) && strings.ToValidUTF8(e.Path, "") == e.Path {
				t.Fatalf("path %q", e.Path)
			}
		}
		if i != len(paths) {
			t.Fatalf("%d entries by index, %d in one pass", i, len(paths))
		}
	})
}

// Offsets that do not fit 32 bits: a file of more than 4 GiB and a small one
// after it, without a disk that holds them. What was written is zero but for
// both ends.
func TestMoreThan4GiB(t *testing.T) {
	const size = 4<<30 + 12345
	dst := &endsOf{from: size}
	w, err := NewWriter(dst)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Add(Entry{Path: "big", Size: size}, zeros{}), w.Add(Entry{Path: "later", Size: 5}, strings.NewReader("small")), w.Close()); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(dst, dst.n)
	if err != nil {
		t.Fatal(err)
	}
	e, err := r.Find("later")
	if err != nil {
		t.Fatal(err)
	}
	data, err := r.Open(e)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(data); err != nil || string(got) != "small" {
		t.Errorf("%q %v", got, err)
	}
	s, err := NewStream(io.NewSectionReader(dst, 0, dst.n))
	var sizes []int64
	for err == nil {
		var e Entry
		if e, err = s.Next(); err == nil {
			sizes = append(sizes, e.Size)
		}
	}
	if err != io.EOF || len(sizes) != 2 || sizes[0] != size {
		t.Errorf("%v %v", sizes, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// endsOf keeps the first 4 KiB and what comes after from; the rest is zero.
type endsOf struct {
	from, n    int64
	head, tail []byte
}

func (d *endsOf) Write(p []byte) (int, error) {
	d.head = append(d.head, p[:min(len(p), 4096-len(d.head))]...)
	if skip := d.from - d.n; skip < int64(len(p)) {
		d.tail = append(d.tail, p[max(skip, 0):]...)
	}
	d.n += int64(len(p))
	return len(p), nil
}

func (d *endsOf) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(d.head)) {
		copy(p, d.head[off:])
	}
	n := min(int64(len(p)), d.n-off)
	if end := off + n; end > d.from {
		at := max(off, d.from)
		copy(p[at-off:n], d.tail[at-d.from:])
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}
