package parquet

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"strings"
	"testing"

	pq "github.com/parquet-go/parquet-go"

	"cipherdeck/vault/dataset"
)

const people = "zip,name,age,weight,smoker,born,note\n" +
	"10115,Ann,30,60.5,yes,1990-01-02,\"a, \"\"b\"\"\"\n" +
	",Bob,,NA,no,31.12.1969,\n" +
	"00123,Cid,-5,1e3,,2024-02-29,é\n"

func written(t testing.TB, in string, form dataset.Format, keys *Keys) []byte {
	t.Helper()
	p, err := dataset.ProfileOf("t", form, strings.NewReader(in), 1)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Write(context.Background(), "t", form, strings.NewReader(in), &out, WriteOptions{Profile: p, Keys: keys}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func open(b []byte, k *Keys) (*File, error) {
	return Open("t.parquet", bytes.NewReader(b), int64(len(b)), k)
}

func asCSV(t *testing.T, b []byte, k *Keys) [][]string {
	t.Helper()
	f, err := open(b, k)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := f.WriteCSV(context.Background(), &out); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

var peopleBack = [][]string{
	{"zip", "name", "age", "weight", "smoker", "born", "note"},
	{"10115", "Ann", "30", "60.5", "true", "1990-01-02", `a, "b"`},
	{"", "Bob", "", "", "false", "1969-12-31", ""},
	{"00123", "Cid", "-5", "1000", "", "2024-02-29", "é"},
}

func TestRoundTrip(t *testing.T) {
	b := written(t, people, dataset.CSV, nil)
	if got := asCSV(t, b, nil); fmt.Sprint(got) != fmt.Sprint(peopleBack) {
		t.Errorf("got  %q\nwant %q", got, peopleBack)
	}
	f, _ := open(b, nil)
	p, err := f.Profile(context.Background(), 1)
	if err != nil || p.Rows != 3 || p.Format != dataset.Parquet || f.Rows() != 3 {
		t.Fatalf("%+v %v", p, err)
	}
	for i, want := range []dataset.Type{dataset.Text, dataset.Text, dataset.Integer, dataset.Number, dataset.Boolean, dataset.Date, dataset.Text} {
		if p.Columns[i].Type != want || p.Columns[i].Name != peopleBack[0][i] {
			t.Errorf("%+v, want %s", p.Columns[i], want)
		}
	}
}

func TestJSONLColumnsComeAndGo(t *testing.T) {
	b := written(t, "{\"a\":1}\n{\"b\":\"x\"}\n{\"b\":null,\"c\":2.5,\"a\":3}\n", dataset.JSONL, nil)
	if got, want := asCSV(t, b, nil), [][]string{{"a", "b", "c"}, {"1", "", ""}, {"", "x", ""}, {"3", "", "2.5"}}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q", got)
	}
}

func TestManyRowGroups(t *testing.T) {
	var in strings.Builder
	in.WriteString("n,s\n")
	for i := range rowsPerGroup*2 + 7 {
		fmt.Fprintf(&in, "%d,x%d\n", i, i%10)
	}
	keys, _ := KeysOf(&[32]byte{1}, "s")
	for _, k := range []*Keys{nil, keys} {
		manyRows(t, in.String(), k)
	}
}

func manyRows(t *testing.T, in string, keys *Keys) {
	f, err := open(written(t, in, dataset.CSV, keys), keys)
	if err != nil {
		t.Fatal(err)
	}
	var rows, sum int64
	err = f.Each(context.Background(), func(r *dataset.Record) error {
		rows++
		if string(r.Fields[0]) != fmt.Sprint(rows-1) {
			return fmt.Errorf("row %d is %s", rows, r.Fields[0])
		}
		sum += int64(len(r.Fields[1]))
		return nil
	})
	if err != nil || rows != rowsPerGroup*2+7 || sum != 2*rows {
		t.Error(rows, sum, err)
	}
}

func TestTable(t *testing.T) {
	f, _ := open(written(t, "a,b\n1,2.5\n-3,4\n", dataset.CSV, nil), nil)
	tab, err := f.Table(context.Background())
	if err != nil || tab.Rows[1][0] != -3 || tab.Rows[0][1] != 2.5 || tab.Columns[1] != "b" {
		t.Fatalf("%+v %v", tab, err)
	}
	f, _ = open(written(t, "a,b\n1,2\n2,\n", dataset.CSV, nil), nil)
	if _, err := f.Table(context.Background()); !errors.Is(err, dataset.ErrTable) || !strings.Contains(err.Error(), `row 2, column "b"`) {
		t.Error(err)
	}
}

func TestEncrypted(t *testing.T) {
	key := [32]byte{7}
	keys, err := KeysOf(&key, "name", "age")
	if err != nil {
		t.Fatal(err)
	}
	b := written(t, people, dataset.CSV, keys)
	for _, secret := range []string{"Ann", "10115", "weight", "smoker"} {
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("%q is in clear", secret)
		}
	}
	if got := asCSV(t, b, keys); fmt.Sprint(got) != fmt.Sprint(peopleBack) {
		t.Errorf("%q", got)
	}
	if _, err := open(b, nil); !errors.Is(err, ErrKey) {
		t.Error(err)
	}
	other, _ := KeysOf(&[32]byte{8}, "name", "age")
	if _, err := open(b, other); !errors.Is(err, ErrKey) {
		t.Error(err)
	}
	// The footer key alone shows neither cells nor the least and greatest of a
	// column with a key of its own.
	at := len(b) - 8 - int(binary.LittleEndian.Uint32(b[len(b)-8:])) + 4
	footer, _, err := openModule(keys.Footer, fileAAD(b[at:at+8]).module(footerModule), b[at+12:])
	if err != nil || bytes.Contains(footer, []byte("Ann")) || !bytes.Contains(footer, []byte("00123")) {
		t.Errorf("%q %v", footer, err)
	}
	if _, err := open(b, &Keys{Footer: keys.Footer}); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), `column "name"`) {
		t.Error(err)
	}
	missing, _ := KeysOf(&key, "salary")
	if err := Write(context.Background(), "t", dataset.CSV, strings.NewReader(people), &bytes.Buffer{}, WriteOptions{Keys: missing}); !errors.Is(err, dataset.ErrColumn) {
		t.Error(err)
	}
}

