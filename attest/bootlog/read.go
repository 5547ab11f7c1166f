package bootlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Kernel is where Linux shows the firmware's event log.
const Kernel = "/sys/kernel/security/tpm0/binary_bios_measurements"

// Read reads the firmware's event log from path, or where the kernel shows it when path is
// empty. There it may be absent or for root alone, and then there is none.
func Read(path string) ([]byte, error) {
	ours := path != ""
	if !ours {
		path = Kernel
	}
	f, err := os.Open(path)
	if !ours && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err == nil && len(raw) > MaxBytes {
		err = fmt.Errorf("%s has more than %d bytes", path, MaxBytes)
	}
	return raw, err
}
