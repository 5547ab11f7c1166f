package seal

import (
	"io"
	"os"
)

// WriteFile makes the file out from what write gives, as SealFile and OpenFile
// do: under a temporary name, synced, and under its own name only when write
// succeeded. For outputs whose input is a pipe. Errors wrap ErrExists.
func WriteFile(out string, force bool, write func(io.Writer) error) error {
	return writeWhole(out, nil, force, func(f *os.File) error { return write(f) })
}

// ConvertFile is WriteFile for an output that is made from the regular file in.
// Errors also wrap ErrSameFile and ErrNotRegular.
func ConvertFile(out, in string, force bool, write func(io.Writer, io.Reader) error) error {
	src, st, err := openRegular(in)
	if err != nil {
		return err
	}
	defer src.Close()
	return writeWhole(out, st, force, func(f *os.File) error { return write(f, src) })
}
