package part

import (
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"cipherdeck/attest"
	"cipherdeck/crypto/progress"
	"cipherdeck/ui/theme"
)

func typed(f *Form, keys ...string) Answer {
	a := Stay
	for _, k := range keys {
		switch {
		case len([]rune(k)) == 1:
			a = f.Key(Key{Name: k, Text: k})
		default:
			a = f.Key(Key{Name: k})
		}
	}
	return a
}

func TestFormChoosesByTyping(t *testing.T) {
	opts := []Option{{"dataset", "d"}, {"model", "m"}, {"task", "t"}, {"my thing", "y"}}
	for in, want := range map[string]string{"m": "m", "model": "m", "my": "y", "mm": "y", "tm": "y", "x": "d", "md": "d"} {
		f := &Form{Fields: []*Field{{Kind: Choice, Options: opts}}}
		typed(f, strings.Split(in, "")...)
		if got := f.Fields[0].Value(); got != want {
			t.Errorf("typing %q chooses %q, want %q", in, got, want)
		}
	}
}

func TestFormAsksForWhatItNeeds(t *testing.T) {
	f := &Form{Fields: []*Field{{Name: "a", Label: "Name", Need: true}, {Name: "b"}, {Name: "c", Kind: Switch}}}
	if typed(f, "tab", "enter") != Stay || f.Fault != "Name is needed" {
		t.Fatalf("sent without a name, fault %q", f.Fault)
	}
	if typed(f, "x", "enter") != Stay || f.Fault != "" {
		t.Fatalf("enter on the first of two lines sends, or fault %q stays", f.Fault)
	}
	if typed(f, "enter") != Send {
		t.Error("enter does not send when only a switch is left")
	}
	if f.Field("a").Value() != "x" || typed(f, "esc") != Cancel {
		t.Error("value or cancel")
	}
}

func TestInputEdits(t *testing.T) {
	var in Input
	press := func(names ...string) {
		for _, n := range names {
			in.Key(Key{Name: n})
		}
	}
	in.Key(Key{Text: "one two thrée"})
	press("ctrl+w")
	in.Key(Key{Name: "x", Text: "x"})
	press("home", "delete", "right", "backspace")
	if in.Text() != "e two x" {
		t.Errorf("edited to %q", in.Text())
	}
	press("end", "ctrl+u")
	if in.Len() != 0 {
		t.Errorf("ctrl+u leaves %q", in.Text())
	}
	in.Key(Key{Text: strings.Repeat("a", maxInput+1)})
	if in.Len() != 0 {
		t.Errorf("took %d characters, limit %d", in.Len(), maxInput)
	}
}

func TestTakeWipes(t *testing.T) {
	in := Input{Mask: true}
	in.Key(Key{Text: "secret"})
	inside := in.runes
	if string(in.Take()) != "secret" || in.Len() != 0 {
		t.Fatal("take")
	}
	for _, r := range inside {
		if r != 0 {
			t.Fatal("the secret is still in memory of the field")
		}
	}
}

func TestWindowShowsTheChoice(t *testing.T) {
	for n := range 12 {
		for h := 1; h < 8; h++ {
			for at := range n {
				from, to := Window(at, n, h)
				if at < from || at >= to || to-from != min(n, h) || from < 0 || to > n {
					t.Fatalf("Window(%d,%d,%d) = %d,%d", at, n, h, from, to)
				}
			}
		}
	}
}

func TestBarIsAsWideAsAsked(t *testing.T) {
	for _, share := range []float64{-1, 0, 0.001, 0.5, 0.99, 1, 2} {
		for w := range 20 {
			if got := Width(Bar(theme.Theme{}, w, share)); got != w {
				t.Fatalf("Bar(%d, %g) is %d wide", w, share, got)
			}
		}
	}
}

func TestGaugeSaysRateAndTimeLeft(t *testing.T) {
	at := time.Unix(100, 0)
	g := Gauge{Phase: "upload", Done: 2 << 20, Total: 8 << 20, Unit: progress.Bytes, Since: at}
	got := strings.Join(g.Lines(theme.Theme{}, 80, at.Add(2*time.Second)), "\n")
	for _, want := range []string{"upload", " 25 %", "2.0 MiB of 8.0 MiB", "MiB/s", "6.0 s left"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestFitAndEnds(t *testing.T) {
	th := theme.Theme{Depth: theme.TrueColor}
	for _, s := range []string{"", "short", "a longer line of text", "全角文字です", th.Bold(theme.Bad, "coloured and long enough to cut")} {
		for w := range 30 {
			if n := Width(Fit(s, w)); n != w {
				t.Errorf("Fit(%q, %d) is %d wide", s, w, n)
			}
			if n := Width(Ends(s, "right", w)); n != w {
				t.Errorf("Ends(%q, %d) is %d wide", s, w, n)
			}
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1 000", 20020: "20 020", 281456: "281 456", 1234567: "1 234 567", -5: "-5"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}

// TestChainOrder demands every link, in order, whatever broke.
func TestChainOrder(t *testing.T) {
	v := &attest.Verdict{Links: []attest.Link{
		{ID: attest.LinkRoot, State: attest.Software, Claim: "root claim"},
		{ID: "two", State: attest.Pass, Claim: "second claim"},
		{ID: "three", State: attest.Fail, Claim: "third claim", Found: "PCR: expected aa, got bb"},
		{ID: "four", State: attest.NotChecked, Claim: "fourth claim"},
	}}
	lines, at := Chain{Verdict: v, At: 2, Open: -1}.Lines(theme.Theme{}, 70)
	got := ansi.Strip(strings.Join(lines, "\n"))
	last := -1
	for _, want := range []string{"~ software", "software, demo", "✓ pass", "second claim", "✗ FAIL", "third claim", "expected  aa", "got       bb", "zero payload bytes were sent", "? not checked", "fourth claim"} {
		i := strings.Index(got, want)
		if i <= last {
			t.Fatalf("%q is missing or out of order in\n%s", want, got)
		}
		last = i
	}
	if !strings.Contains(lines[at], "FAIL") {
		t.Errorf("line %d is not the link in focus", at)
	}
}
