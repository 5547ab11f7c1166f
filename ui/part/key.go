package part

// Key is one key press, free of the terminal library.
type Key struct {
	Name string // "j", "enter", "ctrl+l", "space"; "" for a paste
	Text string // what it types; "" for a key that types nothing
}

// IsPaste reports whether k is pasted text rather than a key.
func (k Key) IsPaste() bool { return k.Name == "" && k.Text != "" }

// String is the name of the key, as bindings are compared with it.
func (k Key) String() string { return k.Name }
