//go:build !linux

package archive

import "os"

func flushFile(f *os.File) error { return f.Sync() }

func flushTree(*os.Root) error { return nil }
