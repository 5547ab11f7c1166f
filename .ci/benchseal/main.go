// Benchseal measures sealing beside its peers in the same run and prints
// ratios; .ci/bench-seal builds it and the peers. It starts itself for each
// piece of work, so that a process is compared with a process.
//
//	benchseal DIR AGE     DIR on a memory file system with 7 GiB free
package main

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"cipherdeck/crypto/cobblestone"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/seal"
)

const size = 1 << 30

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "benchseal:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 2 {
		return measure(args[0], args[1])
	}
	to, by := []seal.Recipient{identity()}, []seal.Identity{identity()}
	ctx, o := context.Background(), seal.FileOptions{Force: true}
	switch args[0] {
	case "seal":
		return seal.SealFile(ctx, args[2], args[1], seal.Meta{}, to, o)
	case "open":
		_, err := seal.OpenFile(ctx, args[2], args[1], by, o)
		return err
	case "pipe":
		return seal.Seal(ctx, os.Stdout, os.Stdin, seal.Meta{Size: seal.SizeUnknown}, to, nil)
	case "copy":
		return parallelCopy(args[2], args[1])
	}
	return fmt.Errorf("no work %q", args[0])
}

// identity is a project epoch: no key is derived that an unlocked vault has.
func identity() *seal.EpochKey { return seal.Epoch(id.Of([]byte("bench")), 1, [32]byte{42}) }

// parallelCopy is the limit of what a file system lets two threads do.
func parallelCopy(out, in string) error {
	src, err := os.Open(in)
	if err != nil {
		return err
	}
	defer src.Close()
	st, err := src.Stat()
	if err != nil {
		return err
	}
	dst, err := os.Create(out)
	if err != nil {
		return err
	}
	n := int64(runtime.GOMAXPROCS(0))
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			from, to := st.Size()*i/n, st.Size()*(i+1)/n
			_, errs[i] = io.CopyBuffer(io.NewOffsetWriter(dst, from), struct{ io.Reader }{io.NewSectionReader(src, from, to-from)}, make([]byte, 256<<10))
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return dst.Close()
}

// work is one thing that is measured: a command, and what it leaves behind.
type work struct {
	name  string
	argv  []string
	fresh []string // removed before each run
	wall  time.Duration
	cpu   time.Duration
	rss   int64 // KiB
}

func (w *work) once() error {
	for _, f := range w.fresh {
		os.RemoveAll(f)
	}
	c := exec.Command(w.argv[0], w.argv[1:]...)
	c.Stderr = os.Stderr
	begin := time.Now()
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s: %w", w.name, err)
	}
	if wall := time.Since(begin); w.wall == 0 || wall < w.wall {
		w.wall = wall
		w.cpu = c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	}
	w.rss = max(w.rss, c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	return nil
}

