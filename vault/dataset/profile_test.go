package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

func mustProfile(t *testing.T, f Format, in string) *Profile {
	t.Helper()
	p, err := ProfileOf("t", f, strings.NewReader(in), 1)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProfileOfColumns(t *testing.T) {
	p := mustProfile(t, CSV, "\ufeffi,n,b,d,t,e,code\r\n"+
		"1,2.5,true,2024-05-31,x,,007\r\n"+
		"-3,1e3,no,1999-01-02T10:00:00Z,\"a \"\"b\"\", c\",NA,012\n"+
		",7,NA,29.02.2020,5,,1\n")
	want := []ColumnProfile{
		{Name: "i", Type: Integer, Nulls: 1, Distinct: 2, Min: "-3", Max: "1", Shortest: 1, Longest: 2},
		{Name: "n", Type: Number, Distinct: 3, Min: "2.5", Max: "1000", Shortest: 1, Longest: 3},
		{Name: "b", Type: Boolean, Nulls: 1, Distinct: 2, Shortest: 2, Longest: 4},
		{Name: "d", Type: Date, Distinct: 3, Min: "1999-01-02", Max: "2024-05-31", Shortest: 10, Longest: 20},
		{Name: "t", Type: Text, Distinct: 3, Shortest: 1, Longest: 8},
		{Name: "e", Type: Empty, Nulls: 3},
		{Name: "code", Type: Text, Distinct: 3, Shortest: 1, Longest: 3},
	}
	if p.Rows != 3 || len(p.Columns) != len(want) {
		t.Fatalf("%+v", p)
	}
	for i, w := range want {
		if p.Columns[i] != w {
			t.Errorf("got  %+v\nwant %+v", p.Columns[i], w)
		}
	}
	if p.Sample[1][4] != `a "b", c` {
		t.Errorf("%q", p.Sample[1])
	}
}

func TestProfileJSONL(t *testing.T) {
	p := mustProfile(t, JSONL, `{"a": 1, "b": "5", "c": {"x": [1, "]}"]}}`+"\n\n"+`{"b":"\u00e9\n","a":null,"d":true}`+"\n")
	want := []ColumnProfile{
		{Name: "a", Type: Integer, Nulls: 1, Distinct: 1, Min: "1", Max: "1", Shortest: 1, Longest: 1},
		{Name: "b", Type: Text, Distinct: 2, Shortest: 1, Longest: 3},
		{Name: "c", Type: Text, Nulls: 1, Distinct: 1, Shortest: 16, Longest: 16},
		{Name: "d", Type: Boolean, Nulls: 1, Distinct: 1, Shortest: 4, Longest: 4},
	}
	for i, w := range want {
		if p.Columns[i] != w {
			t.Errorf("got  %+v\nwant %+v", p.Columns[i], w)
		}
	}
}

// TestProfileDoesNotDependOnPieces also holds Reader and Profiler together.
func TestProfileDoesNotDependOnPieces(t *testing.T) {
	var in strings.Builder
	in.WriteString("k;text;v\n")
	for i := range 3000 {
		fmt.Fprintf(&in, "%d;\"line\n%d;\"\"\";%d.5\r\n", i, i%7, i*i)
	}
	whole, err := mustProfile(t, CSV, in.String()).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 2, 3, 1000} {
		p, _ := NewProfiler("t", CSV, 1)
		for b := []byte(in.String()); len(b) > 0; b = b[min(size, len(b)):] {
			if _, err := p.Write(b[:min(size, len(b))]); err != nil {
				t.Fatal(err)
			}
		}
		got, err := p.Finish()
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := got.Encode(); !bytes.Equal(b, whole) {
			t.Errorf("pieces of %d bytes give another profile", size)
		}
	}
	r, _ := NewReader("t", CSV, iotest.OneByteReader(strings.NewReader(in.String())))
	rp := newProfiler(CSV, &csvSplitter{names: []string{"k", "text", "v"}}, 1)
	for rec, err := r.Next(); err == nil; rec, err = r.Next() {
		rp.row(rec)
	}
	got, _ := rp.Finish()
	if b, _ := got.Encode(); !bytes.Equal(b, whole) {
		t.Error("Reader gives another profile")
	}
}

func TestProfileRoundTrip(t *testing.T) {
	p := mustProfile(t, TSV, "a\tb\n1\tx\n2\ty\n")
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	q, err := DecodeProfile(b)
	if err != nil || q.Rows != 2 || q.Columns[1].Name != "b" || q.Sample[1][1] != "y" {
		t.Fatalf("%+v %v", q, err)
	}
	if _, err := DecodeProfile(append(b, 0)); !errors.Is(err, ErrProfile) {
		t.Error(err)
	}
	q.Rows = -1
	b, _ = q.Encode()
	if _, err := DecodeProfile(b); !errors.Is(err, ErrProfile) {
		t.Error(err)
	}
}

