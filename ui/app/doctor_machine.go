package app

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"cipherdeck/crypto/secmem"
	"cipherdeck/ui/clip"
)

// memory tries whether a page for a key can be kept from swap and dumps.
func (d *doctor) memory() Finding {
	b := secmem.New(make([]byte, 32))
	defer b.Wipe()
	f := Finding{ID: "memory.lock", State: Good, Found: "keys lie in pages that are not swapped and not dumped"}
	switch p := b.Protection(); {
	case !p.Locked:
		f.State, f.Found, f.Means = Warn, "the system does not let this program lock memory", "keys may be written to swap"
		f.Do = "allow it at least 1 MiB: ulimit -l, or LimitMEMLOCK= of the service"
	case !p.NoDump:
		f.State, f.Found, f.Means = Warn, "keys cannot be kept out of core dumps on this system", "a crash may write them to a file"
		f.Do = "forbid dumps: ulimit -c 0"
	}
	return f
}

func (d *doctor) cores() Finding {
	on, known := coreDumps()
	switch {
	case !known:
		return Finding{ID: "memory.cores", State: Unknown, Found: "whether a crash is written to a file"}
	case on:
		return Finding{ID: "memory.cores", State: Warn, Found: "a program that crashes here may write its memory to a file", Means: "keys are kept out of it, what you work on is not; the agent forbids it for itself", Do: "ulimit -c 0"}
	}
	return Finding{ID: "memory.cores", State: Good, Found: "no core dumps"}
}

// swap is a best effort: what lies under a file or a partition is not always to
// be seen.
func (d *doctor) swap() Finding {
	raw, err := os.ReadFile(filepath.Join(d.proc, "swaps"))
	if err != nil {
		return Finding{ID: "memory.swap", State: Unknown, Found: "whether this system swaps to a disk, and whether that is encrypted"}
	}
	var plain, unsure []string
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	for _, l := range lines[min(1, len(lines)):] {
		f := strings.Fields(l)
		if len(f) < 2 {
			continue
		}
		name := filepath.Base(f[0])
		if real, err := filepath.EvalSymlinks(f[0]); err == nil {
			name = filepath.Base(real) // /dev/mapper/swap is a link to /dev/dm-1
		}
		switch {
		case strings.HasPrefix(name, "zram"), d.encrypted(name, 4):
		case f[1] == "file":
			unsure = append(unsure, f[0])
		default:
			plain = append(plain, f[0])
		}
	}
	switch {
	case len(plain) > 0:
		return Finding{ID: "memory.swap", State: Warn, Found: "swap without encryption that can be seen: " + strings.Join(plain, ", "), Means: "keys are kept out of it, what you work on is not", Do: "encrypt it, or switch it off: swapoff"}
	case len(unsure) > 0:
		return Finding{ID: "memory.swap", State: Unknown, Found: "swap in a file: " + strings.Join(unsure, ", "), Means: "whether its disk is encrypted is not known"}
	}
	return Finding{ID: "memory.swap", State: Good, Found: "no swap, or only in memory or encrypted"}
}

// encrypted follows a block device down to one that dm-crypt made.
func (d *doctor) encrypted(name string, deep int) bool {
	dir := filepath.Join(d.sys, "class", "block", name)
	if id, err := os.ReadFile(filepath.Join(dir, "dm", "uuid")); err == nil && strings.HasPrefix(string(id), "CRYPT-") {
		return true
	}
	below, err := os.ReadDir(filepath.Join(dir, "slaves"))
	if err != nil || len(below) == 0 || deep == 0 {
		return false
	}
	return !slices.ContainsFunc(below, func(e os.DirEntry) bool { return !d.encrypted(e.Name(), deep-1) })
}

func (d *doctor) erases() Finding {
	f := Finding{ID: "memory.erase", State: Good, Found: "built without runtime/secret", Means: "the collector may leave copies of keys in memory for a time; buffers that are known are overwritten"}
	if secmem.Erases() {
		f.Found, f.Means = "built with runtime/secret: what keys leave in memory is erased", ""
	}
	return f
}

