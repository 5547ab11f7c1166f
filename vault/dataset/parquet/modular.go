package parquet

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	pqformat "github.com/parquet-go/parquet-go/format"
)

// The encryption here is our own, over files in clear that parquet-go makes
// and reads: that of parquet-go v0.32 numbers the module types in another
// order than the specification and shows the least and greatest value of a
// column to every holder of the footer key; arrow-go does not read its files.

// Module types, Encryption.md section 4.4.1.
const (
	footerModule     = 0
	columnModule     = 1
	dataModule       = 2
	dictModule       = 3
	dataHeaderModule = 4
	dictHeaderModule = 5
)

// A module is length u32 ‖ nonce 12 ‖ ciphertext ‖ tag 16, little-endian.
const (
	moduleLen  = 4
	moduleHead = moduleLen + 12
	minModule  = moduleHead + 16
)

func sealModule(key [32]byte, aad, plain []byte) ([]byte, error) {
	g, err := gcm(key)
	if err != nil {
		return nil, err
	}
	out := binary.LittleEndian.AppendUint32(nil, uint32(12+len(plain)+g.Overhead()))
	out = append(out, make([]byte, 12)...)
	rand.Read(out[moduleLen:])
	return g.Seal(out, out[moduleLen:], plain, aad), nil
}

// openModule opens the module at the front of b and returns its length.
func openModule(key [32]byte, aad, b []byte) (plain []byte, n int, err error) {
	g, err := gcm(key)
	if err != nil {
		return nil, 0, err
	}
	if len(b) < minModule {
		return nil, 0, fmt.Errorf("%w: a module of %d bytes", ErrParquet, len(b))
	}
	size := uint64(binary.LittleEndian.Uint32(b)) + moduleLen
	if size < minModule || size > uint64(len(b)) {
		return nil, 0, fmt.Errorf("%w: a module of %d bytes where %d are left", ErrParquet, size, len(b))
	}
	plain, err = g.Open(nil, b[moduleLen:moduleHead], b[moduleHead:size], aad)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return plain, int(size), nil
}

