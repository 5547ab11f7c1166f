package parquet

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	pq "github.com/parquet-go/parquet-go"
	pqformat "github.com/parquet-go/parquet-go/format"
)

// What follows looks whether a page holds as many values as its header says,
// before the library makes room for what the encoding claims. A run of one
// value, or a block of deltas, can claim millions in a few bytes.

// runs checks RLE and bit-packed runs (parquet-format, Encodings.md): at most
// values of them, of width bits.
func runs(b []byte, width uint, values int) error {
	for room := values; len(b) > 0; {
		head, n := binary.Uvarint(b)
		if n <= 0 || width > 32 {
			return fmt.Errorf("%w: a malformed run", ErrParquet)
		}
		b = b[n:]
		count, size := head>>1, uint64(width+7)/8
		if head&1 != 0 {
			count, size = (head>>1)*8, (head>>1)*uint64(width)
		}
		// Whole groups of eight are packed, so the last one may be too long.
		if head>>1 > maxValues || count > uint64(room+7) || size > uint64(len(b)) {
			return fmt.Errorf("%w: a run of %d values where %d are left", ErrParquet, count, room)
		}
		room, b = max(room-int(count), 0), b[size:]
	}
	return nil
}

// withLength is runs behind their length in bytes. It returns what follows.
func withLength(b []byte, width uint, values int) ([]byte, error) {
	if len(b) < 4 {
		return nil, fmt.Errorf("%w: a page is cut off", ErrParquet)
	}
	n := uint64(binary.LittleEndian.Uint32(b))
	if n > uint64(len(b)-4) {
		return nil, fmt.Errorf("%w: levels of %d bytes in a page of %d", ErrParquet, n, len(b))
	}
	return b[4+n:], runs(b[4:4+n], width, values)
}

// levelWidth is the bits of a definition level.
func levelWidth(most int) uint { return uint(bits.Len(uint(most))) }

// values checks the values of a data page, of which there are at most n. The
// error wraps errUnread for an encoding that cannot be bounded without decoding
// it.
func (p *pages) values(e pqformat.Encoding, b []byte, n int) error {
	switch e {
	case pqformat.Plain:
		if p.kind == pq.ByteArray {
			return texts(b, n, p.levels == 0)
		}
		return nil // as many bytes as values
	case pqformat.ByteStreamSplit:
		return nil
	case pqformat.PlainDictionary, pqformat.RLEDictionary:
		if len(b) == 0 {
			return nil
		}
		return runs(b[1:], uint(b[0]), n)
	case pqformat.RLE:
		if len(b) == 0 {
			return nil
		}
		_, err := withLength(b, 1, n)
		return err
	case pqformat.DeltaBinaryPacked, pqformat.DeltaLengthByteArray:
		return deltas(b, n)
	}
	return fmt.Errorf("%w: its pages are encoded as %s", errUnread, e)
}

// deltas checks the head of DELTA_BINARY_PACKED: values in a block, miniblocks in
// a block, values in all.
func deltas(b []byte, values int) error {
	var head [3]uint64
	for i := range head {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return fmt.Errorf("%w: a page is cut off", ErrParquet)
		}
		head[i], b = v, b[n:]
	}
	if head[0] > 1<<16 || head[1] > 1<<10 || head[2] > uint64(values) {
		return fmt.Errorf("%w: %d values in blocks of %d where %d belong", ErrParquet, head[2], head[0], values)
	}
	return nil
}

// texts checks that b is n lengths and texts, or fewer when some are null.
func texts(b []byte, n int, all bool) error {
	for ; len(b) > 0; n-- {
		if n == 0 || len(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-4) {
			return fmt.Errorf("%w: a text is longer than its page, or there is one too many", ErrParquet)
		}
		b = b[4+binary.LittleEndian.Uint32(b):]
	}
	if all && n > 0 {
		return fmt.Errorf("%w: a page has %d values too few", ErrParquet, n)
	}
	return nil
}
