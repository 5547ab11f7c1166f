package dataset

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
)

// Column by column or row by row, the same is known; of a short table all rows
// are the sample.
func TestColumnsLikeRows(t *testing.T) {
	want := mustProfile(t, CSV, "n,mail,d\n1,a@example.org,2024-01-02\n,b@example.org,\n3,c@example.org,2023-05-06\n")
	p := NewColumnProfiler("t", CSV, 3, 1)
	feed(t, p, "n", []string{"1", "", "3"})
	feed(t, p, "mail", []string{"a@example.org", "b@example.org", "c@example.org"})
	feed(t, p, "d", []string{"2024-01-02", "", "2023-05-06"})
	got := p.Finish()
	if !reflect.DeepEqual(got.Columns, want.Columns) || !reflect.DeepEqual(got.Sample, want.Sample) || got.Rows != want.Rows {
		t.Errorf("\n%+v\n%+v", got, want)
	}
}

func feed(t *testing.T, p *ColumnProfiler, name string, cells []string) {
	t.Helper()
	c, err := p.Column(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range cells {
		c.Add([]byte(s), false)
	}
	if err := c.Done(); err != nil {
		t.Fatal(err)
	}
}

func TestColumnsUnread(t *testing.T) {
	p := NewColumnProfiler("t", Parquet, 2, 1)
	c, _ := p.Column("a")
	c.Add([]byte("secret"), true)
	c.Unread(Unread, "a page is too large")
	feed(t, p, "b", []string{"1", "2"})
	if _, err := p.Column("b"); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	d, _ := p.Column("c")
	d.Add(nil, false)
	if err := d.Done(); !errors.Is(err, ErrMalformed) {
		t.Error("a short column is taken for whole")
	}
	d.Unread(Nested, "")
	got := p.Finish()
	if want := [][]string{{"", "1", ""}, {"", "2", ""}}; !reflect.DeepEqual(got.Sample, want) {
		t.Errorf("%q", got.Sample)
	}
	if a := got.Columns[0]; a.Type != Unread || a.Note != "a page is too large" || a.Nulls != 0 || a.Min != "" {
		t.Errorf("%+v", a)
	}
	b, err := got.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := DecodeProfile(b); err != nil || !reflect.DeepEqual(back, got) {
		t.Errorf("%+v %v", back, err)
	}
}

func TestDraw(t *testing.T) {
	if n := len(draw(0, 1)); n != 0 {
		t.Error(n)
	}
	count := make([]int, 1000)
	for seed := range uint64(500) {
		rows := draw(1000, seed)
		if len(rows) != SampleRows || !slices.IsSorted(rows) || len(slices.Compact(rows)) != SampleRows {
			t.Fatal(rows)
		}
		for _, r := range rows {
			count[r]++
		}
	}
	for r, n := range count { // 100 expected, standard deviation 9
		if n < 50 || n > 150 {
			t.Error(fmt.Sprint("row ", r, " was drawn ", n, " times"))
		}
	}
}
