package server

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"cipherdeck/crypto/chain"
	"cipherdeck/remote/api"
)

// VerifyBackup restores a bundle aside, in a folder that it makes and removes,
// starts a server on it on loopback and logs in there with an account made for
// that: what starts here, starts when it is needed. A bundle of an older format is
// restored and verified, but not served.
func VerifyBackup(ctx context.Context, r io.Reader, pin *[32]byte) (out Restored, err error) {
	dir, err := os.MkdirTemp("", "cipherdeck-verify-*")
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	data := filepath.Join(dir, "data")
	if out, err = Restore(ctx, r, data, pin); err != nil || out.Format != Format {
		return out, err
	}
	cfg := DefaultConfig()
	cfg.Listen, cfg.DataDir, cfg.Enrolment = "127.0.0.1:0", data, EnrolOpen
	s, err := Start(ctx, Options{Config: cfg})
	if err != nil {
		return out, err
	}
	return out, errors.Join(s.knock(ctx), s.Close())
}

// knock logs in with a new account and asks for its projects: none.
func (s *Server) knock(ctx context.Context) error {
	_, device, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	const xwing = 1216
	acc, err := chain.NewAccount(chain.Node, "verify", s.now().Unix(), nil, device, bytes.Repeat([]byte{1}, xwing))
	if err != nil {
		return err
	}
	c := api.New(api.Config{Addr: s.Addr(), Pin: s.pin, UID: acc.UID, Device: device, Account: acc.Raw})
	defer c.Close()
	if err := c.Enrol(ctx); err != nil {
		return fmt.Errorf("enrol at the restored server: %w", err)
	}
	if _, err := c.Projects(ctx); err != nil {
		return fmt.Errorf("log in at the restored server: %w", err)
	}
	return nil
}
