package project

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"cipherdeck/crypto/cobblestone"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
)

const bigEnv = "CIPHERDECK_BIG_ITEM"

// A large item goes up and comes down in 64 MiB of memory. It is moved in a
// process of its own, whose greatest memory the kernel tells. 256 MiB; with
// CIPHERDECK_SLOW=1 (make test-slow) 10 GiB.
func TestBigItemInLittleMemory(t *testing.T) {
	if n := os.Getenv(bigEnv); n != "" {
		moveBig(t, n)
		return
	}
	size, limit := int64(256<<20), 64<<10 // KiB
	if os.Getenv("CIPHERDECK_SLOW") != "" {
		size = 10 << 30
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestBigItemInLittleMemory$", "-test.v", "-test.timeout=30m")
	cmd.Env = append(os.Environ(), bigEnv+"="+strconv.FormatInt(size, 10))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, rest, ok := strings.Cut(string(out), "peak KiB ")
	peak, err := strconv.Atoi(strings.Fields(rest + " 0")[0])
	if !ok || err != nil || peak == 0 {
		t.Fatalf("no figure in\n%s", out)
	}
	t.Logf("%d MiB up and down, greatest resident memory %d MiB", size>>20, peak>>10)
	if peak > limit {
		t.Errorf("%d KiB of memory, limit %d", peak, limit)
	}
}

func moveBig(t *testing.T, text string) {
	size, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	s, alice := newShelf(), person(t, "alice")
	p := create(t, s, alice)
	u, err := p.Begin(t.Context(), "big", false)
	if err != nil {
		t.Fatal(err)
	}
	m := &mill{shelf: s, u: u, at: map[id.ID]int{}, size: size}
	p.srv = m
	it, err := p.Send(t.Context(), u, Meta{Kind: Artifact, Name: "big"}, &pattern{left: size}, progress.Discard{})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.at) != it.Pieces() {
		t.Fatalf("%d pieces came, want %d", len(m.at), it.Pieces())
	}
	for n, i := range pieceIDs(t, p, it) {
		m.at[i] = n
	}
	w := &matcher{want: pattern{left: size}}
	if err := p.Read(t.Context(), it, w, progress.Discard{}); err != nil || w.want.left != 0 {
		t.Fatalf("%v, %d bytes missing", err, w.want.left)
	}
	fmt.Println("peak KiB", peakMemory(t))
}

// peakMemory is the greatest resident memory of this process in KiB.
func peakMemory(t *testing.T) int {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for l := bufio.NewScanner(f); l.Scan(); {
		if rest, ok := strings.CutPrefix(l.Text(), "VmHWM:"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

// pattern is a stream of which no two pieces are the same.
type pattern struct{ n, left int64 }

func (p *pattern) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), p.left))
	fill(b[:n], p.n)
	p.n, p.left = p.n+int64(n), p.left-int64(n)
	return n, nil
}

// fill writes the pattern from byte at on: the number of each 8 bytes.
func fill(b []byte, at int64) {
	for len(b) > 0 {
		var w [8]byte
		binary.LittleEndian.PutUint64(w[:], uint64(at/8)*0x9e3779b97f4a7c15)
		n := copy(b, w[at%8:])
		b, at = b[n:], at+int64(n)
	}
}

// matcher compares what is written with the pattern.
type matcher struct {
	want pattern
	buf  []byte
}

func (m *matcher) Write(b []byte) (int, error) {
	if cap(m.buf) < len(b) {
		m.buf = make([]byte, len(b))
	}
	if _, err := io.ReadFull(&m.want, m.buf[:len(b)]); err != nil {
		return 0, err
	}
	if !bytes.Equal(m.buf[:len(b)], b) {
		return 0, fmt.Errorf("byte %d and on differ", m.want.n-int64(len(b)))
	}
	return len(b), nil
}

// mill keeps no pieces: it grinds them again from the pattern when it is asked.
type mill struct {
	*shelf
	u    Upload
	at   map[id.ID]int
	size int64
	pool sync.Pool
}

func (m *mill) PutBlob(ctx context.Context, i id.ID, n int64, r io.Reader) error {
	if n < PieceSize {
		return m.shelf.PutBlob(ctx, i, n, r)
	}
	m.mu.Lock()
	m.at[i] = -1
	m.mu.Unlock()
	_, err := io.Copy(io.Discard, r)
	return err
}

func (m *mill) GetBlob(ctx context.Context, i id.ID, off, n int64) (io.ReadCloser, error) {
	k, ok := m.at[i]
	if !ok {
		return m.shelf.GetBlob(ctx, i, off, n)
	}
	saltKey, err := hkdf.Expand(sha512.New, m.u.Key, "cipherdeck/project/v1/salt", 32)
	if err != nil {
		return nil, err
	}
	w, _ := m.pool.Get().(*work)
	if w == nil {
		w = &work{plain: make([]byte, PieceSize)}
	}
	plain := w.plain
	clear(plain)
	at := int64(k) * PieceSize
	fill(plain[:max(0, min(PieceSize, m.size-at))], at)
	c := pieceContext(m.u.Item, k)
	w.sealed, err = cobblestone.AppendSealSalted(w.sealed[:0], [32]byte(m.u.Key), pieceSalt(saltKey, c, plain), c, plain)
	return &ground{bytes.NewReader(w.sealed), w, &m.pool}, err
}

// work is memory of the mill, so that it is not the mill that is measured.
type work struct{ plain, sealed []byte }

type ground struct {
	io.Reader
	w    *work
	pool *sync.Pool
}

func (g *ground) Close() error { g.pool.Put(g.w); return nil }
