package screen

import (
	"strings"
	"testing"
	"time"

	"cipherdeck/ui/action"
)

// A value that may be seen for a time only is in the overlay, never in the line
// of status, and goes when its time is over or the vault is locked.
func TestBriefResultIsHidden(t *testing.T) {
	r := unlocked(t, 100, 30)
	show := action.Find(action.All(), "secret.show")
	res := action.Result{Text: []string{"s3cr3t-value"}, Brief: time.Second}
	r.Update(acted{w: &work{a: show}, res: res})
	if s := r.View(); strings.Count(s, "s3cr3t-value") != 1 || !strings.Contains(s, "hidden again in 1s") {
		t.Fatalf("shown where it should not be, or not at all:\n%s", s)
	}
	if len(r.over) != 1 {
		t.Fatalf("%d overlays", len(r.over))
	}
	shown := r.over[0]
	r.Update(hide{newText(r.s, "another", nil)})
	if len(r.over) != 1 {
		t.Fatal("another overlay's end took it away")
	}
	r.Update(hide{shown})
	if s := r.View(); strings.Contains(s, "s3cr3t-value") || len(r.over) != 0 {
		t.Fatalf("still there:\n%s", s)
	}
	r.Update(acted{w: &work{a: show}, res: res})
	r.Update(surveyed{data{known: true}})
	if s := r.View(); strings.Contains(s, "s3cr3t-value") {
		t.Fatalf("locked, and still there:\n%s", s)
	}
}

// Who knows the command finds it, whatever its title says.
func TestCommandsAreFoundByTheirWords(t *testing.T) {
	rows := []row{{title: "Encrypt a file", a: &action.Action{ID: "seal"}}, {title: "Look", a: &action.Action{ID: "vault.slots"}}}
	if got := filter("seal", rows); len(got) != 1 || got[0].a.ID != "seal" {
		t.Errorf("seal: %v", got)
	}
	if got := filter("vault slots", rows); len(got) != 1 || got[0].a.ID != "vault.slots" {
		t.Errorf("vault slots: %v", got)
	}
}
