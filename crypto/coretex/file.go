package coretex

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"io"
	"path/filepath"

	"cipherdeck/crypto/seal"
)

// Warning is what a person must be told before a Coretex file is trusted.
const Warning = "This format has no integrity protection: a wrong key, changed bytes and a missing end are not noticed. " +
	"A file whose length was a multiple of 16 and whose last bytes look like padding loses them (1 in 260). Compare the result with the original if you can."

const block = aes.BlockSize

// Result is what can be known about a file that was read.
type Result struct {
	Size    int64 // of the plaintext in bytes
	Removed int   // bytes at the end that were taken for padding, 0 to 16
	Zip     bool  // begins as a ZIP file; Coretex stores samples so, and a wrong key makes none
}

// Reader decrypts a Coretex file: IV 16 ‖ AES-256-CBC blocks. PKCS#7 padding was
// added only where the length was no multiple of 16, and nothing says where;
// so, as Coretex's own reader does, it is removed where the last block ends like
// padding. Nothing that it gives out is authenticated: see Warning.
type Reader struct {
	src  io.Reader
	mode cipher.BlockMode
	buf  []byte // decrypted, not given out; its last block is held back
	err  error
	res  Result
}

// NewReader reads the IV from src. Errors wrap ErrFile when there is none.
func NewReader(src io.Reader, key [32]byte) (*Reader, error) {
	c, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	iv := make([]byte, block)
	if _, err := io.ReadFull(src, iv); err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, fmt.Errorf("%w: it is shorter than its IV of 16 bytes", ErrFile)
	} else if err != nil {
		return nil, err
	}
	return &Reader{src: src, mode: cipher.NewCBCDecrypter(c, iv)}, nil
}

// Read gives plaintext. Errors wrap ErrFile when the length is none that
// Coretex writes.
func (r *Reader) Read(p []byte) (int, error) {
	for r.err == nil && len(r.buf) <= block {
		r.fill()
	}
	free := len(r.buf)
	if r.err == nil {
		free -= block
	}
	if free == 0 {
		return 0, r.err
	}
	n := copy(p, r.buf[:free])
	r.buf = r.buf[n:]
	r.res.Size += int64(n)
	return n, nil
}

// fill decrypts more, and takes the padding away at the end.
func (r *Reader) fill() {
	next := make([]byte, len(r.buf)+64<<10)
	kept := copy(next, r.buf)
	n, err := io.ReadFull(r.src, next[kept:])
	switch {
	case err != nil && err != io.EOF && err != io.ErrUnexpectedEOF:
		r.err, r.buf = err, nil
		return
	case n%block != 0:
		r.err, r.buf = fmt.Errorf("%w: %d bytes after its last whole block", ErrFile, n%block), nil
		return
	}
	r.mode.CryptBlocks(next[kept:kept+n], next[kept:kept+n])
	if r.res.Size == 0 && kept == 0 {
		r.res.Zip = bytes.HasPrefix(next[:n], []byte("PK\x03\x04"))
	}
	r.buf = next[:kept+n]
	if err != nil {
		r.err = io.EOF
		r.res.Removed = padding(r.buf)
		r.buf = r.buf[:len(r.buf)-r.res.Removed]
	}
}

// padding is the length of what looks like PKCS#7 padding at the end of b.
func padding(b []byte) int {
	if len(b) < block {
		return 0
	}
	n := int(b[len(b)-1])
	if n < 1 || n > block || !bytes.Equal(b[len(b)-n:], bytes.Repeat([]byte{byte(n)}, n)) {
		return 0
	}
	return n
}

// Result is complete when Read has returned io.EOF.
func (r *Reader) Result() Result { return r.res }

// Rewrap seals a Coretex file as the container out, whole or not at all, without
// the plaintext ever being on disk. Tell the person Warning before. Errors are
// those of NewReader, Read, seal.SealStream and seal.ConvertFile.
func Rewrap(ctx context.Context, out, in string, key [32]byte, to []seal.Recipient, o seal.FileOptions) (Result, error) {
	var res Result
	err := seal.ConvertFile(out, in, o.Force, func(w io.Writer, src io.Reader) error {
		r, err := NewReader(src, key)
		if err != nil {
			return err
		}
		m := seal.Meta{Name: seal.FileName(filepath.Base(in)), Size: seal.SizeUnknown}
		err = seal.SealStream(ctx, w, r, m, to, o)
		res = r.Result()
		return err
	})
	if err != nil {
		return Result{}, fmt.Errorf("import %s: %w", in, err)
	}
	return res, nil
}
