package cobblestone

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// stretchChunks is how many chunks a worker takes from file to file at once.
// 1 MiB is more than the second-level cache of a core holds, but what costs here
// is waking whoever waits, not memory.
const (
	stretchChunks = 64
	stretchPlain  = stretchChunks * ChunkSize
	stretchSealed = stretchChunks * sealedSize
)

// SealParallel encrypts the size bytes of src to dst, each worker reading,
// encrypting and writing stretches of its own: for files it is the fastest way.
// Calls of dst.WriteAt do not overlap. Errors wrap io.ErrUnexpectedEOF when src
// is shorter, ErrTooLong, or are those of src and dst. On error dst holds
// parts of a message that will not open.
func SealParallel(dst io.WriterAt, src io.ReaderAt, size int64, key [KeySize]byte, context []byte) error {
	if size/ChunkSize >= maxChunks {
		return ErrTooLong
	}
	m, header, err := newMessage(key, context)
	if err != nil {
		return err
	}
	if err := writeAt(dst, header, 0); err != nil {
		return err
	}
	stretches := size/stretchPlain + 1
	return spread(stretches, func(b *batch, i int64, write *sync.Mutex) error {
		at := i * stretchPlain
		b.in = slices.Grow(b.in[:0], stretchPlain)[:min(stretchPlain, size-at)]
		if n, err := src.ReadAt(b.in, at); n < len(b.in) {
			if err == nil || err == io.EOF {
				err = fmt.Errorf("%w: byte %d of %d is not there", io.ErrUnexpectedEOF, at+int64(n), size)
			}
			return err
		}
		b.out = m.seal(slices.Grow(b.out[:0], stretchSealed+tagSize), b.in, i*stretchChunks, i == stretches-1)
		write.Lock()
		defer write.Unlock()
		return writeAt(dst, b.out, HeaderSize+i*stretchSealed)
	})
}

// OpenParallel decrypts a message of size bytes in src to dst, as SealParallel
// works, and returns the length of the plaintext. Every byte written is
// authentic; only if it returns nil is the plaintext whole. Errors wrap ErrAuth
// or ErrTruncated, or are those of src and dst.
func OpenParallel(dst io.WriterAt, src io.ReaderAt, size int64, key [KeySize]byte, context []byte) (int64, error) {
	r, err := NewReaderAt(src, size, key, context)
	if err != nil {
		return 0, err
	}
	stretches := r.size/stretchPlain + 1
	err = spread(stretches, func(b *batch, i int64, write *sync.Mutex) error {
		at := HeaderSize + i*stretchSealed
		b.in = slices.Grow(b.in[:0], stretchSealed)[:min(stretchSealed, size-at)]
		if err := readAt(src, b.in, at); err != nil {
			return err
		}
		out, err := r.m.open(slices.Grow(b.out[:0], stretchPlain), b.in, i*stretchChunks, i == stretches-1)
		if err != nil {
			return err
		}
		b.out = out
		write.Lock()
		defer write.Unlock()
		return writeAt(dst, out, i*stretchPlain)
	})
	return r.size, err
}

func writeAt(dst io.WriterAt, p []byte, off int64) error {
	n, err := dst.WriteAt(p, off)
	return whole(n, len(p), err)
}

// whole is the error of a write of n bytes that should have been want: a
// destination that says nothing of what it left out would lose it for good.
func whole(n, want int, err error) error {
	if err == nil && n < want {
		return io.ErrShortWrite
	}
	return err
}

// spread does the work for every stretch, on all processors, and returns the
// first error that happened; work not begun then is left out.
//
// Writing is one at a time, under the lock that work is given: file systems
// serialise writes to one file anyhow, and waiting for them in the kernel keeps
// a processor from the others.
func spread(stretches int64, work func(b *batch, i int64, write *sync.Mutex) error) error {
	var next atomic.Int64
	var once sync.Once
	var first error
	var write sync.Mutex
	var wg sync.WaitGroup
	for range min(stretches, int64(runtime.GOMAXPROCS(0))) {
		wg.Go(func() {
			b := &batch{}
			for i := next.Add(1) - 1; i < stretches; i = next.Add(1) - 1 {
				if err := work(b, i, &write); err != nil {
					once.Do(func() { first = err })
					next.Store(stretches)
				}
			}
		})
	}
	wg.Wait()
	return first
}
