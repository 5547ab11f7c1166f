package parquet

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	pqformat "github.com/parquet-go/parquet-go/format"

	"cipherdeck/vault/dataset"
)

func profileOf(b []byte) (*dataset.Profile, error) {
	return ProfileOf(context.Background(), "t.parquet", bytes.NewReader(b), int64(len(b)), 1)
}

type visit struct {
	ID    int64    `parquet:"id,delta"`
	Name  string   `parquet:"name,dict"`
	Zip   string   `parquet:"zip"`
	Score *float64 `parquet:"score,optional"`
	Ward  *string  `parquet:"ward,optional,dict"`
	Well  bool     `parquet:"well"`
}

func visits(n int) []visit {
	var out []visit
	for i := range n {
		v := visit{ID: int64(i), Name: fmt.Sprint("Ann", i%50), Zip: fmt.Sprintf("%05d", i%90), Well: i%2 == 0}
		if i%4 != 0 {
			f, w := float64(i)/2, fmt.Sprint("w", i%3)
			v.Score, v.Ward = &f, &w
		}
		out = append(out, v)
	}
	return out
}

// Whatever way the pages are packed and encoded, the same is known.
func TestProfileOfEveryPacking(t *testing.T) {
	const n = 5000
	for name, codec := range map[string]compress.Codec{"none": &pq.Uncompressed, "snappy": &pq.Snappy, "gzip": &pq.Gzip, "zstd": &pq.Zstd} {
		for version := 1; version <= 2; version++ {
			var out bytes.Buffer
			w := pq.NewGenericWriter[visit](&out, pq.Compression(codec), pq.DataPageVersion(version), pq.MaxRowsPerRowGroup(1500), pq.PageBufferSize(4000))
			if _, err := w.Write(visits(n)); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			p, err := profileOf(out.Bytes())
			if err != nil {
				t.Fatalf("%s, v%d: %v", name, version, err)
			}
			checkVisits(t, fmt.Sprint(name, " v", version), p, n)
		}
	}
}

