// Package cbchmac encrypts one large message in chunks by AES-256-CBC and
// HMAC-SHA-512, encrypt-then-MAC, for readers who must have CBC. Use package
// cobblestone otherwise: it is several times faster, works in parallel and
// reads any part alone.
//
//	message = salt 24 ‖ commitment 32 ‖ chunk 0 ‖ chunk 1 ‖ … ‖ last chunk
//	MAC key 32 ‖ AES key 32 ‖ commitment 32 = HKDF-Expand-SHA-512(input key,
//	    "cipherdeck/cbc-hmac/v1" ‖ 00 ‖ salt ‖ context)
//	chunk k = IV 16 ‖ E ‖ T, which is A256CBC-HS512 of RFC 7518 section 5.2.5
//	    under (MAC key ‖ AES key) with the associated data u64 k:
//	    E = AES-256-CBC(IV, at most 16384 bytes and PKCS#7 padding)
//	    T = first 32 bytes of HMAC-SHA-512(u64 k ‖ IV ‖ E ‖ u64 64)
//
// As in Cobblestone-256, every chunk but the last holds exactly 16384 bytes and
// the last fewer, possibly none; so a cut, a move and an exchange of chunks are
// noticed. Padding is looked at only after T was compared in constant time.
package cbchmac

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	keySize    = 32
	chunkSize  = 16 << 10
	saltSize   = 24
	commitSize = 32
	headerSize = saltSize + commitSize
	tagSize    = 32
	block      = aes.BlockSize
	sealedSize = block + chunkSize + block + tagSize // of a full chunk: IV, data and padding, tag
)

// The errors that Reader wraps.
var (
	ErrAuth      = errors.New("encrypted message does not authenticate")
	ErrTruncated = errors.New("encrypted message is cut off")
)

var errClosed = errors.New("cbchmac: write after Close or Abort")

// message holds the keys of one message.
type message struct {
	block cipher.Block
	mac   []byte
	k     uint64 // number of the next chunk
}

func derive(key [keySize]byte, salt, context []byte) (*message, []byte, error) {
	info := "cipherdeck/cbc-hmac/v1\x00" + string(salt) + string(context)
	okm, err := hkdf.Expand(sha512.New, key[:], info, 2*keySize+commitSize)
	if err != nil {
		return nil, nil, fmt.Errorf("derive keys: %w", err)
	}
	c, err := aes.NewCipher(okm[keySize : 2*keySize])
	return &message{block: c, mac: okm[:keySize]}, okm[2*keySize:], err
}

func (m *message) tag(sealed []byte) []byte {
	h := hmac.New(sha512.New, m.mac)
	h.Write(binary.BigEndian.AppendUint64(nil, m.k))
	h.Write(sealed)
	h.Write(binary.BigEndian.AppendUint64(nil, 64)) // length of the number in bits
	return h.Sum(nil)[:tagSize]
}

// seal is the next chunk.
func (m *message) seal(plain []byte) []byte {
	n := block - len(plain)%block
	out := make([]byte, block, block+len(plain)+n+tagSize)
	rand.Read(out)
	out = append(append(out, plain...), bytes.Repeat([]byte{byte(n)}, n)...)
	cipher.NewCBCEncrypter(m.block, out[:block]).CryptBlocks(out[block:], out[block:])
	out = append(out, m.tag(out)...)
	m.k++
	return out
}

// open is the plaintext of the next chunk, decrypted in place.
func (m *message) open(sealed []byte) ([]byte, error) {
	body := len(sealed) - tagSize
	if body < 2*block || body%block != 0 {
		return nil, fmt.Errorf("%w: it ends %d bytes into chunk %d", ErrTruncated, len(sealed), m.k)
	}
	if !hmac.Equal(m.tag(sealed[:body]), sealed[body:]) {
		return nil, fmt.Errorf("%w: chunk %d was changed, moved or cut", ErrAuth, m.k)
	}
	plain := sealed[block:body]
	cipher.NewCBCDecrypter(m.block, sealed[:block]).CryptBlocks(plain, plain)
	n := padding(plain)
	if n == 0 {
		return nil, fmt.Errorf("%w: chunk %d has a padding that no writer makes", ErrAuth, m.k)
	}
	m.k++
	return plain[:len(plain)-n], nil
}

