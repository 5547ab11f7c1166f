//go:build !unix

package jetstream

import "os"

// lockFile only makes the file: serving is supported on Unix.
func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}
