package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
	"cipherdeck/remote/store/rooms"
)

// ScrubFinding is a blob of a project that was not as it should be.
type ScrubFinding struct {
	Project id.ID
	store.Finding
}

// Scrub reads every blob that a server with configuration c keeps, every copy
// of it, and mends what it can. The server may run meanwhile.
func Scrub(ctx context.Context, c Config, tell func(ScrubFinding)) (sum store.Scrubbed, err error) {
	if err := c.Check(); err != nil {
		return sum, err
	}
	o := c.rooms(c.DataDir, time.Now, nil)
	o.Shared = true
	if _, err := os.Stat(filepath.Join(c.DataDir, storeDir)); err != nil {
		return sum, fmt.Errorf("%w: data_dir: no server has kept anything in %s: %w", ErrConfig, c.DataDir, err)
	}
	house, err := rooms.Open(o)
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, house.Close()) }()
	pids, err := house.Names()
	if err != nil {
		return sum, err
	}
	for _, pid := range pids {
		room, err := house.Room(pid)
		if err != nil {
			return sum, err
		}
		n, err := store.Scrub(ctx, room, func(f store.Finding) { tell(ScrubFinding{pid, f}) })
		sum.Blobs, sum.Bytes = sum.Blobs+n.Blobs, sum.Bytes+n.Bytes
		if err != nil {
			return sum, err
		}
	}
	return sum, nil
}