func measure(dir, age string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := fill(dir, age); err != nil {
		return err
	}
	p := func(name string) string { return filepath.Join(dir, name) }
	sh := func(line string) []string { return []string{"sh", "-c", line} }
	all := []*work{
		{name: "cp", argv: []string{"cp", p("in"), p("out")}, fresh: []string{p("out")}},
		{name: "parallel copy", argv: []string{self, "copy", p("in"), p("out")}, fresh: []string{p("out")}},
		{name: "age encrypt", argv: []string{age, "-R", p("pub"), "-o", p("out"), p("in")}, fresh: []string{p("out")}},
		{name: "seal", argv: []string{self, "seal", p("in"), p("out")}, fresh: []string{p("out")}},
		{name: "age decrypt", argv: []string{age, "-d", "-i", p("key"), "-o", p("out"), p("in.age")}, fresh: []string{p("out")}},
		{name: "open", argv: []string{self, "open", p("in.box"), p("out")}, fresh: []string{p("out")}},
		{name: "cat | cat", argv: sh("cat " + p("in") + " | cat > " + p("out")), fresh: []string{p("out")}},
		{name: "cat | seal", argv: sh("cat " + p("in") + " | " + self + " pipe > " + p("out")), fresh: []string{p("out")}},
		{name: "tar", argv: []string{"tar", "-C", p("many"), "-cf", p("out"), "."}, fresh: []string{p("out")}},
		{name: "seal directory", argv: []string{self, "seal", p("many"), p("out")}, fresh: []string{p("out")}},
		{name: "tar -x", argv: sh("mkdir " + p("outdir") + " && tar -C " + p("outdir") + " -xf " + p("many.tar")), fresh: []string{p("outdir"), p("out")}},
		{name: "open directory", argv: []string{self, "open", p("many.box"), p("outdir")}, fresh: []string{p("outdir"), p("out")}},
	}
	for _, prepare := range [][]string{{self, "seal", p("in"), p("in.box")}, {age, "-R", p("pub"), "-o", p("in.age"), p("in")},
		{self, "seal", p("many"), p("many.box")}, {"tar", "-C", p("many"), "-cf", p("many.tar"), "."}} {
		if out, err := exec.Command(prepare[0], prepare[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%q: %w: %s", prepare, err, out)
		}
	}
	rounds := 5
	if n, err := strconv.Atoi(os.Getenv("ROUNDS")); err == nil {
		rounds = n
	}
	for range rounds { // in turn, so that a busy moment hits all alike
		for _, w := range all {
			if err := w.once(); err != nil {
				return err
			}
		}
	}
	report(all)
	return memory(p("in.box"))
}

// fill makes the input: 1 GiB of random bytes, keys, and 20 000 files of 4 KiB.
func fill(dir, age string) error {
	f, err := os.Create(filepath.Join(dir, "in"))
	if err != nil {
		return err
	}
	if _, err := io.CopyN(f, rand.Reader, size); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	keygen := filepath.Join(filepath.Dir(age), "age-keygen")
	key := filepath.Join(dir, "key")
	if out, err := exec.Command(keygen, "-o", key).CombinedOutput(); err != nil {
		return fmt.Errorf("age-keygen: %w: %s", err, out)
	}
	pub, err := exec.Command(keygen, "-y", key).Output()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "pub"), pub, 0o600); err != nil {
		return err
	}
	text := bytes.Repeat([]byte("0123456789abcdef"), 256)
	for i := range 20_000 {
		sub := filepath.Join(dir, "many", fmt.Sprintf("%03d", i%100))
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("%05d", i)), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func report(all []*work) {
	by := map[string]*work{}
	fmt.Printf("%-16s %8s %8s %9s\n", "", "wall s", "cpu s", "RSS MiB")
	for _, w := range all {
		by[w.name] = w
		fmt.Printf("%-16s %8.3f %8.3f %9.1f\n", w.name, w.wall.Seconds(), w.cpu.Seconds(), float64(w.rss)/1024)
	}
	fmt.Println()
	for _, r := range []struct{ ours, peer, goal string }{
		{"seal", "age encrypt", "1.7 (1.9)"}, {"seal", "parallel copy", "0.85 (0.90)"}, {"seal", "cp", "0.85"},
		{"open", "age decrypt", "2.0 (2.3)"}, {"open", "parallel copy", "0.85"}, {"cat | seal", "cat | cat", "0.95"},
		{"seal directory", "tar", "0.5"}, {"open directory", "tar -x", "not set"},
	} {
		ratio := by[r.peer].wall.Seconds() / by[r.ours].wall.Seconds()
		fmt.Printf("%-16s is %5.2f times as fast as %-14s (goal %s)\n", r.ours, ratio, r.peer, r.goal)
	}
}

// memory measures what never touches a file, and random reads of one that does.
func memory(box string) error {
	plain := make([]byte, 256<<20)
	best := func(f func() error) float64 {
		low := time.Hour
		for range 7 {
			begin := time.Now()
			if err := f(); err != nil {
				panic(err)
			}
			low = min(low, time.Since(begin))
		}
		return float64(len(plain)) / low.Seconds() / 1e9
	}
	b, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		return err
	}
	gcm, err := cipher.NewGCM(b)
	if err != nil {
		return err
	}
	out := make([]byte, 0, cobblestone.SealedSize(int64(len(plain))))
	clear(out[:cap(out)]) // so that page faults are not measured
	raw := best(func() error {
		to := out
		for at := 0; at < len(plain); at += cobblestone.ChunkSize {
			to = gcm.Seal(to, make([]byte, 12), plain[at:at+cobblestone.ChunkSize], nil)
		}
		return nil
	})
	at := func(procs int) float64 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		return best(func() error {
			_, err := cobblestone.AppendSeal(out[:0], [32]byte{}, nil, plain)
			return err
		})
	}
	one, two := at(1), at(2)
	fmt.Printf("\nin memory: raw GCM %.2f GB/s, 1 thread %.2f (%.2f of raw, goal 0.90), 2 threads %.2f (%.2f times, goal 1.9)\n", raw, one, one/raw, two, two/one)
	return random(box)
}

func random(box string) error {
	f, err := os.Open(box)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	begin := time.Now()
	r, _, err := seal.OpenAt(f, st.Size(), identity())
	if err != nil {
		return err
	}
	opened := time.Since(begin)
	buf := make([]byte, 16<<10)
	const reads = 2000
	begin = time.Now()
	for i := range int64(reads) {
		if _, err := r.ReadAt(buf, i*7919*4099%(size-int64(len(buf)))); err != nil {
			return err
		}
	}
	fmt.Printf("random 16 KiB read %.1f µs (goal 100), opening %.2f ms\n", time.Since(begin).Seconds()*1e6/reads, opened.Seconds()*1e3)
	fmt.Println(strings.TrimSpace(runtime.Version()), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), "processors")
	return nil
}
