package cobblestone

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

var testKey = [KeySize]byte{1, 2, 3}

// noise is n bytes that differ from chunk to chunk.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{9}).Read(b)
	return b
}

// Lengths about every boundary there is: chunk, batch, stretch, and several of
// them.
func lengths() []int {
	var out []int
	for _, at := range []int{0, ChunkSize, 2 * ChunkSize, batchPlain, 2 * batchPlain, stretchPlain, 7 * batchPlain, 2 * stretchPlain} {
		for _, d := range []int{-1, 0, 1} {
			if at+d >= 0 {
				out = append(out, at+d)
			}
		}
	}
	return append(out, 3*batchPlain+5*ChunkSize+77)
}

func TestEveryWayOfSealingOpensEveryWay(t *testing.T) {
	ctx := []byte("ctx")
	for _, n := range lengths() {
		plain := noise(n)
		for sname, seal := range map[string]func([]byte) ([]byte, error){
			"Seal":     func(p []byte) ([]byte, error) { return Seal(testKey, ctx, p) },
			"Write":    func(p []byte) ([]byte, error) { return sealStream(ctx, p, 10007) },
			"ReadFrom": func(p []byte) ([]byte, error) { return sealStream(ctx, p, 0) },
			"Parallel": func(p []byte) ([]byte, error) { return sealParallel(ctx, p) },
		} {
			sealed, err := seal(plain)
			if err != nil || int64(len(sealed)) != SealedSize(int64(n)) {
				t.Fatalf("%s %d: %d bytes, %v", sname, n, len(sealed), err)
			}
			if size, err := PlainSize(int64(len(sealed))); err != nil || size != int64(n) {
				t.Fatalf("PlainSize(%d) = %d, %v, want %d", len(sealed), size, err, n)
			}
			for oname, open := range map[string]func() ([]byte, error){
				"Open":     func() ([]byte, error) { return Open(testKey, ctx, sealed) },
				"Read":     func() ([]byte, error) { return openStream(testKey, ctx, sealed, readAll) },
				"WriteTo":  func() ([]byte, error) { return openStream(testKey, ctx, sealed, writeTo) },
				"Mixed":    func() ([]byte, error) { return openStream(testKey, ctx, sealed, readSomeThenWriteTo) },
				"Parallel": func() ([]byte, error) { return openParallel(ctx, sealed) },
			} {
				if got, err := open(); err != nil || !bytes.Equal(got, plain) {
					t.Errorf("%s then %s of %d bytes: got %d, %v", sname, oname, n, len(got), err)
				}
			}
		}
	}
}

// sealStream writes in pieces of step bytes, or by ReadFrom with 0.
func sealStream(ctx, plain []byte, step int) ([]byte, error) {
	var out bytes.Buffer
	w, err := NewWriter(&out, testKey, ctx)
	if err != nil {
		return nil, err
	}
	if step == 0 {
		if _, err := io.Copy(w, iotest.DataErrReader(bytes.NewReader(plain))); err != nil {
			return nil, err
		}
	}
	for step > 0 && len(plain) > 0 {
		k := min(step, len(plain))
		if n, err := w.Write(plain[:k]); n != k || err != nil {
			return nil, fmt.Errorf("wrote %d of %d: %w", n, k, err)
		}
		plain = plain[k:]
	}
	err = w.Close()
	return out.Bytes(), err
}

func readSomeThenWriteTo(r io.Reader) ([]byte, error) {
	var b bytes.Buffer
	if _, err := io.CopyN(&b, struct{ io.Reader }{r}, 100); err != nil && err != io.EOF {
		return b.Bytes(), err
	}
	_, err := r.(io.WriterTo).WriteTo(&b)
	return b.Bytes(), err
}

