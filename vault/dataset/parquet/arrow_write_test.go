package parquet

import (
	"bytes"
	"fmt"
	"testing"

	arrow "github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"cipherdeck/vault/dataset"
)

// TestProfileOfArrowFiles profiles what Apache Arrow writes, in both versions of
// its pages and with and without dictionaries.
func TestProfileOfArrowFiles(t *testing.T) {
	for _, codec := range []compress.Compression{compress.Codecs.Uncompressed, compress.Codecs.Snappy, compress.Codecs.Gzip, compress.Codecs.Zstd} {
		for _, version := range []arrow.DataPageVersion{arrow.DataPageV1, arrow.DataPageV2} {
			for _, dict := range []bool{true, false} {
				name := fmt.Sprint(codec, version, dict)
				b := arrowFile(t, 3000, arrow.WithCompression(codec), arrow.WithDataPageVersion(version), arrow.WithDictionaryDefault(dict), arrow.WithDataPageSize(2000))
				p, err := profileOf(b)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				n, s := p.Columns[0], p.Columns[1]
				if p.Rows != 6000 || n.Type != dataset.Integer || n.Min != "0" || n.Max != "5999" || n.Nulls != 0 || s.Type != dataset.Text || s.Nulls != 3000 || s.Distinct != 7 {
					t.Errorf("%s: %+v %+v", name, n, s)
				}
			}
		}
	}
}

// arrowFile has two row groups of n rows: a number, and a text in every second.
func arrowFile(t *testing.T, n int, o ...arrow.WriterProperty) []byte {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	id, err := schema.NewPrimitiveNode("n", arrow.Repetitions.Required, arrow.Types.Int64, -1, -1)
	check(err)
	text, err := schema.NewPrimitiveNodeLogical("s", arrow.Repetitions.Optional, schema.StringLogicalType{}, arrow.Types.ByteArray, -1, -1)
	check(err)
	root, err := schema.NewGroupNode("table", arrow.Repetitions.Required, schema.FieldList{id, text}, -1)
	check(err)
	var out bytes.Buffer
	w := file.NewParquetWriter(&out, root, file.WithWriterProps(arrow.NewWriterProperties(o...)))
	for g := range 2 {
		var ids []int64
		var texts []arrow.ByteArray
		var levels []int16
		for i := range n {
			ids = append(ids, int64(g*n+i))
			levels = append(levels, int16(i%2))
			if i%2 == 1 {
				texts = append(texts, arrow.ByteArray(fmt.Sprint("t", i%14/2)))
			}
		}
		group := w.AppendRowGroup()
		c, err := group.NextColumn()
		check(err)
		_, err = c.(*file.Int64ColumnChunkWriter).WriteBatch(ids, nil, nil)
		check(err)
		check(c.Close())
		c, err = group.NextColumn()
		check(err)
		_, err = c.(*file.ByteArrayColumnChunkWriter).WriteBatch(texts, levels, nil)
		check(err)
		check(c.Close())
		check(group.Close())
	}
	check(w.Close())
	return out.Bytes()
}