// The variables that this program reads.
func variables() []string {
	return []string{"CIPHERDECK_HOME", "CIPHERDECK_LOCK_AFTER", "CIPHERDECK_PASSPHRASE", "CIPHERDECK_THEME", "CIPHERDECK_UNLOCK_TIME"}
}

// passphrase looks whether it came by the environment, where others can read it.
func (d *doctor) passphrase() Finding {
	given := d.a.cfg.EnvPass
	if raw, err := os.ReadFile(filepath.Join(d.proc, "self", "environ")); err == nil {
		for _, v := range strings.Split(string(raw), "\x00") {
			given = given || strings.HasPrefix(v, "CIPHERDECK_PASSPHRASE=") && len(v) > len("CIPHERDECK_PASSPHRASE=")
		}
	}
	if given {
		return Finding{ID: "env.passphrase", State: Warn, Found: "CIPHERDECK_PASSPHRASE is set", Means: "convenient, not safe: it is taken out of the environment at start, and whoever may read /proc/PID/environ still finds it, as does every other program that the shell starts", Do: "unset it; use the agent, or --passphrase-fd"}
	}
	return Finding{ID: "env.passphrase", State: Good, Found: "no passphrase in the environment"}
}

// variables looks for names that nothing reads: a misspelt one is silently
// without effect.
func (d *doctor) variables() Finding {
	var odd []string
	hint := ""
	for _, v := range d.environ {
		name, _, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, "CIPHERDECK_") || slices.Contains(variables(), name) {
			continue
		}
		odd = append(odd, name)
		if near := nearest(name, variables()); near != "" && hint == "" {
			hint = name + ": " + near + "?"
		}
	}
	if len(odd) == 0 {
		return Finding{ID: "env.variables", State: Good, Found: "every CIPHERDECK_ variable that is set is one that is read"}
	}
	slices.Sort(odd)
	f := Finding{ID: "env.variables", State: Warn, Found: "nothing reads " + strings.Join(odd, ", "), Means: "there are: " + strings.Join(variables(), ", "), Do: "unset or correct it"}
	if hint != "" {
		f.Do = "did you mean, for " + hint
	}
	return f
}

// settings are the values of those variables that have a form.
func (d *doctor) settings() Finding {
	if _, err := LockAfter(); err != nil {
		return Finding{ID: "env.settings", State: Bad, Found: err.Error(), Means: "the workstation does not start", Do: "correct it, or unset it"}
	}
	if after, _ := LockAfter(); after == 0 {
		return Finding{ID: "env.settings", State: Warn, Found: "CIPHERDECK_LOCK_AFTER is 0", Means: "a workstation that is left alone stays open", Do: "unset it: 10 minutes"}
	}
	return Finding{ID: "env.settings", State: Good, Found: "times in the environment are as they should be"}
}

// nearest is the word that differs from name in at most three letters.
func nearest(name string, words []string) string {
	best, at := 4, ""
	for _, w := range words {
		if n := Typos(name, w); n < best {
			best, at = n, w
		}
	}
	return at
}

func (d *doctor) getenv(name string) string {
	for _, v := range d.environ {
		if k, value, _ := strings.Cut(v, "="); k == name {
			return value
		}
	}
	return ""
}

func (d *doctor) clipboard() Finding {
	c, err := clip.Find(d.getenv)
	switch {
	case err != nil:
		return Finding{ID: "clipboard", State: Warn, Found: err.Error(), Means: "secret copy does not work here", Do: "install wl-clipboard or xclip, or use secret show"}
	case c.Name == "terminal" && (d.getenv("WAYLAND_DISPLAY") != "" || d.getenv("DISPLAY") != "") && d.getenv("SSH_CONNECTION") == "":
		return Finding{ID: "clipboard", State: Warn, Found: "the desktop's program for the clipboard is missing: the terminal is asked", Means: "some terminals refuse, and none tells whether it was cleared", Do: "install wl-clipboard or xclip"}
	}
	return Finding{ID: "clipboard", State: Good, Found: "secrets are lent by " + c.Name}
}