func gcm(key [32]byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// fileAAD is aad_prefix ‖ aad_file_unique. module adds type and ordinals,
// Encryption.md section 4.4.2; only data pages are counted.
type fileAAD []byte

func (f fileAAD) module(kind byte, ordinals ...int) []byte {
	out := append(f[:len(f):len(f)], kind)
	for _, o := range ordinals {
		out = binary.LittleEndian.AppendUint16(out, uint16(o))
	}
	return out
}

func (f fileAAD) page(kind byte, group, column, page int) []byte {
	if kind == dictModule || kind == dictHeaderModule {
		return f.module(kind, group, column)
	}
	return f.module(kind, group, column, page)
}

// keyOf finds the key for a column; own says that it is not the footer's.
func (k *Keys) keyOf(path []string) (key [32]byte, own bool) {
	if key, own = k.Columns[strings.Join(path, ".")]; own {
		return key, true
	}
	return k.Footer, false
}

// encrypter writes an encrypted file from files in clear, one a row group.
type encrypter struct {
	dst  io.Writer
	off  int64
	keys *Keys
	aad  fileAAD
	meta *pqformat.FileMetaData
}

func newEncrypter(dst io.Writer, keys *Keys) (*encrypter, error) {
	e := &encrypter{dst: dst, keys: keys, aad: make(fileAAD, 8)}
	rand.Read(e.aad)
	return e, e.write([]byte("PARE"))
}

func (e *encrypter) write(b []byte) error {
	n, err := e.dst.Write(b)
	e.off += int64(n)
	return err
}

// add encrypts all row groups of a file in clear.
func (e *encrypter) add(file []byte) error {
	meta := new(pqformat.FileMetaData)
	n := int(binary.LittleEndian.Uint32(file[len(file)-8:]))
	if err := unmarshal(file[len(file)-8-n:len(file)-8], meta); err != nil {
		return err
	}
	groups := meta.RowGroups
	if e.meta == nil {
		e.meta = meta
		meta.NumRows, meta.RowGroups = 0, nil
	}
	for _, g := range groups {
		ordinal := len(e.meta.RowGroups)
		g.Ordinal, g.FileOffset, g.TotalCompressedSize = int16(ordinal), e.off, 0
		for c := range g.Columns {
			chunk := &g.Columns[c]
			if err := e.chunk(file, chunk, ordinal, c); err != nil {
				return err
			}
		}
		g.TotalCompressedSize = e.off - g.FileOffset
		e.meta.NumRows += g.NumRows
		e.meta.RowGroups = append(e.meta.RowGroups, g)
	}
	return nil
}

func (e *encrypter) chunk(file []byte, c *pqformat.ColumnChunk, group, column int) error {
	key, own := e.keys.keyOf(c.MetaData.PathInSchema)
	start, end := extent(&c.MetaData)
	pages, begin := file[start:end], e.off
	forget(c)
	for page := 0; len(pages) > 0; {
		var h pqformat.PageHeader
		r := new(thrift.CompactProtocol).NewReaderFromBytes(pages)
		if err := thrift.NewDecoder(r).Decode(&h); err != nil {
			return err
		}
		body := pages[r.BytesRead() : r.BytesRead()+int(h.CompressedPageSize)]
		pages = pages[r.BytesRead()+int(h.CompressedPageSize):]
		kinds := note(&c.MetaData, &h, e.off)
		sealed, err := sealModule(key, e.aad.page(kinds.body, group, column, page), body)
		if err != nil {
			return err
		}
		h.CompressedPageSize, h.CRC = int32(len(sealed)), 0
		head, err := marshal(&h)
		if err == nil {
			head, err = sealModule(key, e.aad.page(kinds.head, group, column, page), head)
		}
		if err == nil {
			err = e.write(append(head, sealed...))
		}
		if err != nil {
			return err
		}
		if kinds.body == dataModule {
			page++
		}
	}
	c.MetaData.TotalCompressedSize = e.off - begin
	return e.facts(c, key, own, group, column)
}

// facts says which key a column has, and hides what is known of it under its
// own.
func (e *encrypter) facts(c *pqformat.ColumnChunk, key [32]byte, own bool, group, column int) error {
	if !own {
		c.CryptoMetadata.Value = &pqformat.EncryptionWithFooterKey{}
		return nil
	}
	c.CryptoMetadata.Value = &pqformat.EncryptionWithColumnKey{PathInSchema: c.MetaData.PathInSchema}
	plain, err := marshal(&c.MetaData)
	if err != nil {
		return err
	}
	c.EncryptedColumnMetadata, err = sealModule(key, e.aad.module(columnModule, group, column), plain)
	c.MetaData = pqformat.ColumnMetaData{}
	return err
}

// cryptoMeta is FileCryptoMetaData{AES_GCM_V1{aad_file_unique, supply_aad_prefix:
// false}} in the Thrift compact protocol. The last field is optional, but
// arrow-go v18.8 crashes without it and parquet-go cannot write a false one.
func (e *encrypter) cryptoMeta() []byte {
	return append(append([]byte("\x1c\x1c\x28\x08"), e.aad...), "\x12\x00\x00\x00"...)
}

func (e *encrypter) finish() error {
	plain, err := marshal(e.meta)
	if err != nil {
		return err
	}
	footer, err := sealModule(e.keys.Footer, e.aad.module(footerModule), plain)
	if err != nil {
		return err
	}
	footer = append(e.cryptoMeta(), footer...)
	footer = binary.LittleEndian.AppendUint32(footer, uint32(len(footer)))
	return e.write(append(footer, "PARE"...))
}

// extent is where the pages of a column are.
func extent(m *pqformat.ColumnMetaData) (start, end int64) {
	start = m.DataPageOffset
	if m.DictionaryPageOffset > 0 {
		start = min(start, m.DictionaryPageOffset)
	}
	return start, start + m.TotalCompressedSize
}

// forget clears what points at other places of the file.
func forget(c *pqformat.ColumnChunk) {
	c.FileOffset, c.OffsetIndexOffset, c.OffsetIndexLength, c.ColumnIndexOffset, c.ColumnIndexLength = 0, 0, 0, 0, 0
	c.MetaData.DataPageOffset, c.MetaData.DictionaryPageOffset = 0, 0
	c.MetaData.BloomFilterOffset, c.MetaData.IndexPageOffset = 0, 0
}

type kinds struct{ head, body byte }

// note keeps where the first page of each kind begins now.
func note(m *pqformat.ColumnMetaData, h *pqformat.PageHeader, off int64) kinds {
	if h.Type == pqformat.DictionaryPage {
		m.DictionaryPageOffset = off
		return kinds{dictHeaderModule, dictModule}
	}
	if m.DataPageOffset == 0 {
		m.DataPageOffset = off
	}
	return kinds{dataHeaderModule, dataModule}
}

func marshal(v any) ([]byte, error) { return thrift.Marshal(new(thrift.CompactProtocol), v) }

func unmarshal(b []byte, v any) error {
	if err := thrift.Unmarshal(new(thrift.CompactProtocol), b, v); err != nil {
		return fmt.Errorf("%w: %w", ErrParquet, err)
	}
	return nil
}
