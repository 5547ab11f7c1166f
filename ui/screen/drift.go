package screen

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cipherdeck/ui/app"
	"cipherdeck/ui/part"
	"cipherdeck/ui/plain"
	"cipherdeck/ui/theme"
)

// drift is how a server differs from its last good verdict, a register a line
// with the first event that differs.
func (v *servers) drift(e entry, w int) (out []string) {
	th := v.s.th
	d := e.judged.Drift
	if d.Since.IsZero() {
		return nil
	}
	if len(d.Lines) == 0 {
		return []string{" " + th.Paint(theme.OK, "✓ ") + th.Paint(theme.Dim, "as with the last good verdict, "+when(d.Since)), ""}
	}
	out = append(out, " "+th.Bold(theme.Warn, "! not as with the last good verdict, "+when(d.Since)))
	for _, l := range d.Lines {
		for i, x := range part.Wrap(plain.Text(l), w-6) {
			out = append(out, "   "+strings.Repeat("  ", min(i, 1))+th.Paint(theme.Warn, x))
		}
	}
	return append(out, "")
}

func when(t time.Time) string { return t.Local().Format("Jan 02 15:04") }

// driftIn is what differs in one register, "" when nothing does.
func driftIn(d app.Drift, pcr uint8) string {
	for _, l := range d.Lines {
		if rest, ok := strings.CutPrefix(l, fmt.Sprintf("PCR %d ", pcr)); ok {
			if _, what, ok := strings.Cut(rest, "): "); ok {
				return what
			}
			return rest
		}
	}
	return ""
}

// changedIn are the registers of an entry of the history that were not as with
// the last good verdict.
func changedIn(h app.History) string {
	if len(h.Changed) == 0 {
		return ""
	}
	return "PCR " + strings.Trim(strings.ReplaceAll(fmt.Sprint(h.Changed), " ", ", "), "[]") + ": "
}

// pace is how long verdicts took: each as a bar, the last and the middle one in
// words.
func (v *servers) pace(e entry, w int) []string {
	if e.judged == nil || len(e.judged.Took) == 0 {
		return nil
	}
	th, all := v.s.th, e.judged.Took
	sorted := slices.Sorted(slices.Values(all))
	text := fmt.Sprintf("verdict in %s", ms(all[len(all)-1]))
	if len(all) > 1 {
		text += fmt.Sprintf(", median %s of %d", ms(sorted[len(sorted)/2]), len(all))
	}
	line := " " + th.Paint(theme.Faint, "asked in this session  ")
	if len(all) > 1 {
		line += th.Paint(theme.Info, part.Spark(all)) + "  "
	}
	return []string{"", part.Cut(line+th.Paint(theme.Dim, text), w-1)}
}

func ms(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}
