package file

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"sync"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
)

// pieceSize is what is read, hashed and written at a time: large enough that
// calls cost nothing, small enough to be in the processor's cache still when
// the second of two comes to it.
const pieceSize = 256 << 10

// buffers are used by turns: one is filled while the other is worked on.
type buffers [2][pieceSize]byte

// fill copies, checks and flushes; it asks r for one byte too many, so that
// a longer body does not pass as the blob it begins with. Hashing a piece goes
// on beside writing it.
func (b *Blobs) fill(ctx context.Context, f *os.File, i id.ID, size int64, r io.Reader) error {
	bufs := b.buffers.Get().(*buffers)
	defer b.buffers.Put(bufs)
	n, sum, err := hashing(ctx, bufs, f, io.LimitReader(r, size+1))
	if err != nil {
		return fmt.Errorf("blob %s: %w", i, err)
	}
	if n != size || !bytes.Equal(sum, i[:]) {
		return fmt.Errorf("blob %s of %d bytes: %w", i, size, store.ErrMismatch)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("blob %s: %w: %v", i, store.ErrUnavailable, err)
	}
	return nil
}

// hashing copies r to w and gives the length and the hash of what it copied.
func hashing(ctx context.Context, bufs *buffers, w io.Writer, r io.Reader) (n int64, sum []byte, err error) {
	free, full, done := make(chan []byte, 2), make(chan []byte, 2), make(chan []byte)
	free <- bufs[0][:]
	free <- bufs[1][:]
	go func() {
		h := sha256.New()
		for p := range full {
			h.Write(p)
			free <- p[:cap(p)]
		}
		done <- h.Sum(nil)
	}()
	defer func() { // also when it fails: the buffers are somebody else's then
		close(full)
		sum = <-done
	}()
	for {
		if err := ctx.Err(); err != nil {
			return n, nil, err
		}
		p := <-free
		var got int
		var end error
		for got < len(p) && end == nil { // not ReadFull: a body that was cut is no end
			var m int
			m, end = r.Read(p[got:])
			got += m
		}
		full <- p[:got]
		if _, err := w.Write(p[:got]); err != nil {
			return n, nil, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		n += int64(got)
		switch {
		case end == io.EOF:
			return n, nil, nil
		case end != nil:
			return n, nil, end
		}
	}
}

// ahead reads a file one piece before it is asked for, so that reading goes on
// beside what is done with the bytes.
type ahead struct {
	file *os.File
	full chan piece
	free chan []byte
	stop chan struct{}
	once sync.Once     // stops it
	back func()        // of the buffers
	gone chan struct{} // the reading has ended
	now  piece
	rest []byte // of now, not handed out
}

type piece struct {
	b   []byte
	err error // follows b
}

func (b *Blobs) readAhead(f *os.File) *ahead {
	bufs := b.buffers.Get().(*buffers)
	a := &ahead{file: f, full: make(chan piece), free: make(chan []byte, 2), stop: make(chan struct{}), gone: make(chan struct{}),
		back: func() { b.buffers.Put(bufs) }}
	a.free <- bufs[0][:]
	a.free <- bufs[1][:]
	go a.run()
	return a
}

func (a *ahead) run() {
	defer close(a.gone)
	for {
		var p piece
		select {
		case p.b = <-a.free:
		case <-a.stop:
			return
		}
		n, err := a.file.Read(p.b)
		p.b, p.err = p.b[:n], err
		select {
		case a.full <- p:
		case <-a.stop:
			return
		}
		if err != nil {
			return
		}
	}
}

func (a *ahead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.now.err != nil {
			return 0, a.now.err
		}
		if a.now.b != nil {
			a.free <- a.now.b[:cap(a.now.b)]
		}
		a.now = <-a.full
		a.rest = a.now.b
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// Close ends the reading. It must not be called beside Read.
func (a *ahead) Close() error {
	a.once.Do(func() {
		close(a.stop)
		<-a.gone
		a.rest = nil // the buffers are somebody else's now
		a.now = piece{err: os.ErrClosed}
		a.back()
	})
	return a.file.Close()
}
