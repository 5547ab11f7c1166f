package jetstream

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// flushFolders carries the names of all folders below dir to the disk, and its
// own. The server flushes the files of a stream, and the folder they are in,
// but not the folders above, which it makes with the stream: where a file
// system does not do that by itself, a power cut takes the whole stream away.
func flushFolders(dir string) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the server cleans up behind itself
		}
		if err != nil || !d.IsDir() {
			return err
		}
		return flushFolder(path)
	})
	return errors.Join(err, flushFolder(filepath.Dir(filepath.Clean(dir))))
}

func flushFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil // it has no such call
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
