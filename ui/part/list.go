package part

// List is which row of a list is chosen. The rows themselves belong to the
// screen.
type List struct{ At int }

// Clamp keeps the choice among n rows.
func (l *List) Clamp(n int) { l.At = max(0, min(l.At, n-1)) }

// Key moves the choice among n rows, page rows at a time; false means the key
// is not a movement.
func (l *List) Key(k Key, n, page int) bool {
	switch k.Name {
	case "j", "down":
		l.At++
	case "k", "up":
		l.At--
	case "g", "home":
		l.At = 0
	case "G", "end":
		l.At = n - 1
	case "ctrl+d", "pgdown":
		l.At += max(page, 1)
	case "ctrl+u", "pgup":
		l.At -= max(page, 1)
	default:
		return false
	}
	l.Clamp(n)
	return true
}

// Window is which of n rows to draw in a height of h, so that row at is seen
// with as much around it as there is.
func Window(at, n, h int) (from, to int) {
	if n <= h {
		return 0, n
	}
	from = max(0, min(at-h/2, n-h))
	return from, from + h
}

// Scroll is how far a text was moved up.
type Scroll struct{ Off int }

// Key moves n lines shown h at a time; false means the key does not scroll.
func (s *Scroll) Key(k Key, n, h int) bool {
	switch k.Name {
	case "j", "down":
		s.Off++
	case "k", "up":
		s.Off--
	case "g", "home":
		s.Off = 0
	case "G", "end":
		s.Off = n
	case "ctrl+d", "pgdown", "space":
		s.Off += max(h-1, 1)
	case "ctrl+u", "pgup":
		s.Off -= max(h-1, 1)
	default:
		return false
	}
	s.Off = max(0, min(s.Off, n-h))
	return true
}

// Slice is the lines to draw in a height of h.
func (s Scroll) Slice(lines []string, h int) []string {
	from := max(0, min(s.Off, len(lines)-h))
	return lines[from:min(len(lines), from+h)]
}
