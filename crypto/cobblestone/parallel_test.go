package cobblestone

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// memFile is a file in memory; what no write has reached is 0xEE.
type memFile struct {
	mu     sync.Mutex
	b      []byte
	inside atomic.Int32 // calls of WriteAt under way
	met    atomic.Bool  // two of them were
	fail   func(off int64, p []byte) (int, error)
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	if f.inside.Add(1) > 1 {
		f.met.Store(true)
	}
	defer f.inside.Add(-1)
	runtime.Gosched()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		if n, err := f.fail(off, p); err != nil || n < len(p) {
			return n, err
		}
	}
	if n := int(off) + len(p) - len(f.b); n > 0 {
		f.b = append(f.b, bytes.Repeat([]byte{0xEE}, n)...)
	}
	return copy(f.b[off:], p), nil
}

func sealParallel(ctx, plain []byte) ([]byte, error) {
	var f memFile
	err := SealParallel(&f, bytes.NewReader(plain), int64(len(plain)), testKey, ctx)
	return f.b, err
}

func openParallel(ctx, sealed []byte) ([]byte, error) {
	var f memFile
	n, err := OpenParallel(&f, bytes.NewReader(sealed), int64(len(sealed)), testKey, ctx)
	if err == nil && n != int64(len(f.b)) {
		err = fmt.Errorf("it says %d bytes and wrote %d", n, len(f.b))
	}
	return f.b, err
}

