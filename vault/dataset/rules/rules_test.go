package rules

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"cipherdeck/vault/dataset"
)

func mustParse(t testing.TB, in string) *File {
	t.Helper()
	f, err := Parse("r.json", []byte(in))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func apply(t testing.TB, f *File, key *[32]byte, form dataset.Format, in string) (string, Stats, error) {
	t.Helper()
	var out strings.Builder
	s, err := Apply(context.Background(), "d", form, strings.NewReader(in), &out, f, key, Options{})
	return out.String(), s, err
}

// What stands for a missing value is none: it gets no token, no mask and no
// noise, and is not counted as unreadable. Encrypted it looks like any other.
func TestNullsStayEmpty(t *testing.T) {
	f := mustParse(t, `{"v":1,"other":"keep","columns":[{"column":"a","rule":"token"},{"column":"b","rule":"mask"},{"column":"c","rule":"noise","shape":"uniform","scale":1},{"column":"d","rule":"encrypt"}]}`)
	key := [32]byte{1}
	out, s, err := apply(t, f, &key, dataset.CSV, "a,b,c,d,e\nNA,null,NaN,NA,NA\n")
	row := strings.Split(strings.Split(out, "\n")[1], ",")
	if err != nil || row[0]+row[1]+row[2] != `""` || len(row[3]) < 50 || row[4] != "NA" || len(s.Suppressed) != 0 {
		t.Errorf("%q %+v %v", out, s, err)
	}
}

func TestParseNamesTheField(t *testing.T) {
	for in, want := range map[string]string{
		`{`:                          "r.json: file",
		`{"v":1,"columns":[]} x`:     "file: text after",
		`{"v":2,"columns":[]}`:       "v: is 2",
		`{"v":1,"v":1,"columns":[]}`: "v: comes twice",
		`{"v":1,"colums":[]}`:        `unknown field "colums"`,
		`{"v":1,"other":"mask"}`:     `other: is "mask"`,
		`{"v":1,"columns":[{"column":"a","rule":"keep","width":"x"}]}`:                        "columns.width: is a JSON string",
		`{"v":1,"columns":[{"column":"a","rule":"hide"}]}`:                                    `columns[0].rule: is "hide"`,
		`{"v":1,"columns":[{"column":"a","rule":"drop","Rule":"keep"}]}`:                      "Rule: comes twice",
		`{"v":1,"columns":[{"column":"a","rule":"drop"},{"column":"a","rule":"keep"}]}`:       `columns[1].column: "a"`,
		`{"v":1,"columns":[{"column":"a","rule":"token","last":4}]}`:                          "columns[0].last: is not used by token",
		`{"v":1,"columns":[{"column":"a","rule":"mask","last":9}]}`:                           "columns[0].last: is 9",
		`{"v":1,"columns":[{"column":"a","rule":"generalise"}]}`:                              "want one of to, width and prefix",
		`{"v":1,"columns":[{"column":"a","rule":"generalise","to":"week"}]}`:                  `to: is "week"`,
		`{"v":1,"columns":[{"column":"a","rule":"generalise","width":-1}]}`:                   "width: is -1",
		`{"v":1,"columns":[{"column":"a","rule":"noise","shape":"gauss","scale":1}]}`:         "shape: is",
		`{"v":1,"columns":[{"column":"a","rule":"noise","shape":"uniform"}]}`:                 "scale: is 0",
		`{"v":1,"columns":[{"column":"a","rule":"generalise","prefix":2,"order":"dmy"}]}`:     "order: is",
		`{"v":1,"columns":[{"column":"a","rule":"keep"},{"column":"b","rule":"keep","x":1}]}`: `unknown field "x"`,
	} {
		if _, err := Parse("r.json", []byte(in)); !errors.Is(err, ErrRules) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
}

const clinicRules = `{"v":1,"other":"refuse","columns":[
 {"column":"id","rule":"token"},
 {"column":"name","rule":"drop"},
 {"column":"card","rule":"mask","last":4},
 {"column":"born","rule":"generalise","to":"year"},
 {"column":"seen","rule":"generalise","to":"quarter","order":"mdy"},
 {"column":"age","rule":"generalise","width":10},
 {"column":"zip","rule":"generalise","prefix":2},
 {"column":"note","rule":"keep"}]}`

func TestApply(t *testing.T) {
	in := "id,name,card,born,seen,age,zip,note\n" +
		"7,Ann,4111111111111111,1980-05-31,4/1/2024,39,10115,=1+1\n" +
		" 7 ,Bob,123,oops,,-1,,\"a, \"\"b\"\"\"\n"
	key := [32]byte{1}
	got, s, err := apply(t, mustParse(t, clinicRules), &key, dataset.CSV, in)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(got)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	token := rows[1][0]
	want := [][]string{
		{"id", "card", "born", "seen", "age", "zip", "note"},
		{token, "****1111", "1980", "2024-Q2", "[30,40)", "10*", "'=1+1"},
		{token, "****", "", "", "[-10,0)", "", `a, "b"`},
	}
	if fmt.Sprint(rows) != fmt.Sprint(want) || len(token) != 26 {
		t.Errorf("got  %q\nwant %q", rows, want)
	}
	if s.Rows != 2 || s.Suppressed["born"] != 1 || s.Formulas != 1 {
		t.Errorf("%+v", s)
	}
	if strings.Contains(got, "Ann") || strings.Contains(got, "oops") {
		t.Error("a dropped or unreadable cell came through")
	}
}

func TestTokensJoin(t *testing.T) {
	one := mustParse(t, `{"v":1,"columns":[{"column":"patient","rule":"token","join":"person"},{"column":"id","rule":"token"}]}`)
	two := mustParse(t, `{"v":1,"columns":[{"column":"case","rule":"token","join":"person"}]}`)
	key, other := [32]byte{1}, [32]byte{2}
	a, _, _ := apply(t, one, &key, dataset.CSV, "patient,id\n42,42\n")
	b, _, _ := apply(t, two, &key, dataset.JSONL, `{"case":42}`)
	c, _, _ := apply(t, two, &other, dataset.JSONL, `{"case":42}`)
	cells := strings.Split(strings.Split(a, "\n")[1], ",")
	if !strings.Contains(b, cells[0]) || cells[0] == cells[1] || strings.Contains(c, cells[0]) {
		t.Errorf("%s %s %s", a, b, c)
	}
	if _, _, err := apply(t, one, nil, dataset.CSV, "patient,id\n42,42\n"); !errors.Is(err, ErrKey) {
		t.Error(err)
	}
}

func TestColumnsMustMatch(t *testing.T) {
	f := mustParse(t, `{"v":1,"columns":[{"column":"a","rule":"keep"}]}`)
	if out, _, err := apply(t, f, nil, dataset.CSV, "a,secret\n1,2\n"); !errors.Is(err, ErrRules) || !strings.Contains(err.Error(), `"secret" has no rule`) || out != "" {
		t.Error(out, err)
	}
	if out, _, err := apply(t, f, nil, dataset.JSONL, "{\"a\":1}\n{\"a\":1,\"secret\":2}\n"); !errors.Is(err, ErrRules) || strings.Contains(out, "secret") {
		t.Error(out, err)
	}
	f.Columns[0].Column = "A"
	f.Other = Keep
	if _, _, err := apply(t, f, nil, dataset.CSV, "a\n1\n"); !errors.Is(err, ErrRules) || !strings.Contains(err.Error(), `no column "A"`) {
		t.Error(err)
	}
	f.Columns, f.Other = nil, Drop
	if out, _, err := apply(t, f, nil, dataset.JSONL, `{"a":1}`); err != nil || out != "{}\n" {
		t.Error(out, err)
	}
}

func TestAmbiguousDateIsAnError(t *testing.T) {
	f := mustParse(t, `{"v":1,"columns":[{"column":"d","rule":"generalise","to":"month"}]}`)
	if _, _, err := apply(t, f, nil, dataset.CSV, "d\n2024-01-02\n03/04/2024\n"); !errors.Is(err, ErrRules) || !strings.Contains(err.Error(), `line 3, column "d"`) {
		t.Error(err)
	}
	if out, _, err := apply(t, f, nil, dataset.CSV, "d\n04/04/2024\n31/12/2024\n3.4.2024\n"); err != nil || out != "d\n2024-04\n2024-12\n2024-04\n" {
		t.Error(out, err)
	}
	f.Columns[0].Order = "mdy"
	if out, _, err := apply(t, f, nil, dataset.CSV, "d\n03/04/2024\n"); err != nil || out != "d\n2024-03\n" {
		t.Error(out, err)
	}
}

func TestBins(t *testing.T) {
	for in, want := range map[string]string{"0.3": "[0.3,0.4)", "0.29": "[0.2,0.3)", "-0.05": "[-0.1,0)", "1e300": "", "x": "", "NaN": ""} {
		if got, _, _ := bin(0.1)(nil, []byte(in)); string(got) != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestPrefixHidesSomething(t *testing.T) {
	for in, want := range map[string]string{"10115": "10*", "10": "", "1": "", "äöü": "äö*"} {
		if got, _, _ := prefix(2)(nil, []byte(in)); string(got) != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// TestXAES is the first vector of c2sp.org/XAES-256-GCM.
func TestXAES(t *testing.T) {
	nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
	a, err := xaes(bytes.Repeat([]byte{1}, 32), nonce[:12])
	if err != nil {
		t.Fatal(err)
	}
	got := hex.EncodeToString(a.Seal(nil, nonce[12:], []byte("XAES-256-GCM"), nil))
	if got != "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271" {
		t.Error(got)
	}
	a, _ = xaes(bytes.Repeat([]byte{3}, 32), nonce[:12])
	got = hex.EncodeToString(a.Seal(nil, nonce[12:], []byte("XAES-256-GCM"), []byte("c2sp.org/XAES-256-GCM")))
	if got != "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d" {
		t.Error(got)
	}
}

func TestEncryptedCellsComeBack(t *testing.T) {
	f := mustParse(t, `{"v":1,"other":"keep","columns":[{"column":"a","rule":"encrypt"},{"column":"b","rule":"encrypt"}]}`)
	key := [32]byte{9}
	in := "a,b,c\nyes,no,1\nno,,2\n\"long, and\nwith more than one block\", x ,3\n"
	sealed, _, err := apply(t, f, &key, dataset.CSV, in)
	if err != nil {
		t.Fatal(err)
	}
	rows, _ := csv.NewReader(strings.NewReader(sealed)).ReadAll()
	if len(rows[1][0]) != len(rows[1][1]) || len(rows[1][0]) != len(rows[2][1]) || rows[1][0] == rows[2][1] {
		t.Errorf("yes, no and null can be told apart: %q", rows)
	}
	reveal := func(s string, k *[32]byte) (string, error) {
		var out strings.Builder
		_, err := Reveal(context.Background(), "d", dataset.CSV, strings.NewReader(s), &out, f, k, Options{KeepFormulas: true})
		return out.String(), err
	}
	back, err := reveal(sealed, &key)
	a, _ := csv.NewReader(strings.NewReader(in)).ReadAll()
	b, _ := csv.NewReader(strings.NewReader(back)).ReadAll()
	if err != nil || fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("%q %v", back, err)
	}
	swapped := "a,b,c\n" + rows[1][1] + "," + rows[1][0] + ",1\n"
	flipped := "a,b,c\n" + rows[1][0][:40] + "A" + rows[1][0][41:] + "," + rows[1][1] + ",1\n"
	for name, s := range map[string]string{"columns swapped": swapped, "changed": flipped, "in clear": in} {
		if _, err := reveal(s, &key); !errors.Is(err, ErrCell) || !strings.Contains(err.Error(), `line 2, column "a"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := reveal(sealed, &[32]byte{8}); !errors.Is(err, ErrCell) {
		t.Error(err)
	}
}

func TestFormulas(t *testing.T) {
	for in, want := range map[string]bool{
		"=1+1": true, "+A1": true, "-cmd|x": true, "@SUM(1)": true, "\t=1": true, " =1": true, "＝1": true, "\r=1": true,
		"-3.5": false, "+49301234": false, "a=1": false, "": false, "é": false, "[1,2)": false,
	} {
		if isFormula([]byte(in)) != want {
			t.Errorf("%q: %v", in, !want)
		}
	}
	f := &File{Version: 1, Other: Keep}
	out, _, _ := apply(t, f, nil, dataset.CSV, "=h,b\n1,2\n")
	if !strings.HasPrefix(out, "'=h,b\n") {
		t.Errorf("%q: a name is a cell, too", out)
	}
}

func TestNoise(t *testing.T) {
	const n, scale = 20_000, 3.0
	for shape, deviation := range map[string]float64{"laplace": scale * math.Sqrt2, "uniform": scale / math.Sqrt(3)} {
		var sum, squares float64
		c := noise(shape, scale)
		for range n {
			out, ok, _ := c(nil, []byte("10.000000"))
			v, err := strconv.ParseFloat(string(out), 64)
			if !ok || err != nil || len(out) < 8 {
				t.Fatal(string(out))
			}
			sum, squares = sum+v-10, squares+(v-10)*(v-10)
		}
		if got := math.Sqrt(squares / n); math.Abs(sum/n) > 0.2 || math.Abs(got-deviation) > 0.2 {
			t.Errorf("%s: mean %.3f, deviation %.3f, want 0 and %.3f", shape, sum/n, got, deviation)
		}
	}
	if out, _, _ := noise("uniform", 0.4)(nil, []byte("10")); string(out) != "10" {
		t.Errorf("an integer became %s", out)
	}
}

func TestKeepingAllChangesNothing(t *testing.T) {
	f := &File{Version: 1, Other: Keep}
	for form, in := range map[dataset.Format]string{
		dataset.CSV:   "a,b\n,\"x\ny\"\n\"\",2\n\" p\",\"q\"\"\"\n",
		dataset.TSV:   "a\tb\nx,y\t\"\t\"\n",
		dataset.JSONL: `{"a":1.50,"b":null,"c":[1, {"x":"y"}]}` + "\n" + `{"c":"\u003ctag","a":true}` + "\n",
	} {
		out, _, err := apply(t, f, nil, form, in)
		again, _, err2 := apply(t, f, nil, form, out)
		if err != nil || err2 != nil || out != again {
			t.Errorf("%s: %q then %q (%v, %v)", form, out, again, err, err2)
		}
		if form == dataset.JSONL && !strings.Contains(out, `{"a":1.50,"b":null,"c":[1, {"x":"y"}]}`) {
			t.Error(out)
		}
	}
	var out strings.Builder
	s, err := Apply(context.Background(), "d", dataset.CSV, strings.NewReader("a\n1\n2\n3\n"), &out, f, nil, Options{Skip: func(r int64) bool { return r == 1 }})
	if err != nil || s.Skipped != 1 || out.String() != "a\n1\n3\n" {
		t.Error(out.String(), err)
	}
}

func TestPropose(t *testing.T) {
	var in strings.Builder
	in.WriteString("email,dob,zip,weight\n")
	for i := range 50 {
		fmt.Fprintf(&in, "a%d@example.org,19%02d-01-02,1%04d,%d.5\n", i, 20+i, i, i)
	}
	p, err := dataset.ProfileOf("d", dataset.CSV, strings.NewReader(in.String()), 1)
	if err != nil {
		t.Fatal(err)
	}
	f, why := Propose(p)
	want := []Rule{{Column: "email", Action: Token}, {Column: "dob", Action: Generalise, To: "year"}, {Column: "zip", Action: Generalise, Prefix: 2}, {Column: "weight", Action: Keep}}
	if fmt.Sprint(f.Columns) != fmt.Sprint(want) || len(why) != 3 {
		t.Errorf("%+v %+v", f.Columns, why)
	}
	b, _ := f.Marshal()
	g := mustParse(t, string(b))
	if fmt.Sprint(g) != fmt.Sprint(f) {
		t.Errorf("%+v", g)
	}
	if _, _, err := apply(t, g, &[32]byte{1}, dataset.CSV, in.String()); err != nil {
		t.Error(err)
	}
}

// FuzzApply holds that what Apply writes can be read again, as many rows.
func FuzzApply(f *testing.F) {
	f.Add([]byte("a,b\n=1,\"x\n\"\"\"\n"), false)
	f.Add([]byte(`{"a":[1,{"b":"\""}],"c":"\u00e9"}`+"\n{}"), true)
	f.Fuzz(func(t *testing.T, in []byte, js bool) {
		form := dataset.CSV
		if js {
			form = dataset.JSONL
		}
		var out bytes.Buffer
		s, err := Apply(context.Background(), "d", form, bytes.NewReader(in), &out, &File{Version: 1, Other: Keep}, nil, Options{})
		if err != nil {
			return
		}
		p, err := dataset.ProfileOf("d", form, bytes.NewReader(out.Bytes()), 1)
		if err != nil && !errors.Is(err, dataset.ErrLimit) {
			t.Fatalf("%q: %v", out.Bytes(), err)
		}
		if err == nil && p.Rows != s.Rows && !js {
			t.Fatalf("%q: %d rows, wrote %d", out.Bytes(), p.Rows, s.Rows)
		}
	})
}

func BenchmarkToken(b *testing.B) {
	k, err := newTokeniser(&[32]byte{1}, "x")
	if err != nil {
		b.Fatal(err)
	}
	cell, out := []byte("ann.lee@example.org"), []byte(nil)
	for b.Loop() {
		out = k.append(out[:0], cell)
	}
}

func BenchmarkEncrypt(b *testing.B) {
	s, err := newSealer(&[32]byte{1}, "x")
	if err != nil {
		b.Fatal(err)
	}
	cell, out := []byte("ann.lee@example.org"), []byte(nil)
	for b.Loop() {
		out = s.append(out[:0], cell)
	}
}
