package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"cipherdeck/crypto/doc"
	"cipherdeck/remote/store"
	"cipherdeck/remote/store/file"
)

// Format is how a data directory is laid out. It rises with every change that an
// older program would misread; Migrations says how to get from one to the next.
const Format = 1

// FormatFile names the format in the data directory, before anything is opened.
const FormatFile = "FORMAT"

const (
	formatWord = "cipherdeck-data "
	formatKey  = "meta/format"
)

// The errors of a data directory that this program does not start on.
var (
	ErrNewerData = errors.New("the data directory was written by a newer version")
	ErrOlderData = errors.New("the data directory has an older format")
	ErrOtherData = errors.New("the data directory does not belong together")
)

// formatDoc says in the store what FormatFile says beside it, and whose store it
// is: two that were mixed up are noticed.
type formatDoc struct {
	V      uint8  `cbor:"1,keyasint"`
	Format int    `cbor:"2,keyasint"`
	Pin    []byte `cbor:"3,keyasint"`
}

// FormatOf reads the format of a data directory: 0 of one from before there was
// the file, Format of one without a store, which is fresh: a TLS key may have been
// put there before the first start.
func FormatOf(dir string) (format int, fresh bool, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, FormatFile))
	if errors.Is(err, fs.ErrNotExist) {
		for _, name := range []string{storeDir, blobDir} {
			if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
				return 0, false, nil
			}
		}
		return Format, true, nil
	}
	if err != nil {
		return 0, false, err
	}
	text, found := strings.CutPrefix(strings.TrimSpace(string(raw)), formatWord)
	format, err = strconv.Atoi(text)
	if !found || err != nil || format < 1 {
		return 0, false, fmt.Errorf("%s: %w: want %q and a number", filepath.Join(dir, FormatFile), ErrOtherData, strings.TrimSpace(formatWord))
	}
	return format, false, nil
}

// checkFormat lets a server start on a directory of the present format, or on an
// empty one, which it marks. It never migrates by itself: that needs a backup.
func checkFormat(dir string) error {
	have, fresh, err := FormatOf(dir)
	switch {
	case err != nil:
		return err
	case have > Format:
		return fmt.Errorf("%s: %w: format %d, this program knows %d", dir, ErrNewerData, have, Format)
	case have < Format:
		return fmt.Errorf("%s: %w: format %d, this program needs %d", dir, ErrOlderData, have, Format)
	case fresh:
		return writeFormat(dir, Format)
	}
	return nil
}

func writeFormat(dir string, format int) error {
	return file.Write(filepath.Join(dir, FormatFile), []byte(formatWord+strconv.Itoa(format)+"\n"))
}

// checkStore compares the store with the directory that it lies in, and marks a
// new store. The TLS key is the key check value: with another one every client
// would refuse this server.
func checkStore(ctx context.Context, docs store.Docs, pin [32]byte) error {
	d, err := docs.Get(ctx, formatKey)
	if errors.Is(err, store.ErrNotFound) {
		body, err := doc.Encode(formatDoc{V: 1, Format: Format, Pin: pin[:]})
		if err == nil {
			_, err = docs.Put(ctx, formatKey, body, 0)
		}
		if errors.Is(err, store.ErrConflict) {
			return nil // another server of the same store was faster
		}
		return err
	}
	if err != nil {
		return err
	}
	var f formatDoc
	if err := doc.Decode(d.Body, &f); err != nil {
		return fmt.Errorf("%s: %w: %w", formatKey, store.ErrCorrupt, err)
	}
	switch {
	case f.Format > Format:
		return fmt.Errorf("store: %w: format %d, this program knows %d", ErrNewerData, f.Format, Format)
	case f.Format < Format:
		return fmt.Errorf("store: %w: format %d, this program needs %d", ErrOlderData, f.Format, Format)
	case string(f.Pin) != string(pin[:]):
		return fmt.Errorf("%w: the store is of the server with key %s, %s has key %s", ErrOtherData,
			hex.EncodeToString(f.Pin)[:16], TLSKeyFile, hex.EncodeToString(pin[:])[:16])
	}
	return nil
}