// File systems get one write at a time, whatever the number of workers.
func TestParallelWritesDoNotOverlap(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	var sealed, opened memFile
	plain := noise(9*stretchPlain + 5)
	if err := SealParallel(&sealed, bytes.NewReader(plain), int64(len(plain)), testKey, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenParallel(&opened, bytes.NewReader(sealed.b), int64(len(sealed.b)), testKey, nil); err != nil || !bytes.Equal(opened.b, plain) {
		t.Fatal(err)
	}
	if sealed.met.Load() || opened.met.Load() {
		t.Error("two writes at a time")
	}
}

// A source that gives less than was asked for, with an error or against the
// rules without one, or is shorter or longer than was said: no message.
func TestParallelShortSources(t *testing.T) {
	plain := noise(3*stretchPlain + 100)
	size := int64(len(plain))
	whole, err := Seal(testKey, nil, plain)
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []int64{0, HeaderSize, stretchPlain + 7, 2 * stretchPlain, 3 * stretchPlain} {
		for _, lazy := range []error{nil, errDisk, io.EOF} {
			var f memFile
			if err := SealParallel(&f, &lazyAt{plain, from, lazy}, size, testKey, nil); err == nil || lazy == errDisk && !errors.Is(err, errDisk) {
				t.Errorf("sealed from a source that stops at %d with %v: %v", from, lazy, err)
			}
			refused(t, "left by an error", f.b)
			f = memFile{}
			want := lazy
			if lazy != errDisk {
				want = ErrTruncated
			}
			if _, err := OpenParallel(&f, &lazyAt{whole, from, lazy}, int64(len(whole)), testKey, nil); !errors.Is(err, want) {
				t.Errorf("opened from a source that stops at %d with %v: %v", from, lazy, err)
			}
			onlyAuthentic(t, f.b, plain)
		}
	}
	for _, d := range []int64{1, ChunkSize, stretchPlain, 5 * stretchPlain} {
		if err := SealParallel(&memFile{}, bytes.NewReader(plain), size+d, testKey, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes announced too many: %v", d, err)
		}
		if _, err := OpenParallel(&memFile{}, bytes.NewReader(whole), int64(len(whole))+d, testKey, nil); !errors.Is(err, ErrTruncated) {
			t.Errorf("sealed, %d bytes announced too many: %v", d, err)
		}
	}
}

// lazyAt gives nothing from byte stop on.
type lazyAt struct {
	b    []byte
	stop int64
	err  error
}

func (l *lazyAt) ReadAt(p []byte, off int64) (int, error) {
	if end := off + int64(len(p)); end > l.stop {
		return copy(p, l.b[min(off, l.stop):l.stop]), l.err
	}
	return bytes.NewReader(l.b).ReadAt(p, off)
}

// onlyAuthentic checks what a failed OpenParallel left: plaintext or untouched.
func onlyAuthentic(t *testing.T, got, plain []byte) {
	t.Helper()
	for i := 0; i < len(got); i += ChunkSize {
		end := min(i+ChunkSize, len(got))
		if !bytes.Equal(got[i:end], plain[i:end]) && !bytes.Equal(got[i:end], bytes.Repeat([]byte{0xEE}, end-i)) {
			t.Errorf("at %d: bytes that are not the plaintext", i)
		}
	}
}

// Damage in any stretch: nothing that is not authentic is written.
func TestParallelWritesOnlyWhatIsAuthentic(t *testing.T) {
	plain := noise(3*stretchPlain + 100)
	whole, _ := Seal(testKey, nil, plain)
	for at := HeaderSize; at < len(whole); at += stretchSealed/2 + 77 {
		bad := bytes.Clone(whole)
		bad[at] ^= 0x80
		got, err := openParallel(nil, bad)
		if !errors.Is(err, ErrAuth) {
			t.Errorf("byte %d: %v", at, err)
		}
		onlyAuthentic(t, got, plain)
	}
}

// A disk that fails or takes less than it was given, at every write.
func TestParallelFullDisk(t *testing.T) {
	plain := noise(2*stretchPlain + 100)
	whole, _ := Seal(testKey, nil, plain)
	for from := range 4 {
		for _, lazy := range []error{errDisk, nil} {
			fails := func() *memFile {
				n := 0
				return &memFile{fail: func(off int64, p []byte) (int, error) {
					if n++; n <= from {
						return len(p), nil
					}
					return len(p) / 2, lazy
				}}
			}
			f := fails()
			if err := SealParallel(f, bytes.NewReader(plain), int64(len(plain)), testKey, nil); err == nil || lazy != nil && !errors.Is(err, lazy) {
				t.Errorf("sealing, write %d, %v: %v", from, lazy, err)
			}
			refused(t, "left by an error", f.b)
			if from == 3 {
				continue // opening has one write less
			}
			if _, err := OpenParallel(fails(), bytes.NewReader(whole), int64(len(whole)), testKey, nil); err == nil || lazy != nil && !errors.Is(err, lazy) {
				t.Errorf("opening, write %d, %v: %v", from, lazy, err)
			}
		}
	}
}

// Any range, at every boundary ±1 and past the end, of the whole and of a head
// of it, as bytes.Reader would answer.
func TestReadAtEveryBoundary(t *testing.T) {
	for _, size := range []int{0, 1, ChunkSize - 1, ChunkSize, 2*batchPlain + 100} {
		plain := noise(size)
		sealed, _ := Seal(testKey, nil, plain)
		r, err := NewReaderAt(bytes.NewReader(sealed), int64(len(sealed)), testKey, nil)
		if err != nil {
			t.Fatal(err)
		}
		var marks []int
		for _, m := range []int{0, ChunkSize, batchPlain - ChunkSize, batchPlain, 2 * batchPlain, size, size + ChunkSize} {
			marks = append(marks, max(0, m-1), m, m+1)
		}
		for _, head := range []int{size, size - 1, size / 2, ChunkSize, 0, -5, size + 5} {
			h, want := r.Head(int64(head)), plain[:min(max(head, 0), size)]
			if h.Size() != int64(len(want)) {
				t.Fatalf("head of %d from %d: %d", head, size, h.Size())
			}
			for _, from := range marks {
				for _, to := range marks {
					if to < from {
						continue
					}
					got, good := bytes.Repeat([]byte{1}, to-from), bytes.Repeat([]byte{1}, to-from)
					n, err := h.ReadAt(got, int64(from))
					m, wantErr := bytes.NewReader(want).ReadAt(good, int64(from))
					if len(got) == 0 { // bytes.Reader says EOF at the end even then, and nil before it
						wantErr = err
					}
					if n != m || err != wantErr || !bytes.Equal(got, good) {
						t.Fatalf("%d to %d of %d, head %d: %d, %v; want %d, %v", from, to, size, head, n, err, m, wantErr)
					}
				}
			}
		}
	}
}

// A bad chunk in the midst: what comes before it is given and counted, and
// nothing after it is touched.
func TestReadAtStopsAtABadChunk(t *testing.T) {
	plain := noise(batchPlain + 3*ChunkSize)
	sealed, _ := Seal(testKey, nil, plain)
	for bad := range 18 {
		b := bytes.Clone(sealed)
		b[HeaderSize+bad*sealedSize+5] ^= 1
		r, err := NewReaderAt(bytes.NewReader(b), int64(len(b)), testKey, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := bytes.Repeat([]byte{0xEE}, len(plain)-10)
		n, err := r.ReadAt(got, 10)
		if want := max(0, bad*ChunkSize-10); n != want || !errors.Is(err, ErrAuth) || !bytes.Equal(got[:n], plain[10:10+n]) {
			t.Errorf("chunk %d: %d bytes, want %d; %v", bad, n, want, err)
		}
		if slices.ContainsFunc(got[n:], func(c byte) bool { return c != 0xEE }) {
			t.Errorf("chunk %d: bytes after it were given out", bad)
		}
	}
}

// Many goroutines share one ReaderAt and its buffers; none keeps plaintext.
// Worth a run with -race.
func TestReadAtFromManyGoroutines(t *testing.T) {
	plain := noise(3*batchPlain + 777)
	sealed, _ := Seal(testKey, nil, plain)
	r, err := NewReaderAt(bytes.NewReader(sealed), int64(len(sealed)), testKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 1))
			for range 60 {
				from := rnd.IntN(len(plain))
				p := make([]byte, 1+rnd.IntN(min(len(plain)-from, 20*ChunkSize)))
				n, err := r.Head(int64(len(plain))).ReadAt(p, int64(from))
				if err != nil || n != len(p) || !bytes.Equal(p, plain[from:from+n]) {
					t.Errorf("%d bytes at %d: %d, %v", len(p), from, n, err)
				}
			}
		})
	}
	wg.Wait()
	for range 8 {
		b := *r.bufs.Get().(*[]byte)
		if b = b[:cap(b)]; slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) {
			t.Fatal("a buffer in the pool is not wiped")
		}
	}
}

