package seal

import (
	"context"
	"errors"
	"fmt"
	"io"

	"cipherdeck/crypto/cbchmac"
	"cipherdeck/crypto/cobblestone"
	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/secmem"
)

// maxHidden bounds the work that stanzas without key ids can ask for.
const maxHidden = 64

// Reader is an open container. Its header is authentic; its plaintext comes
// authenticated chunk by chunk and is whole only at io.EOF (Read) or when
// WriteTo returns nil. It is for one goroutine.
type Reader struct {
	Meta Meta
	Info Info
	src  plaintext
	pad  *unpad // nil if the container is not padded
	n    int64  // content given out
}

// Open reads the header of a container from src, which must end where the
// container ends, and opens it with the first identity that fits.
//
// Errors wrap ErrNotContainer, ErrVersion, ErrHeader, ErrTruncated, ErrAuth,
// ErrNotRecipient, ErrPassphrase or keys.ErrKDF.
func Open(src io.Reader, ids ...Identity) (*Reader, error) {
	h, k, m, err := openHeader(src, ids)
	if err != nil {
		return nil, err
	}
	return h.reader(src, k, m)
}

// reader reads the payload, which begins where src is.
func (h *header) reader(src io.Reader, k fileKeys, m Meta) (*Reader, error) {
	r, err := newPlaintext(src, h, k)
	if err != nil {
		return nil, payloadError(err)
	}
	out := &Reader{Meta: m, Info: h.info(), src: r}
	if out.Info.Padded() {
		out.pad = &unpad{}
	}
	return out, nil
}

// plaintext is the reader of either suite.
type plaintext interface {
	io.Reader
	io.WriterTo
}

func newPlaintext(src io.Reader, h *header, k fileKeys) (plaintext, error) {
	if h.flags&flagCBC != 0 {
		return cbchmac.NewReader(src, k.payload, h.payloadContext())
	}
	return cobblestone.NewReader(src, k.payload, h.payloadContext())
}

// OpenAt opens a container of size bytes for reading any part of it. Errors
// wrap ErrSuite for the CBC suite, which is read from the beginning only, and
// are otherwise those of Open.
func OpenAt(src io.ReaderAt, size int64, ids ...Identity) (*cobblestone.ReaderAt, Meta, error) {
	h, k, m, err := openHeader(io.NewSectionReader(src, 0, size), ids)
	if err != nil {
		return nil, Meta{}, err
	}
	if h.flags&flagCBC != 0 {
		return nil, Meta{}, fmt.Errorf("%w to any part of it; open the whole", ErrSuite)
	}
	at, n := int64(len(h.raw)), size-int64(len(h.raw))
	r, err := cobblestone.NewReaderAt(io.NewSectionReader(src, at, n), n, k.payload, h.payloadContext())
	if err != nil {
		return nil, Meta{}, payloadError(err)
	}
	if h.flags&flagPadded != 0 {
		if r, err = headOfPadded(r); err != nil {
			return nil, Meta{}, payloadError(err)
		}
	}
	return r, m, m.checkSize(r.Size())
}

// Read returns authenticated plaintext. Errors wrap ErrAuth, ErrTruncated, or
// ErrHeader when the plaintext is not as long as the header says.
func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.read(p)
	r.n += int64(n)
	if err == io.EOF {
		if bad := r.Meta.checkSize(r.n); bad != nil {
			err = bad
		}
	}
	return n, payloadError(err)
}

// read is Read before the length has been checked.
func (r *Reader) read(p []byte) (int, error) {
	if r.pad == nil {
		return r.src.Read(p)
	}
	return r.pad.read(r.src, p)
}

// WriteTo writes all the plaintext to dst, the fast way.
func (r *Reader) WriteTo(dst io.Writer) (n int64, err error) {
	if r.pad == nil {
		n, err = r.src.WriteTo(dst)
	} else {
		n, err = r.pad.writeTo(dst, r.src)
	}
	if r.n += n; err == nil {
		err = r.Meta.checkSize(r.n)
	}
	return n, payloadError(err)
}

// Copy is WriteTo that stops when ctx does and reports to sink, which may be nil.
func (r *Reader) Copy(ctx context.Context, dst io.Writer, sink progress.Sink) (int64, error) {
	if sink == nil {
		sink = progress.Discard{}
	}
	sink.Phase("open", max(r.Meta.Size, 0), progress.Bytes)
	return r.WriteTo(watchedWriter{ctx, dst, sink})
}

type watchedWriter struct {
	ctx  context.Context
	dst  io.Writer
	sink progress.Sink
}

func (w watchedWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.dst.Write(p)
	w.sink.Add(int64(n))
	return n, err
}

func (m Meta) checkSize(n int64) error {
	if m.Size != SizeUnknown && m.Size != n {
		return fmt.Errorf("%w: it says %d bytes of content, there are %d", ErrHeader, m.Size, n)
	}
	return nil
}

// openHeader reads a header and authenticates it.
func openHeader(src io.Reader, ids []Identity) (h *header, k fileKeys, m Meta, err error) {
	if h, err = readHeader(src); err != nil {
		return nil, k, m, err
	}
	if _, k, err = h.open(ids); err != nil {
		return nil, k, m, err
	}
	m, err = k.openMeta(h.meta)
	return h, k, m, err
}

// open finds the file key, and believes the header only then.
func (h *header) open(ids []Identity) (key FileKey, k fileKeys, err error) {
	secmem.Do(func() {
		if key, err = h.unwrap(ids); err == nil {
			k, err = key.expand(h.file)
		}
		if err == nil {
			err = k.checkMAC(h.raw)
		}
	})
	return key, k, err
}

// unwrap tries every identity on every stanza. A stanza that is ours and does
// not open is remembered, in case another one does.
func (h *header) unwrap(ids []Identity) (FileKey, error) {
	var worst error
	tries := 0
	for _, s := range h.stanzas {
		hidden := s.info().Hidden
		for _, i := range ids {
			if hidden {
				if tries++; tries > maxHidden {
					return FileKey{}, fmt.Errorf("%w: none of the first %d hidden recipients", ErrNotRecipient, maxHidden)
				}
			}
			k, err := i.Unwrap(s, h.file)
			if err == nil {
				return k, nil
			}
			if !hidden && !errors.Is(err, ErrNotRecipient) && worst == nil {
				worst = err
			}
		}
	}
	if worst == nil && len(h.stanzas) == 1 && h.stanzas[0].Type == TypePassphrase {
		worst = fmt.Errorf("%w, not by a key: %w", ErrByPassphrase, ErrNotRecipient)
	}
	if worst == nil {
		worst = fmt.Errorf("%w: it has %d recipients", ErrNotRecipient, len(h.stanzas))
	}
	return FileKey{}, worst
}

// phase announces the opening of m to the sink in o, which it returns.
func phase(o FileOptions, m Meta) progress.Sink {
	sink := o.Sink
	if sink == nil {
		sink = progress.Discard{}
	}
	sink.Phase("open", max(m.Size, 0), progress.Bytes)
	return sink
}
