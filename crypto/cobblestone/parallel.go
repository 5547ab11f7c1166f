package cobblestone

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// SealParallel encrypts the size bytes of src to dst, each processor reading,
// encrypting and writing batches of its own: for files it is the fastest way,
// because nobody waits for anybody. Errors wrap io.ErrUnexpectedEOF when src
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
	if _, err := dst.WriteAt(header, 0); err != nil {
		return err
	}
	batches := size/batchPlain + 1
	return spread(batches, func(b *batch, i int64) error {
		at := i * batchPlain
		b.in = slices.Grow(b.in[:0], batchPlain)[:min(batchPlain, size-at)]
		if n, err := src.ReadAt(b.in, at); n < len(b.in) {
			if err == io.EOF {
				err = fmt.Errorf("%w: byte %d of %d is not there", io.ErrUnexpectedEOF, at+int64(n), size)
			}
			return err
		}
		b.out = m.seal(slices.Grow(b.out[:0], batchSealed+tagSize), b.in, i*batchChunks, i == batches-1)
		_, err := dst.WriteAt(b.out, HeaderSize+i*batchSealed)
		return err
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
	batches := r.size/batchPlain + 1
	err = spread(batches, func(b *batch, i int64) error {
		at := HeaderSize + i*batchSealed
		b.in = slices.Grow(b.in[:0], batchSealed)[:min(batchSealed, size-at)]
		if err := readAt(src, b.in, at); err != nil {
			return err
		}
		out, err := r.m.open(slices.Grow(b.out[:0], batchPlain), b.in, i*batchChunks, i == batches-1)
		if err != nil {
			return err
		}
		b.out = out
		_, err = dst.WriteAt(out, i*batchPlain)
		return err
	})
	return r.size, err
}

// spread does the work for every batch, on all processors, and returns the
// first error that happened; work not begun then is left out.
func spread(batches int64, work func(b *batch, i int64) error) error {
	var next atomic.Int64
	var once sync.Once
	var first error
	var wg sync.WaitGroup
	for range min(batches, int64(runtime.GOMAXPROCS(0))) {
		wg.Go(func() {
			b := &batch{}
			for i := next.Add(1) - 1; i < batches; i = next.Add(1) - 1 {
				if err := work(b, i); err != nil {
					once.Do(func() { first = err })
					next.Store(batches)
				}
			}
		})
	}
	wg.Wait()
	return first
}
