package seal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"cipherdeck/crypto/cbchmac"
	"cipherdeck/crypto/cobblestone"
	"cipherdeck/crypto/progress"
)

// Seal writes to dst a container of what src gives until io.EOF, for all of
// to. If m.Size is not SizeUnknown, src must give exactly that much: say
// SizeUnknown for a pipe, 0 means an empty file.
//
// On error dst holds the beginning of a container that will not open. sink may
// be nil. Errors wrap ErrRecipients, ErrMeta, the errors of package keys, of
// ctx, src or dst.
func Seal(ctx context.Context, dst io.Writer, src io.Reader, m Meta, to []Recipient, sink progress.Sink) error {
	return sealFlags(ctx, dst, src, m, to, 0, sink)
}

// SealStream is Seal with the options of SealFile; Force has no meaning here.
func SealStream(ctx context.Context, dst io.Writer, src io.Reader, m Meta, to []Recipient, o FileOptions) error {
	return sealFlags(ctx, dst, src, m, to, o.flags(), o.Sink)
}

func sealFlags(ctx context.Context, dst io.Writer, src io.Reader, m Meta, to []Recipient, flags uint16, sink progress.Sink) error {
	return sealWith(dst, m, to, flags, func(w payload) error {
		n, err := w.ReadFrom(watch(ctx, src, "seal", m.Size, sink))
		if err == nil && m.Size != SizeUnknown && n != m.Size {
			err = fmt.Errorf("%w: %d bytes were read, %d announced; did the input change meanwhile?", ErrMeta, n, m.Size)
		}
		if err == nil && flags&flagPadded != 0 {
			err = writePad(w, n)
		}
		return err
	})
}

// payload is the writer of either suite.
type payload interface {
	io.Writer
	io.ReaderFrom
	Close() error
	Abort()
}

func newPayload(dst io.Writer, h *header, k fileKeys) (payload, error) {
	if h.flags&flagCBC != 0 {
		return cbchmac.NewWriter(dst, k.payload, h.payloadContext())
	}
	return cobblestone.NewWriter(dst, k.payload, h.payloadContext())
}

// sealWith writes a container whose plaintext is what fill writes.
func sealWith(dst io.Writer, m Meta, to []Recipient, flags uint16, fill func(payload) error) error {
	h, k, err := newHeader(m, to, flags)
	if err != nil {
		return err
	}
	if _, err := dst.Write(h.raw); err != nil {
		return fmt.Errorf("write container: %w", err)
	}
	w, err := newPayload(dst, h, k)
	if err != nil {
		return fmt.Errorf("write container: %w", err)
	}
	if err := fill(w); err != nil {
		w.Abort()
		return err
	}
	return w.Close()
}

// newHeader draws the keys of a new container and addresses it.
func newHeader(m Meta, to []Recipient, flags uint16) (*header, fileKeys, error) {
	if len(to) < 1 || len(to) > maxStanzas {
		return nil, fileKeys{}, fmt.Errorf("%w: there are %d, want 1 to %d", ErrRecipients, len(to), maxStanzas)
	}
	var key FileKey
	h := &header{flags: flags}
	rand.Read(key[:])
	rand.Read(h.file[:])
	k, err := key.expand(h.file)
	if err != nil {
		return nil, k, err
	}
	if h.meta, err = k.sealMeta(m); err != nil {
		return nil, k, err
	}
	if err := h.address(key, to); err != nil {
		return nil, k, err
	}
	return h, k, h.finish(k)
}

// finish lays the header out and authenticates it.
func (h *header) finish(k fileKeys) (err error) {
	if h.raw, err = h.build(); err != nil {
		return err
	}
	copy(h.raw[len(h.raw)-macSize:], k.mac(h.raw))
	return nil
}

// address adds a stanza for each recipient, none twice, none that is there.
func (h *header) address(key FileKey, to []Recipient) error {
	if n := len(h.stanzas) + len(to); n > maxStanzas {
		return fmt.Errorf("%w: there would be %d, at most %d are possible", ErrRecipients, n, maxStanzas)
	}
	seen := map[string]int{}
	for i, s := range h.stanzas {
		seen[s.info().key()] = i
	}
	for i, r := range to {
		s, err := r.Wrap(key, h.file)
		if err != nil {
			return fmt.Errorf("recipient %d: %w", i+1, err)
		}
		if name := s.info().key(); name != "" {
			if j, twice := seen[name]; twice {
				return fmt.Errorf("%w: %d and %d are the same", ErrRecipients, j+1, len(h.stanzas)+1)
			}
			seen[name] = len(h.stanzas)
		}
		h.stanzas = append(h.stanzas, s)
	}
	if err := checkAlone(h.stanzas); err != nil {
		return fmt.Errorf("%w: a passphrase must be alone", ErrRecipients)
	}
	return nil
}

// watched is a source that stops when its context does and reports progress.
type watched struct {
	ctx  context.Context
	src  io.Reader
	sink progress.Sink
}

func watch(ctx context.Context, src io.Reader, phase string, total int64, sink progress.Sink) io.Reader {
	if sink == nil {
		sink = progress.Discard{}
	}
	sink.Phase(phase, max(total, 0), progress.Bytes)
	return watched{ctx, src, sink}
}

func (w watched) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.src.Read(p)
	w.sink.Add(int64(n))
	return n, err
}

// payloadError says of a container what cobblestone says of a payload.
func payloadError(err error) error {
	switch {
	case errors.Is(err, ErrTruncated), errors.Is(err, ErrAuth): // said already
	case errors.Is(err, cobblestone.ErrTruncated), errors.Is(err, cbchmac.ErrTruncated):
		return fmt.Errorf("%w: %w", ErrTruncated, err)
	case errors.Is(err, cobblestone.ErrAuth), errors.Is(err, cbchmac.ErrAuth):
		return fmt.Errorf("%w: %w", ErrAuth, err)
	}
	return err
}
