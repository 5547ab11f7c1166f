package parquet

import (
	"bytes"
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

// trailer holds back the end of an encrypted file and mends its footer, which
// parquet-go v0.32 writes in a way that
//
//   - shows a column's facts (sizes, and with statistics its least and greatest
//     value) to every holder of the footer key, although the column has a key
//     of its own; Encryption.md section 5.3 wants them encrypted with that;
//   - leaves out supply_aad_prefix where it is false: Thrift allows it, but
//     readers made with arrow-go (seen in v18.8) crash.
type trailer struct {
	dst  io.Writer
	hold bool
	held bytes.Buffer
	keys *Keys
	id   [8]byte // aad_file_unique
}

func (t *trailer) Write(b []byte) (int, error) {
	if t.hold {
		return t.held.Write(b)
	}
	return t.dst.Write(b)
}

// Module types of Encryption.md section 4.4.1.
const (
	footerModule = 0
	columnModule = 1
)

// cryptoFields surround aad_file_unique in FileCryptoMetaData{AES_GCM_V1}, in
// the Thrift compact protocol.
const (
	cryptoBefore    = "\x1c\x1c\x28\x08"
	cryptoAfter     = "\x00\x00\x00"
	cryptoAfterFull = "\x12" + cryptoAfter // with supply_aad_prefix = false
)

// finish passes on what was held back, with the footer mended.
func (t *trailer) finish() error {
	b := t.held.Bytes()
	if len(b) < 8 {
		return fmt.Errorf("%w: no footer was written", ErrParquet)
	}
	start := len(b) - 8 - int(binary.LittleEndian.Uint32(b[len(b)-8:]))
	plain := cryptoBefore + string(t.id[:])
	if start < 0 || !bytes.HasPrefix(b[start:], []byte(plain+cryptoAfter)) {
		return fmt.Errorf("%w: the encrypted footer has another shape than expected", ErrParquet)
	}
	sealed, err := t.footer(b[start+len(plain)+len(cryptoAfter) : len(b)-8])
	if err != nil {
		return err
	}
	out := append([]byte(nil), b[:start]...)
	out = append(append(append(out, plain...), cryptoAfterFull...), sealed...)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(out)-start))
	_, err = t.dst.Write(append(out, "PARE"...))
	return err
}

// footer opens the footer, encrypts the facts of the columns with keys of their
// own, and closes it again.
func (t *trailer) footer(module []byte) ([]byte, error) {
	aad := append(t.id[:len(t.id):len(t.id)], footerModule)
	plain, err := openModule(t.keys.Footer, aad, module)
	if err != nil {
		return nil, err
	}
	var meta pqformat.FileMetaData
	if err := thrift.Unmarshal(new(thrift.CompactProtocol), plain, &meta); err != nil {
		return nil, err
	}
	for g := range meta.RowGroups {
		for c := range meta.RowGroups[g].Columns {
			if err := t.column(&meta.RowGroups[g].Columns[c], g, c); err != nil {
				return nil, err
			}
		}
	}
	if plain, err = thrift.Marshal(new(thrift.CompactProtocol), &meta); err != nil {
		return nil, err
	}
	return sealModule(t.keys.Footer, aad, plain)
}

func (t *trailer) column(c *pqformat.ColumnChunk, group, index int) error {
	key, ok := t.keys.Columns[strings.Join(c.MetaData.PathInSchema, ".")]
	if !ok {
		return nil
	}
	plain, err := thrift.Marshal(new(thrift.CompactProtocol), &c.MetaData)
	if err != nil {
		return err
	}
	aad := append(t.id[:len(t.id):len(t.id)], columnModule)
	aad = binary.LittleEndian.AppendUint16(aad, uint16(group))
	aad = binary.LittleEndian.AppendUint16(aad, uint16(index))
	c.EncryptedColumnMetadata, err = sealModule(key, aad, plain)
	c.MetaData = pqformat.ColumnMetaData{}
	return err
}

// A module is length u32 ‖ nonce 12 ‖ ciphertext ‖ tag 16, little-endian.
const moduleHead = 4 + 12

func sealModule(key [32]byte, aad, plain []byte) ([]byte, error) {
	g, err := gcm(key)
	if err != nil {
		return nil, err
	}
	out := binary.LittleEndian.AppendUint32(nil, uint32(12+len(plain)+g.Overhead()))
	out = append(out, make([]byte, 12)...)
	rand.Read(out[4:])
	return g.Seal(out, out[4:], plain, aad), nil
}

func openModule(key [32]byte, aad, module []byte) ([]byte, error) {
	g, err := gcm(key)
	if err != nil {
		return nil, err
	}
	if len(module) < moduleHead {
		return nil, fmt.Errorf("%w: a module of %d bytes", ErrParquet, len(module))
	}
	return g.Open(nil, module[4:moduleHead], module[moduleHead:], aad)
}

func gcm(key [32]byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}