// The smallest terminal that the workstation can be used on.
const (
	leastWidth  = 40
	leastHeight = 12
)

func (d *doctor) terminal() Finding {
	if d.out == nil || !term.IsTerminal(int(d.out.Fd())) {
		return Finding{ID: "terminal", State: Unknown, Found: "the output is no terminal"}
	}
	w, h, err := term.GetSize(int(d.out.Fd()))
	if err != nil {
		return Finding{ID: "terminal", State: Unknown, Found: err.Error()}
	}
	return d.terminalOf(w, h)
}

func (d *doctor) terminalOf(w, h int) Finding {
	kind := d.getenv("TERM")
	f := Finding{ID: "terminal", State: Good, Found: fmt.Sprintf("%d × %d, %s", w, h, kind)}
	switch {
	case kind == "" || kind == "dumb":
		f.State, f.Found, f.Means, f.Do = Warn, fmt.Sprintf("TERM is %q", kind), "the workstation cannot be drawn", "set TERM to what the terminal is"
	case w < leastWidth || h < leastHeight:
		f.State, f.Means = Warn, fmt.Sprintf("the workstation needs %d × %d", leastWidth, leastHeight)
		f.Do = "make the window larger"
	case d.getenv("NO_COLOR") != "":
		f.Means = "without colour, because NO_COLOR is set; every state has a word and a glyph too"
	}
	return f
}

// clockSlack is how much earlier it may be than what the vault has seen.
const clockSlack = 10 * time.Minute

// clock compares now with what cannot lie in the future.
func (d *doctor) clock() Finding {
	now := d.a.Now()
	last, what := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), "this program is younger"
	for _, s := range d.file.Slots {
		if s.Created.After(last) {
			last, what = s.Created, "a slot of the vault was made later"
		}
	}
	if was, ok := d.a.wasSeen(d.file.ID); ok && d.err == nil && time.Unix(was.At, 0).After(last) {
		last, what = time.Unix(was.At, 0), "this machine saw the vault later"
	}
	f := Finding{ID: "clock", State: Good, Found: "the clock says " + now.UTC().Format("2006-01-02 15:04 MST")}
	if now.Before(last.Add(-clockSlack)) || now.Year() > 2100 {
		f.State, f.Means, f.Do = Bad, "that cannot be: "+what+" ("+last.UTC().Format(time.DateOnly)+"); dates of grants, codes and certificates are judged by it", "set the clock: timedatectl"
		if now.Year() > 2100 {
			f.Means = "that cannot be; dates of grants, codes and certificates are judged by it"
		}
	}
	return f
}

// What a disk must have free: a vault's file has at most 16 MiB, and a save
// writes it beside the old one.
const (
	diskBad  = 32 << 20
	diskWarn = 512 << 20
)

func (d *doctor) disk() Finding {
	dir := d.a.cfg.Home
	for { // the folder may not be there yet
		if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	free, err := freeBytes(dir)
	if err != nil {
		return Finding{ID: "disk", State: Unknown, Found: "how much is free where the vault is: " + err.Error()}
	}
	f := Finding{ID: "disk", State: Good, Found: fmt.Sprintf("%d MiB free where the vault is", free>>20)}
	switch {
	case free < diskBad:
		f.State, f.Means, f.Do = Bad, "the next save may fail; the old file stays whole", "free some space"
	case free < diskWarn:
		f.State, f.Means, f.Do = Warn, "a large file or a result may not fit", "free some space"
	}
	return f
}

// hardened reports whether other processes of this user are kept out of one.
func (d *doctor) hardened(pid int) (yes, known bool) {
	if runtime.GOOS != "linux" || os.Geteuid() == 0 || pid == 0 {
		return false, false
	}
	owner, err := ownerOf(filepath.Join(d.proc, fmt.Sprint(pid), "environ"))
	return owner == 0, err == nil
}