func TestProfileFits(t *testing.T) {
	var in strings.Builder
	cell := strings.Repeat("x", 300)
	for i := range MaxColumns {
		fmt.Fprintf(&in, "%s%s%d", []string{",", ""}[b2i(i == 0)], strings.Repeat("n", 200), i)
	}
	row := "\n" + cell + strings.Repeat(","+cell, MaxColumns-1)
	in.WriteString(row + row)
	p := mustProfile(t, CSV, in.String())
	b, err := p.Encode()
	if err != nil || len(b) > MaxProfile {
		t.Fatal(len(b), err)
	}
	if len(p.Columns)+int(p.Omitted) != MaxColumns || p.Omitted == 0 {
		t.Errorf("%d columns, %d omitted", len(p.Columns), p.Omitted)
	}
	if _, err := DecodeProfile(b); err != nil {
		t.Error(err)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestDistinctEstimate(t *testing.T) {
	for _, n := range []int{0, 1, 10, 1000, 12_000, 50_000, 1_000_000} {
		var s sketch
		for i := range n {
			s.add(hash(fmt.Appendf(nil, "%d", i)))
		}
		if got := float64(s.estimate()); got < 0.94*float64(n) || got > 1.06*float64(n) {
			t.Errorf("%d distinct: estimate %.0f", n, got)
		}
	}
}

func TestSampleIsUniform(t *testing.T) {
	var in strings.Builder
	in.WriteString("n\n")
	for i := range 10_000 {
		fmt.Fprintln(&in, i)
	}
	half, all := 0, 0
	for seed := range uint64(20) {
		p, _ := ProfileOf("t", CSV, strings.NewReader(in.String()), seed)
		for _, row := range p.Sample {
			all++
			half += b2i(len(row[0]) < 4 || row[0] < "5000")
		}
	}
	if all != 20*SampleRows || half < all*45/100 || half > all*55/100 {
		t.Errorf("%d of %d sampled rows are of the first half", half, all)
	}
}

func TestHostileTables(t *testing.T) {
	long := strings.Repeat("y", MaxCell+1)
	for name, c := range map[string]struct {
		f    Format
		in   string
		kind error
		want string
	}{
		"empty":            {CSV, "", ErrMalformed, "line 1: no header"},
		"only line ends":   {CSV, "\n\r\n", ErrMalformed, "no header"},
		"ragged":           {CSV, "a,b\n1,2\n\"x\n\",2\n3\n", ErrMalformed, `line 5, column "b": the record has 1 cells, the header 2`},
		"too many cells":   {CSV, "a,b\n1,2,3\n", ErrMalformed, `line 2, column 3: the record has 3`},
		"unnamed":          {CSV, "a,,c\n", ErrMalformed, "column 2: has no name"},
		"named twice":      {CSV, "a,b,a\n", ErrMalformed, `column 3: is called "a" like column 1`},
		"long name":        {CSV, strings.Repeat("a", 300) + "\n", ErrLimit, "its name has 300 bytes"},
		"NUL":              {CSV, "a,b\n1,2\n3,\x004\n", ErrMalformed, `line 3, column "b": a NUL byte`},
		"Latin-1":          {CSV, "a,b\n1,2\n\n\xe9,4\n", ErrMalformed, `line 4, column "a": not UTF-8`},
		"quote in cell":    {CSV, "a\n1\n5\"\n", ErrMalformed, `line 3, column "a": a quote inside`},
		"text after quote": {CSV, "a\n\"1\"x\n", ErrMalformed, "text after a closing quote"},
		"open quote":       {CSV, "a,b\n1,\"2\n", ErrMalformed, `line 2, column "b": a quote is not closed`},
		"quote bomb":       {CSV, "a,b\n1,\"" + strings.Repeat(long, 3), ErrLimit, `line 2, column "b": a quoted cell is longer`},
		"escaped bomb":     {CSV, "a,b\n1,\"" + strings.Repeat(`""`, MaxCell) + "\"", ErrLimit, `a quoted cell is longer`},
		"huge cell":        {CSV, "a\n" + long + "\n", ErrLimit, `line 2, column "a": a cell is longer`},
		"huge header":      {CSV, strings.Repeat("y", 3*MaxRecord), ErrLimit, "line 1"},
		"huge record":      {CSV, "a" + columnsNamed(20) + "\n" + strings.Repeat(long[:1000_000]+",", 20) + "x\n", ErrLimit, "line 2: a record is longer"},
		"100k columns":     {CSV, "a" + columnsNamed(100_000) + "\n", ErrLimit, "at most 4096 columns"},
		"old Mac":          {CSV, "a,b\r1,2\r", ErrMalformed, "carriage return"},
		"json array":       {JSONL, "[1]\n", ErrMalformed, "line 1: want one JSON object"},
		"json key twice":   {JSONL, "{\"a\":1}\n{\"a\":1,\"a\":2}\n", ErrMalformed, `line 2, column "a": the key comes twice`},
		"json tail":        {JSONL, `{"a":1} x`, ErrMalformed, "text after the object"},
		"json bad value":   {JSONL, `{"a":01}`, ErrMalformed, `column "a": not a JSON value`},
		"json cut":         {JSONL, `{"a":1`, ErrMalformed, `column "a": want , or }`},
		"json deep":        {JSONL, `{"a":` + strings.Repeat("[", 100_000) + "}", ErrMalformed, "not a JSON value"},
		"json NUL":         {JSONL, `{"a":"\u0000"}`, ErrMalformed, "a NUL byte"},
		"json long":        {JSONL, strings.Repeat(" ", MaxRecord+9), ErrLimit, "a record is longer"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ProfileOf("f.csv", c.f, strings.NewReader(c.in), 1)
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "f.csv") {
				t.Errorf("%.200v, want %q", err, c.want)
			}
			r, _ := NewReader("f.csv", c.f, strings.NewReader(c.in))
			var second error
			for second == nil {
				_, second = r.Next()
			}
			if !errors.Is(second, c.kind) || second.Error() != err.Error() {
				t.Errorf("Reader: %.200v, Profiler: %.200v", second, err)
			}
		})
	}
}

