package screen

import (
	"cipherdeck/attest"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/charmbracelet/x/ansi"

	"cipherdeck/ui/app"
	"cipherdeck/ui/part"
	"cipherdeck/ui/theme"
	"cipherdeck/vault/project"
)

var update = flag.Bool("update", false, "write the golden files")

// scenes are the screens in their states, as a person would reach them.
func scenes() map[string]func(t *testing.T, w, h int) *root {
	locked := func(t *testing.T, w, h int, d data) *root {
		r := rig(t, w, h, nil)
		r.s.app = func() *app.App { return app.New(app.Config{Home: "/home/alice/.local/share/cipherdeck"}) }
		r.Update(surveyed{d})
		return r
	}
	return map[string]func(t *testing.T, w, h int) *root{
		"create": func(t *testing.T, w, h int) *root {
			r := locked(t, w, h, data{known: true})
			keys(r, "alice", "enter", "secret words", "enter", "other", "tab", "enter")
			return r
		},
		"locked": func(t *testing.T, w, h int) *root {
			r := locked(t, w, h, data{known: true, facts: app.Facts{HasVault: true}})
			r.Update(entered{gen: r.unlock.gen, err: app.ErrLocked})
			keys(r, "hunter2")
			return r
		},
		"projects": unlocked,
		"projects-empty": func(t *testing.T, w, h int) *root {
			r := rig(t, w, h, nil)
			r.Update(surveyed{data{known: true, facts: app.Facts{HasVault: true, Unlocked: true, Name: "alice"}}})
			return r
		},
		"projects-people": func(t *testing.T, w, h int) *root {
			r := unlocked(t, w, h)
			keys(r, "tab", "tab", "j")
			return r
		},
		"projects-error": func(t *testing.T, w, h int) *root {
			r := unlocked(t, w, h)
			keys(r, "j")
			p := r.screens[0].(*projects)
			r.Update(opened{gen: p.gen, key: "x", err: fmt.Errorf("open %s: %w", hostile, app.ErrPin)})
			return r
		},
		"projects-damaged": func(t *testing.T, w, h int) *root {
			r := unlocked(t, w, h)
			d := fullDetail()
			d.Items, d.Damage = nil, fmt.Errorf("%w: index of 3 bytes; link 7 is by bobuid23 %s", project.ErrDamaged, hostile)
			p := r.screens[0].(*projects)
			r.Update(opened{gen: p.gen, key: fullData().projects[0].ID.String(), detail: d})
			return r
		},
		"share": func(t *testing.T, w, h int) *root {
			r := unlocked(t, w, h)
			keys(r, "s", "tab")
			return r
		},
		"revoke": func(t *testing.T, w, h int) *root {
			r := unlocked(t, w, h)
			keys(r, "x", "tab", "bobb", "enter")
			return r
		},
		"servers": func(t *testing.T, w, h int) *root {
			r := unlocked(t, w, h)
			keys(r, "2")
			return r
		},
		"servers-refused": func(t *testing.T, w, h int) *root {
			r := unlocked(t, w, h)
			keys(r, "2")
			r.Update(boardMoved{verdicts: cheat(), runs: runs()})
			return r
		},
		"servers-link": func(t *testing.T, w, h int) *root {
			r := unlocked(t, w, h)
			keys(r, "2", "enter", "jjjj", "enter")
			return r
		},
		"servers-registers": func(t *testing.T, w, h int) *root {
			r := unlocked(t, w, h)
			keys(r, "2", "enter", "p", "j", "enter")
			return r
		},
		"servers-drift": func(t *testing.T, w, h int) *root {
			r := unlocked(t, w, h)
			keys(r, "2", "enter", "p")
			r.Update(boardMoved{verdicts: drifting(), runs: runs()})
			return r
		},
		"servers-nodes": func(t *testing.T, w, h int) *root {
			r := unlocked(t, w, h)
			d := fullData()
			d.nodes = []app.NodeInfo{{UID: "n3ygsfue7eh7k7ryjbee2krm5unejriu", Name: "gpu " + hostile, Server: "main", MinRoot: "vTPM", Held: "log.events broke"}}
			r.Update(surveyed{d})
			name := machineName(d.nodes[0])
			r.Update(boardMoved{verdicts: verdicts(), nodes: map[string]app.Judged{name: {Server: name, Verdict: verdict("", ""), At: clock()}}, runs: runs()})
			keys(r, "2", "jjj")
			return r
		},
		"servers-stop": func(t *testing.T, w, h int) *root {
			r := unlocked(t, w, h)
			keys(r, "2")
			r.Update(boardMoved{verdicts: swapped(), runs: runs()})
			return r
		},
		"servers-identity": func(t *testing.T, w, h int) *root {
			r := unlocked(t, w, h)
			keys(r, "2", "enter", "i")
			return r
		},
		"servers-lab": func(t *testing.T, w, h int) *root {
			r := unlocked(t, w, h)
			keys(r, "2", "enter", "t")
			v := verdict(attest.LinkSignature, "statement is not signed by the AK")
			r.Update(tried{server: "main", rows: []app.Trial{
				{Tampered: app.Tampered{Field: "ak", Bytes: 88, Link: attest.LinkAK}},
				{Tampered: app.Tampered{Field: "quote", Bytes: 145, Link: attest.LinkSignature}, Verdict: v},
				{Tampered: app.Tampered{Field: "proof", Bytes: 500, Found: app.NotPinned}},
			}})
			keys(r, "j", "enter")
			return r
		},
		"servers-unread": func(t *testing.T, w, h int) *root {
			r := unlocked(t, w, h)
			keys(r, "2", "jj")
			return r
		},
		"jobs": func(t *testing.T, w, h int) *root {
			r := unlocked(t, w, h)
			keys(r, "3")
			return r
		},
		"jobs-rejected": func(t *testing.T, w, h int) *root {
			r := unlocked(t, w, h)
			keys(r, "3", "j")
			return r
		},
		"jobs-replicated": func(t *testing.T, w, h int) *root {
			r := unlocked(t, w, h)
			keys(r, "3", "jj")
			return r
		},
		"jobs-run": func(t *testing.T, w, h int) *root {
			r := unlocked(t, w, h)
			keys(r, "3", "r")
			return r
		},
		"help": func(t *testing.T, w, h int) *root {
			r := unlocked(t, w, h)
			keys(r, "?")
			return r
		},
		"palette": func(t *testing.T, w, h int) *root {
			r := unlocked(t, w, h)
			keys(r, ":", "server")
			return r
		},
		"demo-welcome": func(t *testing.T, w, h int) *root {
			r := rig(t, w, h, hook())
			r.Update(surveyed{data{known: true}})
			return r
		},
		"demo-act": func(t *testing.T, w, h int) *root {
			r := rig(t, w, h, hook())
			r.Update(surveyed{fullData()})
			r.Update(boardMoved{verdicts: verdicts()})
			r.story.next = 2
			keys(r, "ctrl+n")
			r.story.gauge = part.Gauge{Phase: "asking the server", Done: 4, Total: 10, Since: clock()}
			return r
		},
		"demo-report": func(t *testing.T, w, h int) *root {
			r := rig(t, w, h, hook())
			r.Update(surveyed{fullData()})
			r.Update(boardMoved{verdicts: verdicts()})
			r.story.next = 2
			keys(r, "ctrl+n")
			r.Update(performed{act: r.story.hook.Acts[2], report: actReport()})
			return r
		},
		"demo-by-hand": func(t *testing.T, w, h int) *root {
			r := rig(t, w, h, hook())
			r.Update(surveyed{fullData()})
			r.story.next = 3
			return r
		},
		"demo-cheats": func(t *testing.T, w, h int) *root {
			r := rig(t, w, h, hook())
			r.Update(surveyed{fullData()})
			r.story.next = 4
			keys(r, "ctrl+n")
			r.Update(boardMoved{verdicts: cheat()})
			r.Update(performed{act: r.story.hook.Acts[4], report: cheatReport()})
			return r
		},
		"quit": func(t *testing.T, w, h int) *root {
			r := unlocked(t, w, h)
			keys(r, "q")
			return r
		},
	}
}

