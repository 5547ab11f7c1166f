package archive

import (
	"fmt"
	"strings"
)

// order is what must hold from one entry to the next: strictly sorted, and
// right below a directory that was given before.
type order struct {
	last string
	dirs []string // the directories that the last entry is in, outermost first
}

func (o *order) next(e Entry) error {
	if o.last != "" && !before(o.last, e.Path) {
		return fmt.Errorf("%w: %s comes after %s: out of order or twice", ErrFormat, e, shown(o.last))
	}
	o.last = e.Path
	parent := ""
	if i := strings.LastIndexByte(e.Path, '/'); i >= 0 {
		parent = e.Path[:i]
	}
	for len(o.dirs) > 0 && o.dirs[len(o.dirs)-1] != parent {
		o.dirs = o.dirs[:len(o.dirs)-1]
	}
	if parent != "" && len(o.dirs) == 0 {
		return fmt.Errorf("%w: %s is in no directory of the archive", ErrFormat, e)
	}
	if e.Kind == Dir {
		o.dirs = append(o.dirs, e.Path)
	}
	return nil
}

// before compares paths name by name, so that "a/b" comes before "a.txt" and a
// directory right before its content.
func before(a, b string) bool {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	switch {
	case n == len(a):
		return n < len(b)
	case n == len(b):
		return false
	case a[n] == '/' || b[n] == '/':
		return a[n] == '/'
	}
	return a[n] < b[n]
}
