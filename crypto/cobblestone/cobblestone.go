package cobblestone

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
)

// Sizes in bytes.
const (
	KeySize    = 32
	ChunkSize  = 16 << 10 // plaintext of every chunk but the last
	SaltSize   = 24
	HeaderSize = SaltSize + commitSize

	commitSize = 32
	nonceSize  = 12
	tagSize    = 16
	sealedSize = ChunkSize + tagSize
)

// maxChunks is the limit of the specification: 4 PiB of plaintext.
const maxChunks = 1 << 38

// The errors that readers wrap. ErrAuth is a wrong key, a wrong context or
// changed bytes; a cut inside a chunk looks the same.
var (
	ErrAuth      = errors.New("encrypted message does not authenticate")
	ErrTruncated = errors.New("encrypted message is cut off")
	ErrTooLong   = errors.New("message is longer than 4 PiB")
)

// message holds the keys of one message.
type message struct {
	aead cipher.AEAD
	base [nonceSize]byte
}

// newMessage draws a salt and returns the keys with the header to write.
func newMessage(key [KeySize]byte, context []byte) (*message, []byte, error) {
	var salt [SaltSize]byte
	rand.Read(salt[:])
	return saltedMessage(key, salt, context)
}

func saltedMessage(key [KeySize]byte, salt [SaltSize]byte, context []byte) (*message, []byte, error) {
	header := make([]byte, HeaderSize)
	copy(header, salt[:])
	m, commit, err := derive(key, header[:SaltSize], context)
	copy(header[SaltSize:], commit)
	return m, header, err
}

// openMessage checks the commitment in header. Errors wrap ErrAuth.
func openMessage(key [KeySize]byte, header, context []byte) (*message, error) {
	m, commit, err := derive(key, header[:SaltSize], context)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(commit, header[SaltSize:]) != 1 {
		return nil, fmt.Errorf("%w: it was made under another key or context, or its first %d bytes were changed", ErrAuth, HeaderSize)
	}
	return m, nil
}

func derive(key [KeySize]byte, salt, context []byte) (*message, []byte, error) {
	info := "c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00" + string(salt) + string(context)
	okm, err := hkdf.Expand(sha512.New, key[:], info, KeySize+nonceSize+commitSize)
	if err != nil {
		return nil, nil, fmt.Errorf("derive keys: %w", err)
	}
	block, err := aes.NewCipher(okm[:KeySize])
	if err != nil {
		return nil, nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, nil, err
	}
	return &message{aead, [nonceSize]byte(okm[KeySize:])}, okm[KeySize+nonceSize:], nil
}

// nonce writes the nonce of a chunk to n.
func (m *message) nonce(n *[nonceSize]byte, chunk int64) []byte {
	*n = m.base
	low := binary.BigEndian.Uint64(n[4:])
	binary.BigEndian.PutUint64(n[4:], low^uint64(chunk))
	return n[:]
}

// seal appends to dst the chunks of plain, the first of which is number first.
// With last, the message ends here: the remainder becomes the short last chunk,
// even if it is empty. Without, plain must be whole chunks.
func (m *message) seal(dst, plain []byte, first int64, last bool) []byte {
	k, n := first, new([nonceSize]byte)
	for ; len(plain) >= ChunkSize; k++ {
		dst = m.aead.Seal(dst, m.nonce(n, k), plain[:ChunkSize], nil)
		plain = plain[ChunkSize:]
	}
	if last {
		dst = m.aead.Seal(dst, m.nonce(n, k), plain, nil)
	}
	return dst
}

// open appends to dst the plaintext of sealed, which begins at chunk first.
// When a chunk fails, dst has the chunks before it and nothing else.
func (m *message) open(dst, sealed []byte, first int64, last bool) ([]byte, error) {
	k, n := first, new([nonceSize]byte)
	for ; len(sealed) >= sealedSize; k++ {
		out, err := m.openChunk(dst, sealed[:sealedSize], n, k)
		if err != nil {
			return dst, err
		}
		dst, sealed = out, sealed[sealedSize:]
	}
	if !last {
		return dst, nil
	}
	if len(sealed) < tagSize {
		return dst, fmt.Errorf("%w: it ends %d bytes into chunk %d, which must be there", ErrTruncated, len(sealed), k)
	}
	out, err := m.openChunk(dst, sealed, n, k)
	if err != nil {
		return dst, err
	}
	return out, nil
}

func (m *message) openChunk(dst, sealed []byte, n *[nonceSize]byte, k int64) ([]byte, error) {
	out, err := m.aead.Open(dst, m.nonce(n, k), sealed, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: chunk %d (byte %d) was changed, moved or cut", ErrAuth, k, HeaderSize+k*sealedSize)
	}
	return out, nil
}

// SealedSize is the length of the message that n bytes of plaintext make.
func SealedSize(n int64) int64 { return HeaderSize + n + (n/ChunkSize+1)*tagSize }

// PlainSize is the length of the plaintext in a message of n bytes. Lengths
// that no message has wrap ErrTruncated, or ErrTooLong.
func PlainSize(n int64) (int64, error) {
	body := n - HeaderSize
	chunks, rest := body/sealedSize, body%sealedSize
	if body < tagSize || rest < tagSize {
		return 0, fmt.Errorf("%w: no message has %d bytes", ErrTruncated, n)
	}
	if chunks >= maxChunks {
		return 0, fmt.Errorf("%w: %d bytes", ErrTooLong, n)
	}
	return chunks*ChunkSize + rest - tagSize, nil
}
