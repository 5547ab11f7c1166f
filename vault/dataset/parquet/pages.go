package parquet

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"
	pq "github.com/parquet-go/parquet-go"
	pqformat "github.com/parquet-go/parquet-go/format"
)

// errUnread is for a column that a sound file may have and that is not read.
var errUnread = errors.New("not read")

// Bounds of one page. Those that writers make have about 1 MiB.
const (
	maxPage       = 16 << 20 // bytes, packed or not
	maxValues     = 2 << 20
	maxPageHeader = 1 << 20 // it may hold a least and a greatest value
)

// firstByte is where the pages of every chunk begin for the library.
const firstByte = 4

// pages gives the library the pages of one column chunk, in order and one at a
// time: each is bounded, checked and unpacked before it is shown. The library
// itself would believe the sizes in the headers.
type pages struct {
	src     io.ReaderAt
	at, end int64 // in the file
	codec   pqformat.CompressionCodec
	kind    pq.Kind
	levels  int // highest definition level
	zstd    *zstd.Decoder
	dict    bool // there was a dictionary

	cur []byte // of the page that is shown
	off int64  // where cur begins for the library
	err error  // what ended it
}

// ReadAt goes forward only: the library reads a chunk from end to end.
func (p *pages) ReadAt(b []byte, off int64) (int, error) {
	if off != p.off {
		return 0, p.stop(fmt.Errorf("%w: a dictionary is missing or not in front", ErrParquet))
	}
	for len(p.cur) == 0 {
		if p.err != nil {
			return 0, p.err
		}
		if p.at >= p.end {
			return 0, io.EOF
		}
		if err := p.next(); err != nil {
			return 0, p.stop(err)
		}
	}
	n := copy(b, p.cur)
	p.cur, p.off = p.cur[n:], p.off+int64(n)
	return n, nil
}

func (p *pages) stop(err error) error {
	if p.err == nil {
		p.err = err
	}
	return p.err
}

// next makes the next page the one that is shown.
func (p *pages) next() error {
	h, err := p.header()
	if err != nil {
		return err
	}
	body, err := p.body(h)
	if err != nil {
		return err
	}
	switch h.Type {
	case pqformat.DictionaryPage:
		body, err = p.dictionary(h, body)
	case pqformat.DataPage:
		body, err = p.dataV1(h, body)
	case pqformat.DataPageV2:
		body, err = p.dataV2(h, body)
	default:
		return nil // an index, which says nothing about cells
	}
	if err != nil {
		return err
	}
	h.CompressedPageSize, h.UncompressedPageSize, h.CRC = int32(len(body)), int32(len(body)), 0
	head, err := marshal(h)
	p.cur = append(head, body...)
	return err
}

// header reads the header of a page, which says nowhere how long it is.
func (p *pages) header() (*pqformat.PageHeader, error) {
	for size := int64(1 << 10); ; size *= 8 {
		buf := make([]byte, min(size, maxPageHeader, p.end-p.at))
		if _, err := io.ReadFull(io.NewSectionReader(p.src, p.at, int64(len(buf))), buf); err != nil {
			return nil, err
		}
		n, err := structSize(buf)
		if errors.Is(err, errCut) && size < maxPageHeader && int64(len(buf)) < p.end-p.at {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%w: the header of a page: %w", ErrParquet, err)
		}
		h := new(pqformat.PageHeader)
		p.at += int64(n)
		return h, unmarshal(buf[:n], h)
	}
}

// body reads the bytes of a page as they are stored.
func (p *pages) body(h *pqformat.PageHeader) ([]byte, error) {
	packed, plain := int64(h.CompressedPageSize), int64(h.UncompressedPageSize)
	switch {
	case packed < 0 || plain < 0 || packed > p.end-p.at:
		return nil, fmt.Errorf("%w: a page of %d bytes where %d are left", ErrParquet, packed, p.end-p.at)
	case packed > maxPage || plain > maxPage:
		return nil, fmt.Errorf("%w: a page of %d bytes, at most %d are read", errUnread, max(packed, plain), maxPage)
	}
	b := make([]byte, packed)
	if _, err := io.ReadFull(io.NewSectionReader(p.src, p.at, packed), b); err != nil {
		return nil, err
	}
	p.at += packed
	if h.CRC != 0 && crc32.ChecksumIEEE(b) != uint32(h.CRC) {
		return nil, fmt.Errorf("%w: the checksum of a page does not match", ErrParquet)
	}
	return b, nil
}

