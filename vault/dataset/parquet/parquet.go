// Package parquet reads and writes Apache Parquet for package dataset, with
// the format's own modular encryption (parquet-format, Encryption.md,
// AES_GCM_V1): a footer key for everything and keys of their own for chosen
// columns, so that a reader can be given some columns and not others. This
// package itself reads a file only with all its keys.
//
// Tables are flat: groups become columns with a dot in their name. Lists and
// maps are named by a profile and refused by the rest.
//
// Malformed files end in an error, never in a panic. ProfileOf reads files of
// strangers in bounded memory: see pages. Open is not bounded: a page may claim,
// and a compressed page may expand to, more memory than there is.
package parquet

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	pq "github.com/parquet-go/parquet-go"

	"cipherdeck/crypto/doc"
	"cipherdeck/vault/dataset"
)

// The errors of this package.
var (
	ErrParquet = errors.New("not a readable Parquet file")
	ErrKey     = errors.New("key missing or wrong for an encrypted Parquet file")
	ErrType    = errors.New("cell does not fit the type of its Parquet column")
)

// maxFooter bounds what the end of a file can make us read.
const maxFooter = 64 << 20

// Keys open or make an encrypted file.
type Keys struct {
	Footer  [32]byte            // the footer, and columns without a key of their own
	Columns map[string][32]byte // by name
}

// KeysOf derives keys from a project's column key: HKDF-Expand with SHA-256
// over LP("cipherdeck/dataset/v1/parquet") ‖ LP("footer" or "column") ‖ LP(name).
// columns are those that get a key of their own; to read, name the same.
func KeysOf(key *[32]byte, columns ...string) (*Keys, error) {
	k := &Keys{Columns: map[string][32]byte{}}
	var err error
	if k.Footer, err = derive(key, "footer", ""); err != nil {
		return nil, err
	}
	for _, c := range columns {
		if k.Columns[c], err = derive(key, "column", c); err != nil {
			return nil, err
		}
	}
	return k, nil
}

func derive(key *[32]byte, use, name string) ([32]byte, error) {
	info := doc.LP([]byte("cipherdeck/dataset/v1/parquet"), []byte(use), []byte(name))
	b, err := hkdf.Expand(sha256.New, key[:], string(info), 32)
	if err != nil {
		return [32]byte{}, err
	}
	return [32]byte(b), nil
}

// File is an open Parquet file.
type File struct {
	name    string
	src     io.ReaderAt // in clear
	size    int64
	file    *pq.File
	columns []string
	formats []format
}

// Open reads the footer of the file called name. keys may be nil for a file
// that is not encrypted. Errors wrap ErrParquet, ErrKey, dataset.ErrMalformed or
// dataset.ErrLimit.
func Open(name string, r io.ReaderAt, size int64, keys *Keys) (f *File, err error) {
	defer caught(name, &err)
	encrypted, err := checkEnds(name, r, size)
	if err != nil {
		return nil, err
	}
	if encrypted && keys == nil {
		return nil, fmt.Errorf("%w: %s", ErrKey, name)
	}
	if encrypted {
		plain, err := decrypt(name, r, size, keys)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		r, size = bytes.NewReader(plain), int64(len(plain))
	}
	file, err := pq.OpenFile(r, size, pq.SkipPageIndex(true), pq.SkipBloomFilters(true), pq.OptimisticRead(false))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrParquet, name, err)
	}
	f = &File{name: name, src: r, size: size, file: file}
	if err := f.flatten(file.Root(), nil); err != nil {
		return nil, err
	}
	return f, nil
}