func TestEveryFlippedByteOfAnEncryptedFileIsNoticed(t *testing.T) {
	keys, _ := KeysOf(&[32]byte{7}, "a")
	b := written(t, "a,b\n1,x\n2,y\n", dataset.CSV, keys)
	want := fmt.Sprint(asCSV(t, b, keys))
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 1
		f, err := open(c, keys)
		if err != nil {
			continue
		}
		var out bytes.Buffer
		if err := f.WriteCSV(context.Background(), &out); err != nil {
			continue
		}
		rows, _ := csv.NewReader(&out).ReadAll()
		if fmt.Sprint(rows) != want {
			t.Errorf("byte %d of %d: changed data came out", i, len(b))
		}
	}
}

func TestCellThatDoesNotFit(t *testing.T) {
	p, _ := dataset.ProfileOf("t", dataset.CSV, strings.NewReader("a\n1\n"), 1)
	err := Write(context.Background(), "t", dataset.CSV, strings.NewReader("a\n1\nx\n"), &bytes.Buffer{}, WriteOptions{Profile: p})
	if !errors.Is(err, ErrType) || !strings.Contains(err.Error(), `line 3, column "a"`) {
		t.Error(err)
	}
	// Dates that may be two days, and integers a float cannot hold, stay text.
	in := "d,n\n03/04/2024,9007199254740993\n"
	if got := asCSV(t, written(t, in, dataset.CSV, nil), nil); got[1][0] != "03/04/2024" || got[1][1] != "9007199254740993" {
		t.Errorf("%q", got)
	}
}

func TestLogicalTypes(t *testing.T) {
	type row struct {
		T int64            `parquet:"t,timestamp(millisecond)"`
		D int64            `parquet:"d,decimal(2:18)"`
		U uint32           `parquet:"u"`
		F float32          `parquet:"f"`
		B []byte           `parquet:"b"`
		G struct{ X int8 } `parquet:"g"`
	}
	var out bytes.Buffer
	if err := pq.Write(&out, []row{{T: 1500, D: -5, U: 1 << 31, F: 0.1, B: []byte{0, 255}}}); err != nil {
		t.Fatal(err)
	}
	got := asCSV(t, out.Bytes(), nil)
	want := [][]string{{"t", "d", "u", "f", "b", "g.X"}, {"1970-01-01T00:00:01.5Z", "-0.05", "2147483648", "0.1", "00ff", "0"}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q", got)
	}
	out.Reset()
	if err := pq.Write(&out, []struct{ L []int64 }{{[]int64{1, 2}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := open(out.Bytes(), nil); !errors.Is(err, dataset.ErrMalformed) || !strings.Contains(err.Error(), `"L" is a list`) {
		t.Error(err)
	}
}

func TestHostileFiles(t *testing.T) {
	b := written(t, people, dataset.CSV, nil)
	for i := range len(b) {
		read(b[:i])
	}
	for name, in := range map[string]string{
		"empty":       "",
		"not parquet": "zip,name\n10115,Ann\n",
		"footer bomb": "PAR1....\xff\xff\xff\x7fPAR1",
		"no footer":   "PAR1\x00\x00\x00\x00PAR1",
	} {
		if err := read([]byte(in)); !errors.Is(err, ErrParquet) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// read reads all it can, with a key that everybody knows; a panic fails the
// test.
func read(b []byte) error {
	f, err := open(b, &Keys{})
	if err != nil {
		return err
	}
	_, err = f.Profile(context.Background(), 1)
	return err
}

func FuzzRead(f *testing.F) {
	f.Add(written(f, people, dataset.CSV, nil))
	f.Add(written(f, "a\n1\n", dataset.CSV, nil))
	f.Add(written(f, "a\n1\n", dataset.CSV, &Keys{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := read(b); err != nil && err.Error() == "" {
			t.Fatal("an error without words")
		}
	})
}
