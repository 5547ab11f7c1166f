package cobblestone

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
)

// Seal encrypts plaintext under key, bound to context. The work is shared
// among the processors when there is more than one batch of it.
func Seal(key [KeySize]byte, context, plaintext []byte) ([]byte, error) {
	return AppendSeal(nil, key, context, plaintext)
}

// AppendSeal is Seal that appends the message to dst, whose memory must not be
// plaintext's. With enough room in dst nothing large is allocated.
func AppendSeal(dst []byte, key [KeySize]byte, context, plaintext []byte) ([]byte, error) {
	m, header, err := newMessage(key, context)
	if err != nil {
		return nil, err
	}
	return appendSeal(dst, m, header, plaintext)
}

// AppendSealSalted is AppendSeal with a salt of the caller. Two plaintexts under
// one key, context and salt share key and nonces, and both are lost: salt must
// be the value of a secret pseudorandom function of context and plaintext, so
// that it repeats only when everything does. Then the same plaintext gives the
// same message.
func AppendSealSalted(dst []byte, key [KeySize]byte, salt [SaltSize]byte, context, plaintext []byte) ([]byte, error) {
	m, header, err := saltedMessage(key, salt, context)
	if err != nil {
		return nil, err
	}
	return appendSeal(dst, m, header, plaintext)
}

func appendSeal(dst []byte, m *message, header, plaintext []byte) ([]byte, error) {
	n := int(SealedSize(int64(len(plaintext))))
	dst = slices.Grow(dst, n)
	out := dst[len(dst) : len(dst)+n]
	copy(out, header)
	body := out[HeaderSize:]
	chunks := len(plaintext)/ChunkSize + 1
	err := share(chunks, func(from, to int) error {
		end, last := min(to*ChunkSize, len(plaintext)), to == chunks
		m.seal(body[from*sealedSize:from*sealedSize], plaintext[from*ChunkSize:end], int64(from), last)
		return nil
	})
	return dst[:len(dst)+n], err
}

// Open decrypts what Seal made. Nothing is returned unless all of it is
// authentic. Errors wrap ErrAuth or ErrTruncated.
func Open(key [KeySize]byte, context, sealed []byte) ([]byte, error) {
	if len(sealed) < HeaderSize {
		return nil, fmt.Errorf("%w: %d bytes, the header alone has %d", ErrTruncated, len(sealed), HeaderSize)
	}
	m, err := openMessage(key, sealed[:HeaderSize], context)
	if err != nil {
		return nil, err
	}
	size, err := PlainSize(int64(len(sealed)))
	if err != nil {
		return nil, err
	}
	out, body := make([]byte, size), sealed[HeaderSize:]
	chunks := len(body)/sealedSize + 1
	err = share(chunks, func(from, to int) error {
		end, last := min(to*sealedSize, len(body)), to == chunks
		_, err := m.open(out[from*ChunkSize:from*ChunkSize], body[from*sealedSize:end], int64(from), last)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// share calls work on ranges of chunks that together are all of them, on as
// many processors as have at least a batch to do. The error is that of the
// first range that failed.
func share(chunks int, work func(from, to int) error) error {
	n := max(1, min(runtime.GOMAXPROCS(0), chunks/batchChunks))
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = work(chunks*i/n, chunks*(i+1)/n) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
