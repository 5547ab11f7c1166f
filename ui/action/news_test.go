package action

import (
	"testing"
	"time"

	"cipherdeck/ui/app"
)

// TestNews: what a verdict wrote is news, also when the history is full and
// its oldest entry went.
func TestNews(t *testing.T) {
	at := func(sec int64, note string) app.History { return app.History{At: time.Unix(sec, 0), Note: note} }
	machine := func(h ...app.History) app.MachineInfo { return app.MachineInfo{History: h} }
	first, reboot := at(1, "first seen"), at(2, "rebooted")
	for _, c := range []struct {
		name          string
		before, after app.MachineInfo
		want          string
	}{
		{"never asked, nothing written", machine(), machine(), ""},
		{"the first verdict", machine(), machine(first), "first seen"},
		{"nothing new", machine(first), machine(first), ""},
		{"one more", machine(first), machine(first, reboot), "rebooted"},
		{"a full history moved on", machine(first, reboot), machine(reboot, at(3, "PCR 7 changed")), "PCR 7 changed"},
		{"the same again, later", machine(first, reboot), machine(reboot, at(3, "rebooted")), "rebooted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := news(c.before, c.after); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