func columnsNamed(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ",c%d", i)
	}
	return b.String()
}

func TestTeeKeepsReading(t *testing.T) {
	p, _ := NewProfiler("t", CSV, 1)
	var out bytes.Buffer
	if _, err := out.ReadFrom(p.Tee(strings.NewReader("a,b\n1\n2\n"))); err != nil || out.String() != "a,b\n1\n2\n" {
		t.Fatal(out.String(), err)
	}
	if _, err := p.Finish(); !errors.Is(err, ErrMalformed) {
		t.Fatal(err)
	}
}

func TestPreviewHides(t *testing.T) {
	var in strings.Builder
	in.WriteString("email,age,note\n")
	for i := range 30 {
		fmt.Fprintf(&in, "ann%d@example.org,%d,\x1b[31m\u202e\n", i, 20+i%9)
	}
	p := mustProfile(t, CSV, in.String())
	v := p.Preview(5)
	if len(v.Sample) != 5 || v.Sample[0][0] != Hidden || v.Columns[0].Max != "" || !v.Columns[0].Hidden || v.Sample[0][1] == Hidden {
		t.Errorf("%+v", v)
	}
	if v.Sample[0][2] != "·[31m·" {
		t.Errorf("%q steers a terminal", v.Sample[0][2])
	}
	if v = p.Preview(1, "email"); !strings.Contains(v.Sample[0][0], "@example.org") {
		t.Errorf("%+v", v)
	}
}

func TestDetect(t *testing.T) {
	rows := func(header string, f func(i int) string) string {
		var b strings.Builder
		b.WriteString(header + "\n")
		for i := range 100 {
			b.WriteString(f(i) + "\n")
		}
		return b.String()
	}
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		want Kind
		in   string
	}{
		{Email, rows("x", func(i int) string { return fmt.Sprintf("p%d@example.org", i%9) })},
		{IBAN, rows("x", func(i int) string {
			return []string{"DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "bad"}[max(i%2, 2*b2i(i%7 == 2))]
		})},
		{Card, rows("x", func(i int) string { return []string{"4111111111111111", "5500 0000 0000 0004"}[i%2] })},
		{Phone, rows("x", func(i int) string { return fmt.Sprintf("+49 30 12345%02d", i) })},
		{Postcode, rows("PLZ", func(i int) string { return fmt.Sprintf("101%02d", i%40) })},
		{Postcode, rows("x", func(i int) string { return "SW1A 1AA" })},
		{BirthDate, rows("dob", func(i int) string { return fmt.Sprintf("2001-01-%02d", i%28+1) })},
		{BirthDate, rows("x", func(i int) string { return fmt.Sprintf("%d-01-01", 1940+i%60) })},
		{Name, rows("x", func(i int) string { return fmt.Sprintf("Ann%c Lee%c", 'a'+i/26, 'a'+i%26) })},
		{Name, rows("lastName", func(i int) string { return []string{"Smith", "Jones"}[i%2] })},
		{FreeText, rows("x", func(i int) string { return "the patient came in with a cough on monday" })},
		{Identifier, rows("x", func(i int) string { return fmt.Sprint(100000 + r.IntN(1e9)) })},
		{"", rows("amount", func(i int) string { return fmt.Sprint(r.IntN(1000), ".", r.IntN(10)) })},
		{"", rows("age", func(i int) string { return fmt.Sprint(20 + i%50) })},
		{"", rows("ip", func(i int) string { return fmt.Sprintf("10.0.%d.1", i%5) })},
		{"", rows("visit", func(i int) string { return fmt.Sprintf("2024-01-%02d", i%28+1) })},
	} {
		p := mustProfile(t, CSV, c.in)
		if got := p.Columns[0]; got.Kind != c.want || got.Sensitive != (c.want != "") {
			t.Errorf("%q is %q, want %q", c.in[:30], got.Kind, c.want)
		}
	}
}