// checkEnds looks at the magic bytes and at the length of the footer before it
// is believed.
func checkEnds(name string, r io.ReaderAt, size int64) (encrypted bool, err error) {
	var head [4]byte
	var tail [8]byte
	if size < 12 {
		return false, fmt.Errorf("%w: %s: %d bytes", ErrParquet, name, size)
	}
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	if _, err := r.ReadAt(tail[:], size-8); err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("%s: %w", name, err)
	}
	magic, n := string(head[:]), int64(binary.LittleEndian.Uint32(tail[:4]))
	switch {
	case magic != "PAR1" && magic != "PARE" || string(tail[4:]) != magic:
		return false, fmt.Errorf("%w: %s: does not begin and end with PAR1 or PARE", ErrParquet, name)
	case n > size-12:
		return false, fmt.Errorf("%w: %s: a footer of %d bytes in a file of %d", ErrParquet, name, n, size)
	case n > maxFooter:
		return false, fmt.Errorf("%w: %s: a footer of %d bytes, at most %d are allowed", dataset.ErrLimit, name, n, maxFooter)
	}
	return magic == "PARE", nil
}

// flatten names the leaves below c.
func (f *File) flatten(c *pq.Column, path []string) error {
	for _, child := range c.Columns() {
		at := append(path[:len(path):len(path)], child.Name())
		name := strings.Join(at, ".")
		switch {
		case child.Repeated():
			return fmt.Errorf("%w: %s: column %q is a list or map; only flat tables are read", dataset.ErrMalformed, f.name, name)
		case !child.Leaf():
			if err := f.flatten(child, at); err != nil {
				return err
			}
			continue
		case len(f.columns) >= dataset.MaxColumns:
			return fmt.Errorf("%w: %s: at most %d columns are allowed", dataset.ErrLimit, f.name, dataset.MaxColumns)
		}
		f.columns = append(f.columns, name)
		f.formats = append(f.formats, formatOf(child.Type()))
	}
	return nil
}

// Columns are the names of the leaves, in order.
func (f *File) Columns() []string { return f.columns }

// Rows is what the footer claims.
func (f *File) Rows() int64 { return f.file.NumRows() }

// Each calls use with every row, its cells as text as a CSV would have them;
// nulls are empty. Record.Line is the row, from 1.
func (f *File) Each(ctx context.Context, use func(*dataset.Record) error) (err error) {
	defer caught(f.name, &err)
	rec := &dataset.Record{Fields: make([][]byte, len(f.columns))}
	for _, g := range f.file.RowGroups() {
		if err := f.group(ctx, g, rec, use); err != nil {
			return err
		}
	}
	return nil
}

func (f *File) group(ctx context.Context, g pq.RowGroup, rec *dataset.Record, use func(*dataset.Record) error) error {
	rows := g.Rows()
	defer rows.Close()
	buf := make([]pq.Row, 128)
	var arena []byte
	for {
		n, err := rows.ReadRows(buf)
		for _, row := range buf[:n] {
			var failed error
			if arena, failed = f.record(row, rec, arena[:0]); failed == nil {
				failed = use(rec)
			}
			if failed != nil {
				return failed
			}
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, io.EOF), n == 0 && err == nil:
			return nil
		case err != nil:
			return fmt.Errorf("%w: %s: %w", ErrParquet, f.name, err)
		}
	}
}

func (f *File) record(row pq.Row, rec *dataset.Record, arena []byte) ([]byte, error) {
	rec.Line++
	clear(rec.Fields)
	for _, v := range row {
		i := v.Column()
		if i < 0 || i >= len(rec.Fields) {
			return arena, fmt.Errorf("%w: %s row %d: a value of column %d", ErrParquet, f.name, rec.Line, i)
		}
		if v.IsNull() {
			continue
		}
		begin := len(arena)
		arena = f.formats[i](arena, v)
		if len(arena)-begin > dataset.MaxCell {
			return arena, fmt.Errorf("%w: %s row %d, column %q: a cell is longer than %d bytes", dataset.ErrLimit, f.name, rec.Line, f.columns[i], dataset.MaxCell)
		}
		rec.Fields[i] = arena[begin:len(arena):len(arena)]
	}
	return arena, nil
}

// caught turns a panic over malformed bytes into an error.
func caught(name string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %s: %v", ErrParquet, name, p)
	}
}
