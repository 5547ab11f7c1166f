package dataset

import (
	"errors"
	"strings"
	"testing"
)

func TestReadCSV(t *testing.T) {
	tab, err := ReadCSV("a.csv", strings.NewReader("\ufeffx,y,label\n1,2,0\n-3.5,4e2,1\n"))
	if err != nil {
		t.Fatal(err)
	}
	x, label, err := tab.Split("label")
	if err != nil || len(x.Columns) != 2 || x.Rows[1][1] != 400 || label[1] != 1 || x.Columns[0] != "x" {
		t.Fatalf("%+v %v %v", x, label, err)
	}
	one, err := x.Pick([]int{1})
	if err != nil || len(one.Rows) != 1 || one.Rows[0][0] != -3.5 {
		t.Fatalf("%+v %v", one, err)
	}
	if _, err := x.Pick([]int{2}); !errors.Is(err, ErrRow) {
		t.Fatal(err)
	}
	if _, _, err := tab.Split("z"); !errors.Is(err, ErrColumn) {
		t.Fatal(err)
	}
}

func TestReadCSVNamesWhatIsWrong(t *testing.T) {
	for in, want := range map[string]string{
		"":                "no header",
		"a,b\n1,benign\n": `line 2, column "b": "ben"… is not a finite number`,
		"a,b\n1,2\n3,\n":  `line 3, column "b": an empty cell`,
		"a,b\n1,NaN\n":    `column "b"`,
		"a,b\n1\n":        "wrong number of fields",
		"a,a\n1,2\n":      "column 2 has no name of its own",
		"a,b\n\"1,2\n":    "a.csv",
	} {
		_, err := ReadCSV("a.csv", strings.NewReader(in))
		if !errors.Is(err, ErrTable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}
