// Package quiet keeps the program from asking the terminal questions.
//
// The terminal library asks for the background colour as soon as it is
// imported, and waits for the answer: five seconds on a terminal that gives
// none, for every command, even --version. Saying that the background is dark
// before it asks settles the question. Go initialises packages that are ready
// in the order of their import paths, so this package's path must sort before
// github.com/charmbracelet/bubbletea; a test runs the binary on a silent
// terminal to see that it does.
package quiet

import "github.com/charmbracelet/lipgloss"

func init() { lipgloss.SetHasDarkBackground(true) }