func checkVisits(t *testing.T, name string, p *dataset.Profile, n int64) {
	t.Helper()
	if p.Rows != n || len(p.Columns) != 6 || len(p.Sample) != dataset.SampleRows {
		t.Fatalf("%s: %d rows, %d columns, %d rows of sample", name, p.Rows, len(p.Columns), len(p.Sample))
	}
	for i, want := range []dataset.ColumnProfile{
		{Name: "id", Type: dataset.Integer, Min: "0", Max: fmt.Sprint(n - 1)}, {Name: "name", Type: dataset.Text, Distinct: 50},
		{Name: "zip", Type: dataset.Text, Distinct: 90}, {Name: "score", Type: dataset.Number, Nulls: n / 4, Min: "0.5", Max: fmt.Sprint(float64(n-1) / 2)},
		{Name: "ward", Type: dataset.Text, Nulls: n / 4, Distinct: 3}, {Name: "well", Type: dataset.Boolean, Distinct: 2},
	} {
		got := p.Columns[i]
		if got.Name != want.Name || got.Type != want.Type || got.Nulls != want.Nulls || got.Min != want.Min || got.Max != want.Max || want.Distinct != 0 && (got.Distinct > want.Distinct+3 || got.Distinct < want.Distinct-3) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	for _, row := range p.Sample {
		var id int
		fmt.Sscan(row[0], &id)
		if row[1] != fmt.Sprint("Ann", id%50) || (row[3] == "") != (id%4 == 0) || len(row[2]) != 5 {
			t.Fatalf("%s: a row of the sample is of several rows: %q", name, row)
		}
	}
}

// What is not read is named, and the rest is known.
func TestColumnsThatAreNotRead(t *testing.T) {
	type row struct {
		A    int64            `parquet:"a"`
		Tags []string         `parquet:"tags,list"`
		M    map[string]int64 `parquet:"m"`
		S    []struct {
			X int64 `parquet:"x"`
			Y int64 `parquet:"y"`
		} `parquet:"s"`
		G struct {
			In int64 `parquet:"in"`
		} `parquet:"g"`
		L string `parquet:"l,lz4"`
		D string `parquet:"d,delta"`
		Z int64  `parquet:"z"`
	}
	var out bytes.Buffer
	rows := []row{{A: 1, Tags: []string{"x", "y"}, M: map[string]int64{"k": 1}, L: "l", D: "d", Z: 9}, {A: 2, L: "l", Z: 8}}
	rows[1].G.In = 7
	if err := pq.Write(&out, rows); err != nil {
		t.Fatal(err)
	}
	p, err := profileOf(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range p.Columns {
		got = append(got, c.Name+" "+string(c.Type)+" "+c.Min+" "+c.Max+" "+c.Note)
	}
	want := "a integer 1 2 ; tags nested   a list or map; m nested   a list or map; s nested   a list or map; g.in integer 0 7 ; l unread   it is compressed by LZ4_RAW; d unread   its pages are encoded as DELTA_BYTE_ARRAY; z integer 8 9 "
	if s := strings.Join(got, "; "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	// As CSV a file is read when all of it can be.
	if _, err := open(out.Bytes(), nil); !errors.Is(err, dataset.ErrMalformed) {
		t.Error(err)
	}
}

// edited changes the footer of a file.
func edited(t *testing.T, b []byte, edit func(*pqformat.FileMetaData)) []byte {
	t.Helper()
	n := int(binary.LittleEndian.Uint32(b[len(b)-8:]))
	meta := new(pqformat.FileMetaData)
	if err := unmarshal(b[len(b)-8-n:len(b)-8], meta); err != nil {
		t.Fatal(err)
	}
	edit(meta)
	footer, err := marshal(meta)
	if err != nil {
		t.Fatal(err)
	}
	out := append(bytes.Clone(b[:len(b)-8-n]), footer...)
	return append(binary.LittleEndian.AppendUint32(out, uint32(len(footer))), "PAR1"...)
}

// allocated is the bytes that f asks of memory, all in all.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// memoryBound is far below what the lies below ask for.
const memoryBound = 96 << 20

func TestLyingFooters(t *testing.T) {
	good := written(t, people, dataset.CSV, nil)
	chunk := func(m *pqformat.FileMetaData) *pqformat.ColumnMetaData { return &m.RowGroups[0].Columns[0].MetaData }
	for name, edit := range map[string]func(*pqformat.FileMetaData){
		"rows":           func(m *pqformat.FileMetaData) { m.NumRows = 1 << 60 },
		"rows of both":   func(m *pqformat.FileMetaData) { m.NumRows, m.RowGroups[0].NumRows = 1<<60, 1<<60 },
		"one row more":   func(m *pqformat.FileMetaData) { m.NumRows, m.RowGroups[0].NumRows = 4, 4 },
		"one row less":   func(m *pqformat.FileMetaData) { m.NumRows, m.RowGroups[0].NumRows = 2, 2 },
		"rows below 0":   func(m *pqformat.FileMetaData) { m.NumRows, m.RowGroups[0].NumRows = -1, -1 },
		"chunk too long": func(m *pqformat.FileMetaData) { chunk(m).TotalCompressedSize = 1 << 40 },
		"chunk overflow": func(m *pqformat.FileMetaData) { chunk(m).TotalCompressedSize = 1<<63 - 1 },
		"chunk below 0":  func(m *pqformat.FileMetaData) { chunk(m).DataPageOffset = -9 },
		"chunk is magic": func(m *pqformat.FileMetaData) { chunk(m).DataPageOffset, chunk(m).DictionaryPageOffset = 0, 0 },
		"chunk missing":  func(m *pqformat.FileMetaData) { m.RowGroups[0].Columns = m.RowGroups[0].Columns[1:] },
		"chunk empty":    func(m *pqformat.FileMetaData) { chunk(m).TotalCompressedSize = 0 },
		"another type":   func(m *pqformat.FileMetaData) { m.Schema[1].Type.V = pqformat.Int96 },
		"another codec":  func(m *pqformat.FileMetaData) { chunk(m).Codec = pqformat.Gzip },
		"no schema":      func(m *pqformat.FileMetaData) { m.Schema = nil },
		"schema short":   func(m *pqformat.FileMetaData) { m.Schema[0].NumChildren.V = 1 << 30 },
		"schema deep": func(m *pqformat.FileMetaData) {
			e := m.Schema[0]
			e.NumChildren.V = 1
			m.Schema = append(slices.Repeat([]pqformat.SchemaElement{e}, 20000), m.Schema...)
		},
	} {
		b := edited(t, good, edit)
		var err error
		if n := allocated(func() { _, err = profileOf(b) }); n > memoryBound {
			t.Errorf("%s: %d MiB were asked for", name, n>>20)
		}
		if !errors.Is(err, ErrParquet) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := profileOf(edited(t, good, func(*pqformat.FileMetaData) {})); err != nil {
		t.Error("the untouched footer:", err)
	}
}

// A footer of a few bytes that claims two thousand million elements, or real
// ones that are many times larger in memory.
func TestFooterBombs(t *testing.T) {
	file := func(footer []byte) []byte {
		b := append([]byte("PAR1"), footer...)
		return append(binary.LittleEndian.AppendUint32(b, uint32(len(footer))), "PAR1"...)
	}
	deep := bytes.Repeat([]byte{0x1c}, 1<<20)
	many := append([]byte{0x49, 0xfc, 0x80, 0x80, 0x80, 0x04}, make([]byte, 8<<20+1)...) // row groups of one byte
	for name, b := range map[string][]byte{
		"list":   file([]byte{0x49, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0}),
		"string": file([]byte{0x68, 0xff, 0xff, 0xff, 0xff, 0x07, 0}),
		"deep":   file(deep),
		"many":   file(many),
	} {
		var err error
		if n := allocated(func() { _, err = profileOf(b) }); n > memoryBound || !errors.Is(err, ErrParquet) {
			t.Errorf("%s: %d MiB, %v", name, n>>20, err)
		}
	}
}

// page is one page as a chunk has it.
func page(t *testing.T, h pqformat.PageHeader, body []byte) []byte {
	t.Helper()
	if h.CompressedPageSize == 0 {
		h.CompressedPageSize = int32(len(body))
	}
	head, err := marshal(&h)
	if err != nil {
		t.Fatal(err)
	}
	return append(head, body...)
}

// bombFile is a file of one required column of text with one page.
func bombFile(t *testing.T, codec pqformat.CompressionCodec, values int32, pages []byte) []byte {
	var m pqformat.FileMetaData
	var root, leaf pqformat.SchemaElement
	root.Name, leaf.Name = "table", "a"
	root.NumChildren.V, root.NumChildren.Valid = 1, true
	leaf.Type.V, leaf.Type.Valid = pqformat.ByteArray, true
	leaf.RepetitionType.V, leaf.RepetitionType.Valid = pqformat.Required, true
	var c pqformat.ColumnChunk
	c.MetaData = pqformat.ColumnMetaData{Type: pqformat.ByteArray, PathInSchema: []string{"a"}, Codec: codec, NumValues: int64(values), TotalCompressedSize: int64(len(pages)), DataPageOffset: 4}
	m.Version, m.NumRows, m.Schema = 1, int64(values), []pqformat.SchemaElement{root, leaf}
	m.RowGroups = []pqformat.RowGroup{{NumRows: int64(values), Columns: []pqformat.ColumnChunk{c}}}
	footer, err := marshal(&m)
	if err != nil {
		t.Fatal(err)
	}
	b := append(append([]byte("PAR1"), pages...), footer...)
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(footer))), "PAR1"...)
}

func dataPage(size int, values int32, e pqformat.Encoding) (h pqformat.PageHeader) {
	h.Type, h.UncompressedPageSize = pqformat.DataPage, int32(size)
	h.DataPageHeader.Valid = true
	h.DataPageHeader.V = pqformat.DataPageHeader{NumValues: values, Encoding: e, DefinitionLevelEncoding: pqformat.RLE, RepetitionLevelEncoding: pqformat.RLE}
	return h
}

func TestPageBombs(t *testing.T) {
	zeros := make([]byte, 192<<20)
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	w.Write(zeros)
	w.Close()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	zs := z.EncodeAll(zeros, nil)
	zeros = nil
	dict := pqformat.PageHeader{Type: pqformat.DictionaryPage, UncompressedPageSize: 5}
	dict.DictionaryPageHeader.Valid, dict.DictionaryPageHeader.V.NumValues = true, 1
	one := page(t, dict, []byte{1, 0, 0, 0, 'x'})
	run := []byte{1, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0} // 2^31-1 times index 0
	many := dict
	many.DictionaryPageHeader.V.NumValues = 1<<31 - 1

	for name, c := range map[string]struct {
		b      []byte
		unread bool
	}{
		"gzip":          {bombFile(t, pqformat.Gzip, 4, page(t, dataPage(100, 4, pqformat.Plain), gz.Bytes())), false},
		"zstd":          {bombFile(t, pqformat.Zstd, 4, page(t, dataPage(100, 4, pqformat.Plain), zs)), false},
		"snappy":        {bombFile(t, pqformat.Snappy, 4, page(t, dataPage(100, 4, pqformat.Plain), []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0})), false},
		"huge page":     {bombFile(t, pqformat.Zstd, 4, page(t, dataPage(1<<31-1, 4, pqformat.Plain), zs)), true},
		"huge count":    {bombFile(t, 0, 1<<31-1, page(t, dataPage(4, 1<<31-1, pqformat.Plain), []byte{0, 0, 0, 0})), true},
		"count":         {bombFile(t, 0, 1<<20, page(t, dataPage(4, 1<<20, pqformat.Plain), []byte{0, 0, 0, 0})), false},
		"run":           {bombFile(t, 0, 4, append(bytes.Clone(one), page(t, dataPage(7, 4, pqformat.RLEDictionary), run)...)), false},
		"dictionary":    {bombFile(t, 0, 4, page(t, many, []byte{0, 0, 0, 0})), true},
		"no dictionary": {bombFile(t, 0, 4, page(t, dataPage(3, 4, pqformat.RLEDictionary), []byte{1, 8, 0})), false},
		"deltas":        {bombFile(t, 0, 4, page(t, dataPage(9, 4, pqformat.DeltaLengthByteArray), []byte{0x80, 1, 4, 0xff, 0xff, 0xff, 0xff, 7, 0})), false},
		"prefixes":      {bombFile(t, 0, 4, page(t, dataPage(4, 4, pqformat.DeltaByteArray), []byte{0, 0, 0, 0})), true},
		"long cell":     {bombFile(t, 0, 1, page(t, dataPage(8, 1, pqformat.Plain), []byte{0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0})), false},
		"cut":           {bombFile(t, 0, 1, page(t, dataPage(8, 1, pqformat.Plain), nil)), false},
	} {
		var p *dataset.Profile
		var err error
		if n := allocated(func() { p, err = profileOf(c.b) }); n > memoryBound {
			t.Errorf("%s: %d MiB were asked for", name, n>>20)
		}
		if c.unread && (err != nil || p.Columns[0].Type != dataset.Unread || p.Columns[0].Note == "") {
			t.Errorf("%s: %v, want a column that is not read", name, err)
		}
		if !c.unread && !errors.Is(err, ErrParquet) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The parts are sound: with a run of four they are a table.
	p, err := profileOf(bombFile(t, 0, 4, append(bytes.Clone(one), page(t, dataPage(3, 4, pqformat.RLEDictionary), []byte{1, 8, 0})...)))
	if err != nil || p.Rows != 4 || p.Columns[0].Distinct != 1 {
		t.Errorf("%+v %v", p, err)
	}
}

func TestEveryByteOfAFooterFlipped(t *testing.T) {
	b := written(t, people, dataset.CSV, nil)
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 0x41
		if n := allocated(func() { profileOf(c) }); n > memoryBound {
			t.Errorf("byte %d: %d MiB were asked for", i, n>>20)
		}
	}
}

func FuzzProfile(f *testing.F) {
	f.Add(written(f, people, dataset.CSV, nil))
	f.Add(written(f, "a\n1\n", dataset.CSV, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var err error
		if n := allocated(func() { _, err = profileOf(b) }); n > memoryBound {
			t.Fatalf("%d MiB were asked for", n>>20)
		}
		if err != nil && err.Error() == "" {
			t.Fatal("an error without words")
		}
	})
}

// BenchmarkProfileParquet is beside dataset's BenchmarkProfile of a CSV; the bytes
// are those of the file.
func BenchmarkProfileParquet(b *testing.B) {
	var out bytes.Buffer
	if err := pq.Write(&out, visits(200_000), pq.Compression(&pq.Snappy)); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(out.Len()))
	for b.Loop() {
		if _, err := profileOf(out.Bytes()); err != nil {
			b.Fatal(err)
		}
	}
}
