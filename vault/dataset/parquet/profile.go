package parquet

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	pq "github.com/parquet-go/parquet-go"
	pqformat "github.com/parquet-go/parquet-go/format"

	"cipherdeck/vault/dataset"
)

const (
	maxProfileFooter = 16 << 20
	maxSchemaDepth   = 32
	signature        = 12 + 16 // behind the footer of a file whose columns are encrypted
)

// Profile profiles the file like dataset.ProfileOf does a CSV.
func (f *File) Profile(ctx context.Context, seed uint64) (*dataset.Profile, error) {
	return ProfileOf(ctx, f.name, f.src, f.size, seed)
}

// ProfileOf profiles the file called name, which is not encrypted, column by
// column: its memory is that of a page and of the footer, whatever the file
// says. A list, a map, an encrypted column and one whose pages are larger,
// packed or encoded otherwise than is read here (dataset.Nested, dataset.Unread)
// are named in the profile with a note, and nothing else is known of them.
//
// Errors wrap ErrParquet for a file that is damaged or lies, ErrKey for one
// whose footer is encrypted, dataset.ErrMalformed or dataset.ErrLimit.
func ProfileOf(ctx context.Context, name string, r io.ReaderAt, size int64, seed uint64) (p *dataset.Profile, err error) {
	defer caught(name, &err)
	encrypted, err := checkEnds(name, r, size)
	switch {
	case err != nil:
		return nil, err
	case encrypted:
		return nil, fmt.Errorf("%w: %s", ErrKey, name)
	}
	s, err := openScan(name, r, size)
	if err != nil {
		return nil, err
	}
	s.out = dataset.NewColumnProfiler(name, dataset.Parquet, s.meta.NumRows, seed)
	if err := s.columns(ctx, s.file.Root(), nil); err != nil {
		return nil, err
	}
	return s.out.Finish(), nil
}

// scan is one pass over a file.
type scan struct {
	name string
	src  io.ReaderAt
	size int64
	meta *pqformat.FileMetaData // as stored
	file *pq.File               // of the same footer, its chunks as pages gives them
	out  *dataset.ColumnProfiler
	leaf int
}

// openScan reads the footer, checks what it claims, and gives the library one
// in which every chunk is where pages puts it.
func openScan(name string, r io.ReaderAt, size int64) (*scan, error) {
	footer, err := readFooter(name, r, size)
	if err != nil {
		return nil, err
	}
	s := &scan{name: name, src: r, size: size, meta: new(pqformat.FileMetaData)}
	theirs := new(pqformat.FileMetaData)
	for _, m := range []*pqformat.FileMetaData{s.meta, theirs} {
		if err := unmarshal(footer, m); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := s.checkFooter(); err != nil {
		return nil, err
	}
	theirs.EncryptionAlgorithm, theirs.KeyValueMetadata = pqformat.EncryptionAlgorithm{}, nil
	for g := range theirs.RowGroups {
		for c := range theirs.RowGroups[g].Columns {
			moved(&theirs.RowGroups[g].Columns[c])
		}
	}
	s.file, err = reopened(theirs)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrParquet, name, err)
	}
	return s, nil
}

// moved makes a chunk one of uncompressed pages from firstByte on.
func moved(c *pqformat.ColumnChunk) {
	forget(c)
	c.CryptoMetadata, c.EncryptedColumnMetadata = pqformat.ColumnCryptoMetaData{}, nil
	c.MetaData.Codec, c.MetaData.DataPageOffset, c.MetaData.TotalCompressedSize = pqformat.Uncompressed, firstByte, 1<<50
	c.MetaData.Statistics, c.MetaData.KeyValueMetadata = pqformat.Statistics{}, nil
}

// reopened opens a file that is nothing but a footer.
func reopened(meta *pqformat.FileMetaData) (*pq.File, error) {
	plain, err := marshal(meta)
	if err != nil {
		return nil, err
	}
	b := append([]byte("PAR1"), plain...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(plain)))
	b = append(b, "PAR1"...)
	return pq.OpenFile(bytes.NewReader(b), int64(len(b)), pq.SkipPageIndex(true), pq.SkipBloomFilters(true), pq.OptimisticRead(false))
}

