package parquet

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	pqformat "github.com/parquet-go/parquet-go/format"

	"cipherdeck/vault/dataset"
)

// maxEncrypted bounds an encrypted file: it is opened whole in memory, since
// its plaintext has no business on a disk.
const maxEncrypted = 1 << 30

// decrypter makes a file in clear of an encrypted one.
type decrypter struct {
	file []byte
	keys *Keys
	aad  fileAAD
	out  []byte
}

// decrypt opens all columns of a file; every key must be there.
func decrypt(name string, r io.ReaderAt, size int64, keys *Keys) ([]byte, error) {
	if size > maxEncrypted {
		return nil, fmt.Errorf("%w: %s: an encrypted file of %d bytes, at most %d are allowed", dataset.ErrLimit, name, size, maxEncrypted)
	}
	d := &decrypter{file: make([]byte, size), keys: keys, out: []byte("PAR1")}
	if _, err := io.ReadFull(io.NewSectionReader(r, 0, size), d.file); err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint32(d.file[size-8:]))
	meta, err := d.footer(d.file[int(size)-8-n : size-8])
	if err != nil {
		return nil, err
	}
	for g := range meta.RowGroups {
		for c := range meta.RowGroups[g].Columns {
			if err := d.chunk(&meta.RowGroups[g].Columns[c], g, c); err != nil {
				return nil, err
			}
		}
		meta.RowGroups[g].FileOffset, meta.RowGroups[g].TotalCompressedSize = 0, 0
	}
	plain, err := marshal(meta)
	if err != nil {
		return nil, err
	}
	d.out = append(d.out, plain...)
	d.out = binary.LittleEndian.AppendUint32(d.out, uint32(len(plain)))
	return append(d.out, "PAR1"...), nil
}

func (d *decrypter) footer(b []byte) (*pqformat.FileMetaData, error) {
	var crypto pqformat.FileCryptoMetaData
	r := new(thrift.CompactProtocol).NewReaderFromBytes(b)
	if err := thrift.NewDecoder(r).Decode(&crypto); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrParquet, err)
	}
	algorithm, ok := crypto.EncryptionAlgorithm.Value.(*pqformat.AesGcmV1)
	if !ok || algorithm.SupplyAadPrefix {
		return nil, fmt.Errorf("%w: only AES_GCM_V1 without a secret prefix is read", ErrParquet)
	}
	d.aad = append(append(fileAAD(nil), algorithm.AadPrefix...), algorithm.AadFileUnique...)
	plain, _, err := openModule(d.keys.Footer, d.aad.module(footerModule), b[r.BytesRead():])
	if err != nil {
		return nil, err
	}
	meta := new(pqformat.FileMetaData)
	return meta, unmarshal(plain, meta)
}

// key finds the key of a column and, with it, what is known about the column.
func (d *decrypter) key(c *pqformat.ColumnChunk, group, column int) ([32]byte, error) {
	own, ok := c.CryptoMetadata.Value.(*pqformat.EncryptionWithColumnKey)
	if !ok {
		return d.keys.Footer, nil
	}
	path := strings.Join(own.PathInSchema, ".")
	key, ok := d.keys.Columns[path]
	if !ok {
		return key, fmt.Errorf("%w: column %q", ErrKey, path)
	}
	plain, _, err := openModule(key, d.aad.module(columnModule, group, column), c.EncryptedColumnMetadata)
	if err != nil {
		return key, fmt.Errorf("column %q: %w", path, err)
	}
	c.MetaData = pqformat.ColumnMetaData{}
	return key, unmarshal(plain, &c.MetaData)
}

func (d *decrypter) chunk(c *pqformat.ColumnChunk, group, column int) error {
	key, err := d.key(c, group, column)
	if err != nil {
		return err
	}
	clear := c.CryptoMetadata.Value == nil
	start, end := extent(&c.MetaData)
	modules, begin, dict := d.file[start:end], len(d.out), c.MetaData.DictionaryPageOffset > 0
	forget(c)
	c.CryptoMetadata, c.EncryptedColumnMetadata = pqformat.ColumnCryptoMetaData{}, nil
	if clear {
		return fmt.Errorf("%w: a column in clear in an encrypted file is not read", ErrParquet)
	}
	for page := 0; len(modules) > 0; {
		want := kinds{dataHeaderModule, dataModule}
		if dict {
			want = kinds{dictHeaderModule, dictModule}
		}
		head, n, err := openModule(key, d.aad.page(want.head, group, column, page), modules)
		if err != nil {
			return err
		}
		body, m, err := openModule(key, d.aad.page(want.body, group, column, page), modules[n:])
		if err != nil {
			return err
		}
		modules = modules[n+m:]
		var h pqformat.PageHeader
		if err := unmarshal(head, &h); err != nil {
			return err
		}
		note(&c.MetaData, &h, int64(len(d.out)))
		h.CompressedPageSize, h.CRC = int32(len(body)), 0
		if head, err = marshal(&h); err != nil {
			return err
		}
		d.out = append(append(d.out, head...), body...)
		if !dict {
			page++
		}
		dict = false
	}
	c.MetaData.TotalCompressedSize = int64(len(d.out) - begin)
	return nil
}