// padding is the length of the PKCS#7 padding of whole blocks, 0 if it is none.
func padding(plain []byte) int {
	n := int(plain[len(plain)-1])
	if n < 1 || n > block || !bytes.Equal(plain[len(plain)-n:], bytes.Repeat([]byte{byte(n)}, n)) {
		return 0
	}
	return n
}

// Writer encrypts a stream, for one goroutine.
type Writer struct {
	dst io.Writer
	m   *message
	buf []byte // less than a chunk between calls
	err error
}

// NewWriter writes the header of a message to dst. End with Close, which makes
// the message whole, or Abort, which leaves it invalid.
func NewWriter(dst io.Writer, key [32]byte, context []byte) (*Writer, error) {
	header := make([]byte, headerSize)
	rand.Read(header[:saltSize])
	m, commit, err := derive(key, header[:saltSize], context)
	if err != nil {
		return nil, err
	}
	copy(header[saltSize:], commit)
	if _, err := dst.Write(header); err != nil {
		return nil, err
	}
	return &Writer{dst: dst, m: m, buf: make([]byte, 0, chunkSize)}, nil
}

// Write takes plaintext.
func (w *Writer) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if w.err != nil {
			return n - len(p), w.err
		}
		k := copy(w.buf[len(w.buf):chunkSize], p)
		w.buf, p = w.buf[:len(w.buf)+k], p[k:]
		if len(w.buf) == chunkSize {
			w.flush()
		}
	}
	return n, w.err
}

// ReadFrom takes plaintext from src until io.EOF.
func (w *Writer) ReadFrom(src io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{src}, make([]byte, 64<<10))
}

func (w *Writer) flush() {
	_, w.err = w.dst.Write(w.m.seal(w.buf))
	w.buf = w.buf[:0]
}

// Close writes the last chunk. It does not close dst.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	w.flush()
	err := w.err
	w.err = errClosed
	return err
}

// Abort gives the message up.
func (w *Writer) Abort() {
	if w.err == nil {
		w.err = errClosed
	}
}

// Reader decrypts a stream. What it returns is authentic; the message is whole
// only at io.EOF.
type Reader struct {
	src   io.Reader
	m     *message
	buf   []byte
	plain []byte // not given out
	err   error
}

// NewReader reads the header of a message from src, which must end where the
// message ends. Errors wrap ErrAuth or ErrTruncated.
func NewReader(src io.Reader, key [32]byte, context []byte) (*Reader, error) {
	header := make([]byte, headerSize)
	if n, err := io.ReadFull(src, header); err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, fmt.Errorf("%w: %d bytes, the header alone has %d", ErrTruncated, n, headerSize)
	} else if err != nil {
		return nil, err
	}
	m, commit, err := derive(key, header[:saltSize], context)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(commit, header[saltSize:]) != 1 {
		return nil, fmt.Errorf("%w: it was made under another key or context, or its first %d bytes were changed", ErrAuth, headerSize)
	}
	return &Reader{src: src, m: m, buf: make([]byte, sealedSize)}, nil
}

// Read returns authenticated plaintext.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.plain) == 0 && r.err == nil {
		r.fill()
	}
	if len(r.plain) == 0 {
		return 0, r.err
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

// WriteTo writes all the plaintext to dst.
func (r *Reader) WriteTo(dst io.Writer) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{r}, make([]byte, chunkSize))
}

// fill opens the next chunk. Only a chunk that is shorter than a full one may
// be the last, and it must be there.
func (r *Reader) fill() {
	n, err := io.ReadFull(r.src, r.buf)
	switch err {
	case nil, io.ErrUnexpectedEOF:
	case io.EOF:
		r.err = fmt.Errorf("%w: chunk %d must be there", ErrTruncated, r.m.k)
		return
	default:
		r.err = err
		return
	}
	r.plain, r.err = r.m.open(r.buf[:n])
	switch {
	case r.err != nil:
		r.plain = nil
	case n < sealedSize: // too short to hold a full chunk
		r.err = io.EOF
	case len(r.plain) != chunkSize:
		r.plain, r.err = nil, fmt.Errorf("%w: chunk %d is not full", ErrAuth, r.m.k-1)
	}
}