// readFooter reads the footer after checkEnds, bounded by what walk allows.
func readFooter(name string, r io.ReaderAt, size int64) ([]byte, error) {
	var tail [4]byte
	if _, err := r.ReadAt(tail[:], size-8); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	n := int64(binary.LittleEndian.Uint32(tail[:]))
	if n > maxProfileFooter {
		return nil, fmt.Errorf("%w: %s: a footer of %d bytes, at most %d are read", dataset.ErrLimit, name, n, maxProfileFooter)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(io.NewSectionReader(r, size-8-n, n), b); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	used, err := structSize(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: the footer: %w", ErrParquet, name, err)
	}
	if rest := len(b) - used; rest != 0 && rest != signature {
		return nil, fmt.Errorf("%w: %s: %d bytes behind the footer", ErrParquet, name, rest)
	}
	return b[:used], nil
}

// checkFooter holds the footer's claims against each other and the file.
func (s *scan) checkFooter() error {
	fail := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s: %s", ErrParquet, s.name, fmt.Sprintf(format, a...))
	}
	var types []pqformat.Type
	if rest, err := leaves(s.meta.Schema, 0, &types); err != nil || len(rest) > 0 {
		return fail("the schema is not one tree: %v", err)
	}
	var rows int64
	for g, group := range s.meta.RowGroups {
		if group.NumRows < 0 || group.NumRows > s.meta.NumRows-rows || len(group.Columns) != len(types) {
			return fail("row group %d has %d rows and %d columns, the file %d and %d", g, group.NumRows, len(group.Columns), s.meta.NumRows, len(types))
		}
		rows += group.NumRows
		for c := range group.Columns {
			m := &group.Columns[c].MetaData
			if !s.inside(m) {
				return fail("row group %d, column %d is not inside the file", g, c)
			}
			if m.Type != types[c] && group.Columns[c].CryptoMetadata.Value == nil {
				return fail("row group %d, column %d is of type %s, its schema says %s", g, c, m.Type, types[c])
			}
		}
	}
	if rows != s.meta.NumRows {
		return fail("%d rows in groups, the file says %d", rows, s.meta.NumRows)
	}
	return nil
}

func (s *scan) inside(m *pqformat.ColumnMetaData) bool {
	if m.TotalCompressedSize == 0 {
		return true
	}
	start, end := extent(m)
	return m.TotalCompressedSize > 0 && start >= firstByte && end >= start && end <= s.size-8
}

