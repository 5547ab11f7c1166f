package seal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"cipherdeck/crypto/cobblestone"
	"cipherdeck/crypto/progress"
)

// sealParallel is Seal from file to file; m.Size is the file's.
func sealParallel(ctx context.Context, dst, src *os.File, m Meta, to []Recipient, sink progress.Sink) error {
	h, k, err := newHeader(m, to, 0)
	if err != nil {
		return err
	}
	if _, err := dst.Write(h.raw); err != nil {
		return fmt.Errorf("write container: %w", err)
	}
	if sink == nil {
		sink = progress.Discard{}
	}
	sink.Phase("seal", m.Size, progress.Bytes)
	err = cobblestone.SealParallel(io.NewOffsetWriter(dst, int64(len(h.raw))), watchedAt{ctx, src, sink}, m.Size, k.payload, h.payloadContext())
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w; did the input change meanwhile?", ErrMeta, err)
	}
	if err != nil {
		return err
	}
	if n, _ := src.ReadAt(make([]byte, 1), m.Size); n > 0 {
		return fmt.Errorf("%w: there are more than the %d bytes announced; did the input change meanwhile?", ErrMeta, m.Size)
	}
	return nil
}

// openParallel is Reader.Copy from file to file; size is the container's.
func openParallel(ctx context.Context, dst, src *os.File, size int64, h *header, k fileKeys, m Meta, o FileOptions) error {
	at := int64(len(h.raw))
	out := watchedOut{ctx, dst, phase(o, m)}
	n, err := cobblestone.OpenParallel(out, io.NewSectionReader(src, at, size-at), size-at, k.payload, h.payloadContext())
	if err == nil {
		err = m.checkSize(n)
	}
	return payloadError(err)
}

// watchedAt is a source that stops when its context does and reports progress.
type watchedAt struct {
	ctx  context.Context
	src  io.ReaderAt
	sink progress.Sink
}

func (w watchedAt) ReadAt(p []byte, off int64) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.src.ReadAt(p, off)
	w.sink.Add(int64(n))
	return n, err
}

// watchedOut is the same for where plaintext goes.
type watchedOut struct {
	ctx  context.Context
	dst  io.WriterAt
	sink progress.Sink
}

func (w watchedOut) WriteAt(p []byte, off int64) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.dst.WriteAt(p, off)
	w.sink.Add(int64(n))
	return n, err
}
