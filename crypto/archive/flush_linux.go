package archive

import (
	"os"

	"golang.org/x/sys/unix"
)

// On Linux one call flushes what thousands of files hold.
func flushFile(*os.File) error { return nil }

func flushTree(root *os.Root) error {
	d, err := root.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}
