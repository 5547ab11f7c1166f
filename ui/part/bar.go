package part

import (
	"fmt"
	"strings"
	"time"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/plain"
	"cipherdeck/ui/theme"
)

// Bar draws a share between 0 and 1 in w cells, to an eighth of a cell.
func Bar(th theme.Theme, w int, share float64) string {
	if w < 1 {
		return ""
	}
	eighths := int(max(0, min(share, 1))*float64(w*8) + 0.5)
	full := eighths / 8
	s := strings.Repeat("█", full)
	if part := eighths % 8; part > 0 && full < w {
		s += string([]rune(" ▏▎▍▌▋▊▉")[part])
		full++
	}
	return th.Paint(theme.Accent, s) + th.Paint(theme.Faint, strings.Repeat("░", w-full))
}

// Gauge is how far one phase of some work is.
type Gauge struct {
	Phase string
	Done  int64
	Total int64 // 0: not known
	Unit  progress.Unit
	Since time.Time // start of the phase
}

// Lines draws the gauge in w cells: the phase and its bar, then figures.
func (g Gauge) Lines(th theme.Theme, w int, now time.Time) []string {
	took := now.Sub(g.Since)
	rate := 0.0
	if took > 0 {
		rate = float64(g.Done) / took.Seconds()
	}
	facts := []string{Span(took.Round(100 * time.Millisecond))}
	if rate > 0 && g.Unit != progress.None {
		facts = append(facts, Amount(int64(rate), g.Unit)+"/s")
	}
	name := plain.Text(g.Phase)
	if name == "" {
		name = "starting"
	}
	if g.Total <= 0 {
		if g.Done > 0 {
			facts = append([]string{Amount(g.Done, g.Unit)}, facts...)
		}
		return []string{th.Bold(theme.Info, "▸ ") + Cut(name, w-2), "  " + th.Paint(theme.Dim, strings.Join(facts, " · "))}
	}
	share := float64(g.Done) / float64(g.Total)
	done := Count(g.Done)
	if g.Unit == progress.Bytes {
		done = Size(g.Done)
	}
	facts = append([]string{done + " of " + Amount(g.Total, g.Unit)}, facts...)
	if left := float64(g.Total-g.Done) / max(rate, 1e-9); rate > 0 && g.Done < g.Total {
		facts = append(facts, Span(time.Duration(left*float64(time.Second)))+" left")
	}
	pct := fmt.Sprintf("%3.0f %%", 100*min(share, 1))
	bar := max(min(w-Width(name)-10, 40), 6)
	return []string{
		th.Bold(theme.Info, "▸ ") + Cut(name, w-bar-9) + "  " + Bar(th, bar, share) + " " + pct,
		"  " + th.Paint(theme.Dim, strings.Join(facts, " · ")),
	}
}

// Brief is the gauge in a few words.
func (g Gauge) Brief() string {
	s := plain.Text(g.Phase)
	if g.Total > 0 {
		s += fmt.Sprintf(" %.0f %%", 100*min(1, float64(g.Done)/float64(g.Total)))
	} else if g.Done > 0 {
		s += " " + Amount(g.Done, g.Unit)
	}
	return s
}