// leaves collects the types of the leaves below the first element of a schema,
// and returns what follows them.
func leaves(schema []pqformat.SchemaElement, depth int, types *[]pqformat.Type) (rest []pqformat.SchemaElement, err error) {
	if len(schema) == 0 || depth > maxSchemaDepth {
		return nil, fmt.Errorf("it ends early, or is deeper than %d", maxSchemaDepth)
	}
	e, rest := schema[0], schema[1:]
	if e.Type.Valid {
		*types = append(*types, e.Type.V)
		return rest, nil
	}
	for range e.NumChildren.V {
		if rest, err = leaves(rest, depth+1, types); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// columns profiles the leaves below c.
func (s *scan) columns(ctx context.Context, c *pq.Column, path []string) error {
	for _, child := range c.Columns() {
		at := append(path[:len(path):len(path)], child.Name())
		var err error
		switch {
		case nested(child):
			err = s.nested(child, at)
		case !child.Leaf():
			err = s.columns(ctx, child, at)
		default:
			err = s.column(ctx, child, strings.Join(at, "."))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// nested says that c is a list or map: that it repeats, or holds nothing but
// something that does.
func nested(c *pq.Column) bool {
	below := c.Columns()
	return c.Repeated() || len(below) == 1 && below[0].Repeated()
}

func (s *scan) nested(c *pq.Column, path []string) error {
	cells, err := s.out.Column(strings.Join(path, "."))
	if err != nil {
		return err
	}
	cells.Unread(dataset.Nested, "a list or map")
	s.leaf += count(c)
	return nil
}

func count(c *pq.Column) int {
	if c.Leaf() {
		return 1
	}
	n := 0
	for _, child := range c.Columns() {
		n += count(child)
	}
	return n
}

func (s *scan) column(ctx context.Context, c *pq.Column, name string) error {
	i := s.leaf
	s.leaf++
	cells, err := s.out.Column(name)
	if err != nil {
		return err
	}
	for g := range s.meta.RowGroups {
		if err = s.chunk(ctx, g, i, c, cells); err != nil {
			break
		}
	}
	if errors.Is(err, errUnread) {
		cells.Unread(dataset.Unread, strings.TrimPrefix(err.Error(), errUnread.Error()+": "))
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: column %q: %w", s.name, name, err)
	}
	return cells.Done()
}

// chunk feeds the cells of one column in one row group.
func (s *scan) chunk(ctx context.Context, group, column int, c *pq.Column, cells *dataset.Cells) (err error) {
	theirs := &s.meta.RowGroups[group].Columns[column]
	if theirs.CryptoMetadata.Value != nil {
		return fmt.Errorf("%w: it is encrypted", errUnread)
	}
	start, end := extent(&theirs.MetaData)
	p := &pages{src: s.src, at: start, end: end, codec: theirs.MetaData.Codec, kind: c.Type().Kind(), levels: c.MaxDefinitionLevel(), off: firstByte}
	defer p.close()
	defer caught(s.name, &err)
	ours, ok := s.file.RowGroups()[group].ColumnChunks()[column].(*pq.FileColumnChunk)
	if !ok {
		return fmt.Errorf("%w: no chunk", ErrParquet)
	}
	r := ours.PagesFrom(p)
	defer r.Close()
	want := cells.Rows() + s.meta.RowGroups[group].NumRows
	f := feed{format: formatOf(c.Type()), text: isText(c.Type()), cells: cells, most: want, buf: make([]pq.Value, 256)}
	for {
		page, err := r.ReadPage()
		switch {
		case p.err != nil:
			return p.err
		case errors.Is(err, io.EOF) && cells.Rows() == want:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%w: row group %d has %d cells too few", ErrParquet, group, want-cells.Rows())
		case err != nil:
			return fmt.Errorf("%w: %w", ErrParquet, err)
		case ctx.Err() != nil:
			return ctx.Err()
		}
		err = f.page(page)
		pq.Release(page)
		if err != nil {
			return err
		}
	}
}

// isText says that values of t are no numbers, whatever their text looks like.
func isText(t pq.Type) bool {
	if l := t.LogicalType(); l != nil {
		if _, decimal := l.Value.(*pqformat.DecimalType); decimal {
			return false
		}
	}
	return t.Kind() == pq.ByteArray || t.Kind() == pq.FixedLenByteArray
}

// feed writes values as text to a column of the profile.
type feed struct {
	format format
	text   bool
	cells  *dataset.Cells
	most   int64 // cells that there may be by now
	buf    []pq.Value
	cell   []byte
}

func (f *feed) page(page pq.Page) error {
	values := page.Values()
	for {
		n, err := values.ReadValues(f.buf)
		if f.cells.Rows()+int64(n) > f.most {
			return fmt.Errorf("%w: it has more cells than rows", ErrParquet)
		}
		for _, v := range f.buf[:n] {
			f.cell = f.cell[:0]
			if !v.IsNull() {
				f.cell = f.format(f.cell, v)
			}
			if len(f.cell) > dataset.MaxCell {
				return fmt.Errorf("%w: a cell of %d bytes, at most %d are read", errUnread, len(f.cell), dataset.MaxCell)
			}
			f.cells.Add(f.cell, f.text)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%w: %w", ErrParquet, err)
		case n == 0:
			return fmt.Errorf("%w: a page without values", ErrParquet)
		}
	}
}