// TestScreens holds every scene against its golden file and against rules that
// no picture may break.
func TestScreens(t *testing.T) {
	for name, make := range scenes() {
		for _, size := range [][2]int{{80, 24}, {120, 40}} {
			t.Run(fmt.Sprintf("%s-%dx%d", name, size[0], size[1]), func(t *testing.T) {
				view := make(t, size[0], size[1]).View()
				checkPicture(t, view, size[0], size[1])
				golden(t, t.Name(), ansi.Strip(view))
			})
		}
	}
}

// TestSmall draws every scene at sizes that no golden file is kept for.
func TestSmall(t *testing.T) {
	for name, make := range scenes() {
		for _, size := range [][2]int{{40, 12}, {45, 20}, {60, 12}, {99, 13}, {200, 60}} {
			t.Run(fmt.Sprintf("%s-%dx%d", name, size[0], size[1]), func(t *testing.T) {
				checkPicture(t, make(t, size[0], size[1]).View(), size[0], size[1])
			})
		}
	}
	if v := unlocked(t, 39, 24).View(); !strings.Contains(v, "40x12") || strings.Contains(v, "\n") {
		t.Errorf("too small a terminal shows %q", v)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	var lines []string
	for _, l := range strings.Split(got, "\n") {
		lines = append(lines, strings.TrimRight(l, " "))
	}
	got = strings.Join(lines, "\n") + "\n"
	path := filepath.Join("testdata", strings.ReplaceAll(strings.TrimPrefix(name, "TestScreens/"), "/", "-")+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run with -update and review\n%s", path, got)
	}
}

// checkPicture demands that a view has exactly the size of the terminal, and
// that the only escape sequences in it are ours: colours, bold, reverse.
func checkPicture(t *testing.T, view string, w, h int) {
	t.Helper()
	lines := strings.Split(view, "\n")
	if len(lines) != h {
		t.Errorf("%d lines, want %d", len(lines), h)
	}
	for i, l := range lines {
		if n := ansi.StringWidth(l); n != w {
			t.Errorf("line %d has %d cells, want %d: %q", i, n, w, l)
		}
		checkInert(t, l)
	}
}

func checkInert(t *testing.T, l string) {
	t.Helper()
	for i := 0; i < len(l); i++ {
		if l[i] != 0x1b {
			continue
		}
		j := i + 1
		if j >= len(l) || l[j] != '[' {
			t.Fatalf("escape that is not ours in %q", l)
		}
		for j++; j < len(l) && (l[j] >= '0' && l[j] <= '9' || l[j] == ';'); j++ {
		}
		if j >= len(l) || l[j] != 'm' {
			t.Fatalf("escape that is not a colour in %q", l)
		}
	}
	for _, r := range ansi.Strip(l) {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || unicode.Is(unicode.Bidi_Control, r) {
			t.Fatalf("%U in %q", r, l)
		}
	}
}

// TestColoursAreDressing compares each scene with and without colours: what is
// left when colours are taken away must be the same text.
func TestColoursAreDressing(t *testing.T) {
	for name, make := range scenes() {
		plainly := make(t, 80, 24)
		coloured := make(t, 80, 24)
		coloured.s.th = theme.Theme{Depth: theme.TrueColor}
		if a, b := ansi.Strip(plainly.View()), ansi.Strip(coloured.View()); a != b {
			t.Errorf("%s: text differs with colours:\n%s\n%s", name, a, b)
		}
		checkPicture(t, coloured.View(), 80, 24)
	}
}

// TestShots writes every scene with its escape sequences to $SCREEN_SHOTS, to
// be made into pictures and looked at.
func TestShots(t *testing.T) {
	dir := os.Getenv("SCREEN_SHOTS")
	if dir == "" {
		t.Skip("SCREEN_SHOTS names no folder: no pictures are made")
	}
	for name, make := range scenes() {
		for _, size := range [][2]int{{80, 24}, {120, 40}} {
			r := make(t, size[0], size[1])
			for look, th := range map[string]theme.Theme{"dark": {Depth: theme.TrueColor}, "light": {Depth: theme.TrueColor, Light: true}, "mono": {}} {
				r.s.th = th
				path := filepath.Join(dir, fmt.Sprintf("%s-%d-%s.ansi", name, size[0], look))
				if err := os.WriteFile(path, []byte(r.View()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
