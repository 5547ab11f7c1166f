//go:build unix

package pkcs11

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// installed is the file that path leads to, if only root can change it: it and
// each directory above belong to root and are not writable for others. Sticky
// directories are, but there nobody can exchange what belongs to root.
func installed(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("%w: %v", ErrModule, err)
	}
	for at := real; ; at = filepath.Dir(at) {
		i, err := os.Lstat(at)
		if err != nil {
			return "", fmt.Errorf("%w: %v", ErrModule, err)
		}
		s, ok := i.Sys().(*syscall.Stat_t)
		shared := i.Mode()&0o022 != 0 && (!i.IsDir() || i.Mode()&fs.ModeSticky == 0)
		if !ok || s.Uid != 0 || shared {
			return "", fmt.Errorf("%w: the slot names %q, and others than root can change %q: name the library yourself", ErrModule, path, at)
		}
		if at == filepath.Dir(at) {
			return real, nil
		}
	}
}
