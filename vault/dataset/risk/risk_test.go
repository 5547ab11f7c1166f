package risk

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"cipherdeck/vault/dataset"
	"cipherdeck/vault/dataset/rules"
)

// inpatients is figure 1 of Machanavajjhala et al., "l-diversity: privacy beyond
// k-anonymity" (2007); fourAnonymous is its figure 2.
const (
	inpatients = `zip,age,condition
13053,28,heart
13068,29,heart
13068,21,viral
13053,23,viral
14853,50,cancer
14853,55,heart
14850,47,viral
14850,49,viral
13053,31,cancer
13053,37,cancer
13068,36,cancer
13068,35,cancer
`
	fourAnonymous = `zip,age,condition
130**,<30,heart
130**,<30,heart
130**,<30,viral
130**,<30,viral
1485*,>=40,cancer
1485*,>=40,heart
1485*,>=40,viral
1485*,>=40,viral
130**,3*,cancer
130**,3*,cancer
130**,3*,cancer
130**,3*,cancer
`
)

func measure(t *testing.T, in string, o Options) Report {
	t.Helper()
	r, err := Measure(context.Background(), "d", dataset.CSV, strings.NewReader(in), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestKnownAnswers(t *testing.T) {
	o := Options{Quasi: []string{"zip", "age"}, Sensitive: []string{"condition"}, K: 4}
	r := measure(t, fourAnonymous, o)
	if r.Rows != 12 || r.Classes != 3 || r.K != 4 || r.Unique != 0 || r.Below != 0 || r.MaxRisk() != 0.25 || r.AvgRisk() != 0.25 {
		t.Errorf("%+v", r)
	}
	if d := r.Diversity[0]; d.L != 1 || d.Told != 4 {
		t.Errorf("%+v", d)
	}
	r = measure(t, inpatients, o)
	if r.Classes != 12 || r.K != 1 || r.Unique != 12 || r.ShareBelow() != 1 || r.MaxRisk() != 1 || r.AvgRisk() != 1 || r.Diversity[0].Told != 12 {
		t.Errorf("%+v", r)
	}
	// By hand: classes of zip are 13053 ×4, 13068 ×4, 14853 ×2, 14850 ×2.
	r = measure(t, inpatients, Options{Quasi: []string{"zip"}, Sensitive: []string{"condition", "age"}, K: 3})
	if r.Classes != 4 || r.K != 2 || r.Below != 4 || r.MaxRisk() != 0.5 || math.Abs(r.AvgRisk()-1./3) > 1e-12 {
		t.Errorf("%+v", r)
	}
	// 14850 holds viral twice; each zip has as many ages as rows.
	if r.Diversity[0] != (Diversity{"condition", 1, 2}) || r.Diversity[1] != (Diversity{"age", 2, 0}) {
		t.Errorf("%+v", r.Diversity)
	}
	text := strings.Join(r.Caveats(), "\n")
	for _, want := range []string{"does not stop inference", "not anonymous", "2 rows are in classes with one value of condition"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q misses %q", text, want)
		}
	}
}

func TestJSONLNullsAreValues(t *testing.T) {
	in := "{\"a\":1}\n{\"b\":2}\n{\"a\":null,\"b\":2}\n{\"a\":1}\n"
	r, err := Measure(context.Background(), "d", dataset.JSONL, strings.NewReader(in), Options{Quasi: []string{"a", "b"}, K: 2})
	if err != nil || r.K != 2 || r.Classes != 2 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestMeasureErrors(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want error
	}{
		{Options{K: 2}, ErrOptions},
		{Options{Quasi: []string{"zip"}, K: 1}, ErrOptions},
		{Options{Quasi: []string{"zip"}, Sensitive: []string{"zip"}, K: 2}, ErrOptions},
		{Options{Quasi: []string{"sex"}, K: 2}, dataset.ErrColumn},
	} {
		if _, err := Measure(context.Background(), "d", dataset.CSV, strings.NewReader(inpatients), c.o); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
	if r := measure(t, "a\n", Options{Quasi: []string{"a"}, K: 2}); r.K != 0 || r.MaxRisk() != 0 || r.AvgRisk() != 0 {
		t.Errorf("%+v", r)
	}
}

// reach also applies the plan and measures what comes out.
func reach(t *testing.T, in string, o Options, suppress float64) (*Plan, Report) {
	t.Helper()
	p, err := Reach(context.Background(), "d", dataset.CSV, strings.NewReader(in), o, suppress)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	f := p.File(&rules.File{Version: 1, Other: rules.Keep})
	s, err := rules.Apply(context.Background(), "d", dataset.CSV, strings.NewReader(in), &out, f, nil, rules.Options{Skip: p.Skip})
	if err != nil || s.Skipped != p.Suppressed {
		t.Fatalf("%+v %v", s, err)
	}
	for _, r := range p.Rules {
		if r.Action == rules.Drop {
			o.Quasi = slices.DeleteFunc(slices.Clone(o.Quasi), func(q string) bool { return q == r.Column })
		}
	}
	if len(o.Quasi) == 0 {
		return p, p.After
	}
	after := measure(t, out.String(), o)
	if after.K != p.After.K || after.Classes != p.After.Classes || after.Rows != p.After.Rows || fmt.Sprint(after.Diversity) != fmt.Sprint(p.After.Diversity) {
		t.Errorf("the plan promised %+v, its result is %+v", p.After, after)
	}
	return p, after
}

func TestReach(t *testing.T) {
	o := Options{Quasi: []string{"zip", "age"}, Sensitive: []string{"condition"}, K: 4}
	p, after := reach(t, inpatients, o, 0)
	if after.K < 4 || p.Suppressed != 0 || after.Rows != 12 || p.Before.K != 1 {
		t.Errorf("%+v", p)
	}
	if p.Rules[0].Action == rules.Drop && p.Rules[1].Action == rules.Drop {
		t.Error("everything was thrown away")
	}
	// A single stranger: coarsening everything for him, or leaving him out.
	crowd := "sex,age\n" + strings.Repeat("f,30\nm,40\n", 10) + "x,99\n"
	o = Options{Quasi: []string{"sex", "age"}, K: 5}
	p, after = reach(t, crowd, o, 0.05)
	if p.Suppressed != 1 || !p.Skip(20) || p.Skip(0) || after.K != 10 || p.Rules[0].Action != rules.Keep || p.Rules[1].Action != rules.Keep {
		t.Errorf("%+v", p)
	}
	if p, _ = reach(t, crowd, o, 0); p.Suppressed != 0 || p.Rules[0].Action == rules.Keep {
		t.Errorf("%+v", p)
	}
	if _, err := Reach(context.Background(), "d", dataset.CSV, strings.NewReader(inpatients), Options{Quasi: []string{"zip"}, K: 13}, 0); !errors.Is(err, ErrReach) {
		t.Error(err)
	}
	if _, err := Reach(context.Background(), "d", dataset.CSV, strings.NewReader(inpatients), o, 2); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
}

func TestReachOnRandomTables(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 12 {
		var in strings.Builder
		in.WriteString("born,weight,plz,sex,ill\n")
		for range 400 {
			fmt.Fprintf(&in, "%d-%02d-%02d,%.1f,%05d,%c,%d\n", 1940+r.IntN(60), 1+r.IntN(12), 1+r.IntN(28), 50+r.Float64()*50, 10000+r.IntN(300), "mf"[r.IntN(2)], r.IntN(3))
		}
		k := 2 + i
		p, after := reach(t, in.String(), Options{Quasi: []string{"born", "weight", "plz", "sex"}, Sensitive: []string{"ill"}, K: k}, 0.02*float64(i%3))
		if after.K < int64(k) || p.Suppressed > 16 {
			t.Errorf("k %d: %+v", k, p)
		}
	}
}

func TestSlashDatesStartAtTheYear(t *testing.T) {
	in := "d\n01/02/1990\n03/04/1990\n05/06/1991\n07/08/1991\n"
	p, after := reach(t, in, Options{Quasi: []string{"d"}, K: 2}, 0)
	if p.Rules[0].To != "year" || after.K != 2 {
		t.Errorf("%+v", p)
	}
}

func BenchmarkReach(b *testing.B) {
	r := rand.New(rand.NewPCG(3, 4))
	var in strings.Builder
	in.WriteString("born,plz,sex\n")
	for range 100_000 {
		fmt.Fprintf(&in, "%d-%02d-%02d,%05d,%c\n", 1940+r.IntN(60), 1+r.IntN(12), 1+r.IntN(28), 10000+r.IntN(3000), "mf"[r.IntN(2)])
	}
	for b.Loop() {
		if _, err := Reach(context.Background(), "d", dataset.CSV, strings.NewReader(in.String()), Options{Quasi: []string{"born", "plz", "sex"}, K: 10}, 0.01); err != nil {
			b.Fatal(err)
		}
	}
}
