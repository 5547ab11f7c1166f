package parquet

import (
	"bytes"
	"fmt"
	"testing"

	arrow "github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"

	"cipherdeck/vault/dataset"
)

// TestArrowReadsWhatIsWritten opens our encrypted files with Apache Arrow,
// which shares no code with the library that writes them.
func TestArrowReadsWhatIsWritten(t *testing.T) {
	keys, err := KeysOf(&[32]byte{7}, "name", "age")
	if err != nil {
		t.Fatal(err)
	}
	b := written(t, people, dataset.CSV, keys)
	all := arrow.ColumnPathToDecryptionPropsMap{}
	for c, k := range keys.Columns {
		all[c] = arrow.NewColumnDecryptionProperties(c, arrow.WithDecryptKey(string(k[:])))
	}
	r, err := arrowReader(b, arrow.WithFooterKey(string(keys.Footer[:])), arrow.WithColumnKeys(all))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := r.MetaData().Schema.NumColumns(); got != len(peopleBack[0]) || r.NumRows() != 3 {
		t.Fatalf("%d columns, %d rows", got, r.NumRows())
	}
	for i, name := range peopleBack[0] {
		if got := r.MetaData().Schema.Column(i).Name(); got != name {
			t.Errorf("column %d is %q, want %q", i, got, name)
		}
	}
	if got := fmt.Sprint(textsOf(t, r, 1)); got != "[Ann Bob Cid]" {
		t.Error(got)
	}
	if got := fmt.Sprint(textsOf(t, r, 0)); got != "[10115 00123]" {
		t.Error(got)
	}
	if got := fmt.Sprint(values[int64](t, r, 2)); got != "[30 -5]" {
		t.Error(got)
	}
	if got := fmt.Sprint(values[float64](t, r, 3)); got != "[60.5 1000]" {
		t.Error(got)
	}
	if got := fmt.Sprint(values[bool](t, r, 4)); got != "[true false]" {
		t.Error(got)
	}
	if got := fmt.Sprint(values[int32](t, r, 5)); got != "[7306 -1 19782]" {
		t.Error(got)
	}
}

func TestArrowIsRefusedWithoutTheKey(t *testing.T) {
	keys, _ := KeysOf(&[32]byte{7}, "name")
	b := written(t, people, dataset.CSV, keys)
	if _, err := arrowReader(b, arrow.WithFooterKey(string(make([]byte, 32)))); err == nil {
		t.Error("the footer opened with another key")
	}
	if _, err := file.NewParquetReader(bytes.NewReader(b)); err == nil {
		t.Error("the footer opened without a key")
	}
}

func arrowReader(b []byte, o ...arrow.FileDecryptionOption) (*file.Reader, error) {
	props := arrow.NewReaderProperties(nil)
	props.FileDecryptProps = arrow.NewFileDecryptionProperties(o...)
	return file.NewParquetReader(bytes.NewReader(b), file.WithReadProps(props))
}

func textsOf(t *testing.T, r *file.Reader, column int) []string {
	var out []string
	for _, v := range values[arrow.ByteArray](t, r, column) {
		out = append(out, string(v))
	}
	return out
}

// values reads the values of a column that are not null.
func values[T any](t *testing.T, r *file.Reader, column int) []T {
	t.Helper()
	chunk, err := r.RowGroup(0).Column(column)
	if err != nil {
		t.Fatal(err)
	}
	batch, ok := chunk.(interface {
		ReadBatch(n int64, values []T, def, rep []int16) (int64, int, error)
	})
	if !ok {
		t.Fatalf("column %d is read by %T", column, chunk)
	}
	out, def := make([]T, 3), make([]int16, 3)
	_, n, err := batch.ReadBatch(3, out, def, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out[:n]
}
