package demo

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"cipherdeck/crypto/progress"
)

// search looks for marks in all files under dir, names included. It returns
// which were found, and how many files and bytes were read.
func search(ctx context.Context, dir string, marks map[string][]byte, sink progress.Sink) (found map[string]string, files int, n int64, err error) {
	found = map[string]string{}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path != dir {
			return nil
		}
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if d.IsDir() || d.Type()&fs.ModeSocket != 0 { // a socket keeps nothing
			return nil
		}
		var b []byte
		if d.Type().IsRegular() { // a socket has a name and no content
			b, err = os.ReadFile(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the server runs: a file under a temporary name has its own by now
		}
		if err != nil {
			return err
		}
		files++
		n += int64(len(b))
		sink.Add(int64(len(b)))
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		for what, m := range marks {
			if bytes.Contains(b, m) || bytes.Contains([]byte(name), m) {
				found[what] = path
			}
		}
		return nil
	})
	return found, files, n, err
}
