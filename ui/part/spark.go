package part

import (
	"slices"
	"time"
)

// Spark draws times as bars, one cell each, the longest the highest. The figures
// belong beside it: bars alone say nothing that can be compared.
func Spark(all []time.Duration) string {
	if len(all) == 0 {
		return ""
	}
	bars := []rune("▁▂▃▄▅▆▇█")
	top := max(slices.Max(all), 1)
	var out []rune
	for _, d := range all {
		out = append(out, bars[min(int(int64(max(d, 0))*int64(len(bars))/int64(top)), len(bars)-1)])
	}
	return string(out)
}