func TestOddReadersAndSources(t *testing.T) {
	plain := noise(2*batchPlain + 12345)
	sealed, err := Seal(testKey, nil, plain)
	if err != nil {
		t.Fatal(err)
	}
	for name, src := range map[string]io.Reader{
		"half reads":    iotest.HalfReader(bytes.NewReader(sealed)),
		"data with EOF": iotest.DataErrReader(bytes.NewReader(sealed)),
	} {
		r, err := NewReader(src, testKey, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readAll(iotest.HalfReader(r))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// Cut at every boundary, one byte before and one after, it never opens.
func TestEveryCutIsSeen(t *testing.T) {
	sealed, err := Seal(testKey, nil, noise(3*ChunkSize+100))
	if err != nil {
		t.Fatal(err)
	}
	marks := []int{0, SaltSize, HeaderSize, HeaderSize + tagSize, len(sealed) - tagSize, len(sealed)}
	for k := range 4 {
		marks = append(marks, HeaderSize+k*sealedSize, HeaderSize+k*sealedSize+tagSize)
	}
	for _, m := range marks {
		for _, n := range []int{m - 1, m, m + 1} {
			if n < 0 || n >= len(sealed) {
				continue
			}
			refused(t, fmt.Sprintf("cut to %d", n), sealed[:n])
		}
	}
	if _, err := Open(testKey, nil, sealed[:HeaderSize+sealedSize]); !errors.Is(err, ErrTruncated) {
		t.Errorf("cut between chunks: %v", err)
	}
}

func TestChunksCannotBeMoved(t *testing.T) {
	sealed, _ := Seal(testKey, nil, noise(3*ChunkSize+100))
	foreign, _ := Seal(testKey, nil, noise(3*ChunkSize+100))
	at := func(b []byte, k int) []byte { return b[HeaderSize+k*sealedSize : HeaderSize+(k+1)*sealedSize] }
	edit := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(sealed)) }
	for name, bad := range map[string][]byte{
		"swapped":    edit(func(b []byte) []byte { copy(at(b, 0), at(sealed, 1)); copy(at(b, 1), at(sealed, 0)); return b }),
		"duplicated": edit(func(b []byte) []byte { copy(at(b, 2), at(sealed, 1)); return b }),
		"foreign":    edit(func(b []byte) []byte { copy(at(b, 1), at(foreign, 1)); return b }),
		"deleted":    edit(func(b []byte) []byte { return append(b[:HeaderSize+sealedSize], b[HeaderSize+2*sealedSize:]...) }),
		"byte added": edit(func(b []byte) []byte { return append(b, 0) }),
		"two in one": edit(func(b []byte) []byte { return append(b, foreign...) }),
	} {
		refused(t, name, bad)
	}
}

func TestEveryBitOfASmallMessage(t *testing.T) {
	sealed, _ := Seal(testKey, []byte("c"), []byte("hello"))
	for i := range len(sealed) * 8 {
		bad := bytes.Clone(sealed)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := Open(testKey, []byte("c"), bad); !errors.Is(err, ErrAuth) {
			t.Fatalf("bit %d: %v", i, err)
		}
	}
}

// refused checks every way of opening under testKey and no context.
func refused(t *testing.T, name string, bad []byte) {
	t.Helper()
	check := func(how string, err error) {
		t.Helper()
		if !errors.Is(err, ErrAuth) && !errors.Is(err, ErrTruncated) {
			t.Errorf("%s: %s: %v", name, how, err)
		}
	}
	_, err := Open(testKey, nil, bad)
	check("Open", err)
	_, err = openStream(testKey, nil, bad, readAll)
	check("Read", err)
	_, err = openStream(testKey, nil, bad, writeTo)
	check("WriteTo", err)
	_, err = openParallel(nil, bad)
	check("Parallel", err)
	r, err := NewReaderAt(bytes.NewReader(bad), int64(len(bad)), testKey, nil)
	if err == nil {
		_, err = io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	}
	check("ReadAt", err)
}

func TestReadAt(t *testing.T) {
	plain := noise(3*ChunkSize + 100)
	sealed, _ := Seal(testKey, nil, plain)
	r, err := NewReaderAt(bytes.NewReader(sealed), int64(len(sealed)), testKey, nil)
	if err != nil || r.Size() != int64(len(plain)) {
		t.Fatal(r.Size(), err)
	}
	if err := iotest.TestReader(io.NewSectionReader(r, 0, r.Size()), plain); err != nil {
		t.Error(err)
	}
	for _, off := range []int64{-1, 1 << 60} {
		if n, err := r.ReadAt(make([]byte, 1), off); n != 0 || err == nil {
			t.Errorf("offset %d: %d, %v", off, n, err)
		}
	}
}

var errDisk = errors.New("no space left")

// fullDisk takes nothing after n bytes, and says err.
type fullDisk struct {
	n   int
	err error
}

func (d *fullDisk) Write(p []byte) (int, error) {
	if d.n -= len(p); d.n < 0 {
		return 0, d.err
	}
	return len(p), nil
}

func TestErrorsOfTheOtherSide(t *testing.T) {
	plain := noise(9 * batchPlain)
	for _, room := range []int{0, HeaderSize, batchSealed, 5 * batchSealed} {
		for _, says := range []error{errDisk, nil} { // against the rules: nothing taken, no error
			want := says
			if want == nil {
				want = io.ErrShortWrite
			}
			w, err := NewWriter(&fullDisk{room, says}, testKey, nil)
			if err == nil {
				_, err1 := w.Write(plain)
				err = errors.Join(err1, w.Close())
			}
			if !errors.Is(err, want) {
				t.Errorf("disk of %d bytes: %v, want %v", room, err, want)
			}
		}
	}
	sealed, _ := Seal(testKey, nil, plain)
	for name, read := range map[string]func(io.Reader) ([]byte, error){"Read": readAll, "WriteTo": writeTo} {
		src := io.MultiReader(bytes.NewReader(sealed[:HeaderSize+3*sealedSize+50]), iotest.ErrReader(errDisk))
		r, err := NewReader(src, testKey, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := read(r); !errors.Is(err, errDisk) || !bytes.Equal(got, plain[:3*ChunkSize]) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	r, _ := NewReader(bytes.NewReader(sealed), testKey, nil)
	if _, err := r.WriteTo(&fullDisk{batchPlain, errDisk}); !errors.Is(err, errDisk) {
		t.Error(err)
	}
	r, _ = NewReader(bytes.NewReader(sealed), testKey, nil)
	if _, err := r.WriteTo(&fullDisk{batchPlain, nil}); !errors.Is(err, io.ErrShortWrite) {
		t.Error(err)
	}
}

// A message that was given up must not open as a shorter one.
func TestAbort(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, testKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(noise(batchPlain + 5)); err != nil {
		t.Fatal(err)
	}
	w.Abort()
	if out.Len() != HeaderSize+batchSealed {
		t.Errorf("%d bytes after Abort", out.Len())
	}
	refused(t, "aborted", out.Bytes())
	if err := w.Close(); err == nil {
		t.Error("Close after Abort makes it whole")
	}
	if _, err := w.Write([]byte{1}); err == nil {
		t.Error("Write after Abort")
	}
}

func TestKeyAndContext(t *testing.T) {
	sealed, _ := Seal(testKey, []byte("a"), []byte("hello"))
	if _, err := Open(testKey, []byte("b"), sealed); !errors.Is(err, ErrAuth) {
		t.Errorf("other context: %v", err)
	}
	if _, err := Open([KeySize]byte{}, []byte("a"), sealed); !errors.Is(err, ErrAuth) {
		t.Errorf("other key: %v", err)
	}
}

func TestAppendSeal(t *testing.T) {
	var key [KeySize]byte
	plain := bytes.Repeat([]byte{7}, 3*ChunkSize+1)
	for _, room := range []int{0, 10, 1 << 20} {
		dst := append(make([]byte, 0, room), "before"...)
		out, err := AppendSeal(dst, key, nil, plain)
		if err != nil || string(out[:6]) != "before" {
			t.Fatal(err)
		}
		if got, err := Open(key, nil, out[6:]); err != nil || !bytes.Equal(got, plain) {
			t.Error(room, err)
		}
	}
}