// Offsets that do not fit 32 bits, without a disk that holds them: the source
// is made as it is read, and of the message only both ends are kept.
func TestParallelMoreThan4GiB(t *testing.T) {
	const size = 4<<30 + 3*stretchPlain + 11
	keep := &bothEnds{from: 4<<30 - stretchSealed}
	if err := SealParallel(keep, numbered(size), size, testKey, nil); err != nil {
		t.Fatal(err)
	}
	r, err := NewReaderAt(keep, SealedSize(size), testKey, nil)
	if err != nil || r.Size() != size {
		t.Fatal(err)
	}
	for _, off := range []int64{4<<30 - 5, 4 << 30, 4<<30 + 2*stretchPlain - 9, size - 30} {
		got, want := make([]byte, 30), make([]byte, 30)
		n, err := r.ReadAt(got, off)
		if m, _ := numbered(size).ReadAt(want, off); err != nil || n != m || !bytes.Equal(got, want) {
			t.Errorf("at %d: %x, want %x, %v", off, got, want, err)
		}
	}
}

// numbered is a source of so many bytes; each word of eight is its own number.
type numbered int64

func (s numbered) ReadAt(p []byte, off int64) (int, error) {
	n := min(int64(len(p)), int64(s)-off)
	var word [8]byte
	for i := int64(0); i < n; {
		if at := off + i; at%8 == 0 && n-i >= 8 {
			binary.BigEndian.PutUint64(p[i:], uint64(at/8))
			i += 8
			continue
		}
		binary.BigEndian.PutUint64(word[:], uint64((off+i)/8))
		p[i] = word[(off+i)%8]
		i++
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

// bothEnds keeps the first write and those that end after from.
type bothEnds struct {
	from int64
	kept []piece
}

type piece struct {
	off int64
	b   []byte
}

func (k *bothEnds) WriteAt(p []byte, off int64) (int, error) {
	if off == 0 || off+int64(len(p)) > k.from {
		k.kept = append(k.kept, piece{off, bytes.Clone(p)})
	}
	return len(p), nil
}

func (k *bothEnds) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		at := off + int64(n)
		i := slices.IndexFunc(k.kept, func(c piece) bool { return c.off <= at && at < c.off+int64(len(c.b)) })
		if i < 0 {
			return n, fmt.Errorf("byte %d was not kept", at)
		}
		n += copy(p[n:], k.kept[i].b[at-k.kept[i].off:])
	}
	return n, nil
}
