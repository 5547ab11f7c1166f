package server

import (
	"fmt"
	"net"
	"path/filepath"
	"time"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store/rooms"
)

func (c Config) checkPlaces() error {
	if _, _, err := net.SplitHostPort(c.SFTP); c.SFTP != "" && err != nil {
		return fmt.Errorf("%w: sftp: %q is not host:port", ErrConfig, c.SFTP)
	}
	if err := c.Blobs.Check(); err != nil {
		return fmt.Errorf("%w: blobs: %w", ErrConfig, err)
	}
	if c.Mirror == nil {
		return nil
	}
	if err := c.Mirror.Check(); err != nil {
		return fmt.Errorf("%w: mirror: %w", ErrConfig, err)
	}
	return nil
}

// direct reports whether clients may come to the blobs past this server.
func (c Config) direct() bool { return c.Blobs.Direct && c.Mirror == nil }

// rooms is how the blobs of a server with this configuration, in dir, are opened.
func (c Config) rooms(dir string, now func() time.Time, healed func(pid, i id.ID, why error)) rooms.Options {
	return rooms.Options{Dir: filepath.Join(dir, blobDir), Max: c.MaxBlobBytes, Place: c.Blobs, Second: c.Mirror, Healed: healed, Now: now}
}
