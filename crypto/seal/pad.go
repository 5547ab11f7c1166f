package seal

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"

	"cipherdeck/crypto/cobblestone"
)

// padTrailer is the length of the content at the very end of a padded
// plaintext: content ‖ zeros ‖ u64. It is there even if the facts have the
// length too, because those of a pipe do not.
const padTrailer = 8

// PaddedSize is how much plaintext n bytes of content make in a padded
// container: n, a trailer of 8 bytes, and zeros up to the next length that
// Padmé allows (Nikitin et al., PETS 2019, section 4: a length may have as many
// significant bits as its exponent has bits and one more). The length then tells
// O(log log n) bits and costs at most 12 %.
func PaddedSize(n int64) int64 {
	total := uint64(n) + padTrailer
	exponent := bits.Len64(total) - 1
	low := exponent - bits.Len64(uint64(exponent)) // bits that must be zero
	mask := uint64(1)<<max(low, 0) - 1
	return int64((total + mask) &^ mask)
}

// writePad ends a padded plaintext after n bytes of content.
func writePad(w io.Writer, n int64) error {
	if err := writeZeros(w, PaddedSize(n)-padTrailer-n); err != nil {
		return err
	}
	_, err := w.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
	return err
}

func writeZeros(w io.Writer, n int64) error {
	zeros := make([]byte, min(n, 64<<10))
	for n > 0 {
		k, err := w.Write(zeros[:min(n, int64(len(zeros)))])
		if n -= int64(k); err != nil {
			return err
		}
	}
	return nil
}

// headOfPadded shows the content of a padded plaintext. That its end is zero
// is not looked at: only who made the container could have hidden bytes there,
// and they are never given out.
func headOfPadded(r *cobblestone.ReaderAt) (*cobblestone.ReaderAt, error) {
	var tail [padTrailer]byte
	if r.Size() < padTrailer {
		return nil, badPad("is too short")
	}
	if _, err := r.ReadAt(tail[:], r.Size()-padTrailer); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint64(tail[:])
	if n > uint64(r.Size()) || PaddedSize(int64(n)) != r.Size() {
		return nil, badPad("does not fit the length in it")
	}
	return r.Head(int64(n)), nil
}

func badPad(why string) error { return fmt.Errorf("%w: the padding %s", ErrHeader, why) }

// unpad takes the content out of a padded plaintext that comes in pieces, in
// constant memory: the last 8 bytes may be the trailer, and zeros before them
// the fill, so both are held back. Zeros are only counted.
type unpad struct {
	tail  []byte // the newest bytes, at most padTrailer
	zeros int64  // held back before tail
	out   int64  // given out
	buf   []byte // for read: plaintext
	ready []byte // for read: in buf, given out next
	owed  int64  // for read: zeros, given out before ready
	err   error  // for read: after all of that
}

// take adds plaintext. What it allows to give out: first owed zeros, then
// ready, which is in p or in a copy.
func (u *unpad) take(p []byte) (owed int64, ready []byte) {
	if len(p) < padTrailer {
		p = append(append(make([]byte, 0, 2*padTrailer), u.tail...), p...)
		u.tail = nil
	}
	keep := min(len(p), padTrailer)
	next := append(make([]byte, 0, padTrailer), p[len(p)-keep:]...)
	old, p := u.tail, p[:len(p)-keep]
	u.tail = next
	if hot(old) > 0 { // cannot be put before p without copying p
		p = append(append(make([]byte, 0, len(old)+len(p)), old...), p...)
	} else {
		u.zeros += int64(len(old))
	}
	n := hot(p)
	if n == 0 {
		u.zeros += int64(len(p))
		return 0, nil
	}
	owed = u.zeros
	u.zeros = int64(len(p) - n)
	u.out += owed + int64(n)
	return owed, p[:n]
}

// hot is the length of p without the zeros at its end.
func hot(p []byte) int {
	n := len(p)
	for n >= 8 && binary.NativeEndian.Uint64(p[n-8:]) == 0 {
		n -= 8
	}
	for n > 0 && p[n-1] == 0 {
		n--
	}
	return n
}

// end says how many of the zeros held back are content.
func (u *unpad) end() (int64, error) {
	if len(u.tail) < padTrailer {
		return 0, badPad("is too short")
	}
	n := binary.BigEndian.Uint64(u.tail)
	whole := u.out + u.zeros + padTrailer
	if n > uint64(whole) || PaddedSize(int64(n)) != whole {
		return 0, badPad("does not fit the length in it")
	}
	if int64(n) < u.out {
		return 0, badPad("is not zero")
	}
	return int64(n) - u.out, nil
}

// writeTo writes the content of src to dst.
func (u *unpad) writeTo(dst io.Writer, src io.WriterTo) (int64, error) {
	w := &countWriter{dst: dst}
	_, err := src.WriteTo(writerFunc(func(p []byte) (int, error) {
		owed, ready := u.take(p)
		if err := writeZeros(w, owed); err != nil {
			return 0, err
		}
		if len(ready) > 0 {
			if _, err := w.Write(ready); err != nil {
				return 0, err
			}
		}
		return len(p), nil
	}))
	if err != nil {
		return w.n, err
	}
	owed, err := u.end()
	if err == nil {
		err = writeZeros(w, owed)
	}
	return w.n, err
}

// read is io.Reader on the content of src, which repeats its errors.
func (u *unpad) read(src io.Reader, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for u.owed == 0 && len(u.ready) == 0 {
		if u.err != nil {
			return 0, u.err
		}
		if u.buf == nil {
			u.buf = make([]byte, 64<<10)
		}
		n, err := src.Read(u.buf)
		if n > 0 { // an error with it comes again
			u.owed, u.ready = u.take(u.buf[:n])
			continue
		}
		if err == io.EOF {
			owed, bad := u.end()
			if u.owed = owed; bad != nil {
				err = bad
			}
		}
		u.err = err
	}
	if u.owed > 0 {
		n := min(int64(len(p)), u.owed)
		clear(p[:n])
		u.owed -= n
		return int(n), nil
	}
	n := copy(p, u.ready)
	u.ready = u.ready[n:]
	return n, nil
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

type countWriter struct {
	dst io.Writer
	n   int64
}

func (w *countWriter) Write(p []byte) (int, error) {
	n, err := w.dst.Write(p)
	w.n += int64(n)
	return n, err
}