func TestDetectAccusesNoMeasurement(t *testing.T) {
	f, err := os.Open("../../assets/wdbc/wdbc.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := ProfileOf("wdbc.csv", CSV, f, 1)
	if err != nil || p.Rows != 569 || len(p.Columns) != 31 {
		t.Fatal(err)
	}
	for _, c := range p.Columns {
		if c.Kind != "" {
			t.Errorf("%s is called %s", c.Name, c.Kind)
		}
	}
}

func FuzzProfile(f *testing.F) {
	f.Add([]byte("a,b\n1,\"x\n\"\"\"\n"), uint8(0))
	f.Add([]byte(`{"a":[1,{"b":"\""}],"c":"\u00e9"}`+"\n{}"), uint8(1))
	f.Add([]byte("d\n01.02.2024\n1/1/2024 10:00\n"), uint8(2))
	f.Fuzz(func(t *testing.T, in []byte, pick uint8) {
		format := []Format{CSV, JSONL, TSV}[pick%3]
		p, err := ProfileOf("f", format, bytes.NewReader(in), 1)
		q, err2 := ProfileOf("f", format, iotest.OneByteReader(bytes.NewReader(in)), 1)
		if fmt.Sprint(err) != fmt.Sprint(err2) {
			t.Fatalf("whole: %v, byte by byte: %v", err, err2)
		}
		if err != nil {
			return
		}
		b, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if c, _ := q.Encode(); !bytes.Equal(b, c) {
			t.Fatal("the profile depends on the pieces")
		}
		if _, err := DecodeProfile(b); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPatterns(t *testing.T) {
	for name, c := range map[string]struct {
		is      func(string) bool
		yes, no []string
	}{
		"iban":  {isIBAN, []string{"DE89370400440532013000", "GB82 WEST 1234 5698 7654 32"}, []string{"DE88370400440532013000", "DE8937", "de89370400440532013000", ""}},
		"card":  {isCard, []string{"4111111111111111", "3782-822463-10005"}, []string{"4111111111111112", "0000000000000000", "411111111111", "4111x"}},
		"phone": {isPhone, []string{"+49 30 901820", "030/901820", "(555) 123-4567"}, []string{"1234567", "10.20.30.40", "12", "+49 30 x"}},
		"mail":  {isEmail, []string{"a.b+c@example.co.uk"}, []string{"@example.org", "a@b", "a b@example.org", "a@@example.org", "a@example.o"}},
		"name":  {isPersonName, []string{"Ann Lee", "Jean-Luc O’Neil"}, []string{"Ann", "ann lee", "Ann 2", "Room Number 12"}},
		"post":  {isUKPostcode, []string{"SW1A 1AA", "M1 1AE"}, []string{"SW1A1AA", "Ann Lee", "10115"}},
	} {
		for _, s := range c.yes {
			if !c.is(s) {
				t.Errorf("%q is no %s", s, name)
			}
		}
		for _, s := range c.no {
			if c.is(s) {
				t.Errorf("%q is a %s", s, name)
			}
		}
	}
}

func TestParseDay(t *testing.T) {
	for _, c := range []struct{ in, order, want string }{
		{"2024-02-29", "", "2024-02-29"}, {"2023-02-29", "", ""}, {"1900-02-29", "", ""}, {"2000-02-29T10:00:00Z", "", "2000-02-29"},
		{"2024/5/31", "", ""}, {"31.5.2024", "", "2024-05-31"}, {"05/31/2024", "", "2024-05-31"}, {"05/31/2024", "dmy", ""},
		{"03/04/2024", "mdy", "2024-03-04"}, {"03/04/2024", "dmy", "2024-04-03"}, {"2024-05-31x", "", ""}, {"1.2.34567", "", ""}, {"1.2.3", "", ""},
		{"12345678", "", ""}, {"1.234567", "", ""}, {"0.0.2024", "", ""}, {"", "", ""},
	} {
		d, ok := ParseDay(c.in, c.order)
		if ok != (c.want != "") || ok && d.String() != c.want {
			t.Errorf("%q %q: %v %v, want %q", c.in, c.order, d, ok, c.want)
		}
	}
}