func (p *pages) dictionary(h *pqformat.PageHeader, b []byte) ([]byte, error) {
	d := &h.DictionaryPageHeader
	if !d.Valid || p.dict {
		return nil, fmt.Errorf("%w: a second dictionary, or one without a header", ErrParquet)
	}
	p.dict = true
	if err := checkCount(d.V.NumValues); err != nil {
		return nil, err
	}
	if d.V.Encoding != pqformat.Plain && d.V.Encoding != pqformat.PlainDictionary {
		return nil, fmt.Errorf("%w: a dictionary encoded as %s", ErrParquet, d.V.Encoding)
	}
	return p.unpack(b, int(h.UncompressedPageSize))
}

func (p *pages) dataV1(h *pqformat.PageHeader, b []byte) ([]byte, error) {
	d := &h.DataPageHeader
	if !d.Valid {
		return nil, fmt.Errorf("%w: a page without a header", ErrParquet)
	}
	if err := checkCount(d.V.NumValues); err != nil {
		return nil, err
	}
	d.V.Statistics = pqformat.Statistics{}
	b, err := p.unpack(b, int(h.UncompressedPageSize))
	if err != nil {
		return nil, err
	}
	rest := b
	if p.levels > 0 {
		if d.V.DefinitionLevelEncoding != pqformat.RLE {
			return nil, fmt.Errorf("%w: its levels are encoded as %s", errUnread, d.V.DefinitionLevelEncoding)
		}
		if rest, err = withLength(b, levelWidth(p.levels), int(d.V.NumValues)); err != nil {
			return nil, err
		}
	}
	return b, p.values(d.V.Encoding, rest, int(d.V.NumValues))
}

func (p *pages) dataV2(h *pqformat.PageHeader, b []byte) ([]byte, error) {
	d := &h.DataPageHeaderV2
	if !d.Valid {
		return nil, fmt.Errorf("%w: a page without a header", ErrParquet)
	}
	if err := checkCount(d.V.NumValues); err != nil {
		return nil, err
	}
	d.V.Statistics = pqformat.Statistics{}
	rep, def := int64(d.V.RepetitionLevelsByteLength), int64(d.V.DefinitionLevelsByteLength)
	size := int64(h.UncompressedPageSize) - rep - def
	if rep < 0 || def < 0 || rep+def > int64(len(b)) || size < 0 || d.V.NumNulls < 0 || d.V.NumNulls > d.V.NumValues {
		return nil, fmt.Errorf("%w: levels of %d bytes in a page of %d", ErrParquet, rep+def, len(b))
	}
	if p.levels > 0 {
		if err := runs(b[rep:rep+def], levelWidth(p.levels), int(d.V.NumValues)); err != nil {
			return nil, err
		}
	}
	values, err := b[rep+def:], error(nil)
	if !d.V.IsCompressed.Valid || d.V.IsCompressed.V {
		if values, err = p.unpack(values, int(size)); err != nil {
			return nil, err
		}
	}
	if err := p.values(d.V.Encoding, values, int(d.V.NumValues)); err != nil {
		return nil, err
	}
	return append(bytes.Clone(b[:rep+def]), values...), nil
}

func checkCount(n int32) error {
	switch {
	case n < 0:
		return fmt.Errorf("%w: a page of %d values", ErrParquet, n)
	case n > maxValues:
		return fmt.Errorf("%w: a page of %d values, at most %d are read", errUnread, n, maxValues)
	}
	return nil
}

// unpack gives the size bytes that b was compressed from, and never makes more.
func (p *pages) unpack(b []byte, size int) ([]byte, error) {
	var out []byte
	var err error
	switch {
	case p.codec == pqformat.Uncompressed:
		out = b
	case len(b) == 0 && size == 0:
	case p.codec == pqformat.Snappy:
		if n, k := binary.Uvarint(b); k <= 0 || n != uint64(size) {
			return nil, fmt.Errorf("%w: a page of %d bytes unpacks to %d", ErrParquet, size, n)
		}
		out, err = pq.Snappy.Decode(make([]byte, size), b)
	case p.codec == pqformat.Gzip:
		out, err = gunzip(b, size)
	case p.codec == pqformat.Zstd:
		out, err = p.unzstd(b, size)
	default:
		return nil, fmt.Errorf("%w: it is compressed by %s", errUnread, p.codec)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: a page does not unpack: %w", ErrParquet, err)
	}
	if len(out) != size {
		return nil, fmt.Errorf("%w: a page of %d bytes unpacks to %d or more", ErrParquet, size, len(out))
	}
	return out, nil
}

func gunzip(b []byte, size int) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, int64(size)+1))
}

func (p *pages) unzstd(b []byte, size int) ([]byte, error) {
	if p.zstd == nil {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPage+1), zstd.WithDecoderMaxWindow(maxPage))
		if err != nil {
			return nil, err
		}
		p.zstd = d
	}
	return p.zstd.DecodeAll(b, make([]byte, 0, size))
}

func (p *pages) close() {
	if p.zstd != nil {
		p.zstd.Close()
	}
}
