package server

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/sftpd"
	"cipherdeck/remote/store"
)

// sshKeyFile holds the key by which the SFTP door shows who it is. It is not
// the TLS key: no key signs for two protocols here.
const sshKeyFile = "ssh_host_key"

// openDoor opens the SFTP door when the configuration wants one. Clients learn
// its key over HTTPS, whose key they have pinned.
func (s *Server) openDoor(ctx context.Context, dir string) error {
	if s.cfg.SFTP == "" {
		return nil
	}
	key, err := loadSSHKey(filepath.Join(dir, sshKeyFile))
	if err != nil {
		return err
	}
	pub, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return err
	}
	s.sshKey = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(pub)))
	s.door, err = sftpd.Listen(ctx, s.cfg.SFTP, key, house{s}, s.cfg.MaxBlobBytes, s.log)
	return err
}

func loadSSHKey(path string) (ed25519.PrivateKey, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newSSHKey(path)
	}
	if err != nil {
		return nil, err
	}
	k, err := ssh.ParseRawPrivateKey(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	key, ok := k.(*ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: want an ed25519 key", path)
	}
	return *key, nil
}

func newSSHKey(path string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, "cipherdeck")
	if err != nil {
		return nil, err
	}
	return key, os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
}

// house is the server as the SFTP door sees it: the same rights as over HTTPS.
type house struct{ s *Server }

// Devices are the device keys of an account. Whoever asks has shown nothing yet:
// it counts for his network, not for the account that he names.
func (h house) Devices(ctx context.Context, from net.Addr, u chain.UID) (doc.KeyFunc, error) {
	if err := h.s.rate("net " + netOf(from.String())); err != nil {
		return nil, err
	}
	acc, err := h.s.accounts.get(ctx, u)
	if err != nil {
		return nil, err
	}
	return acc.Keys(), nil
}

// still refuses a guest whose time is over or whose device was revoked after he
// came in, as identify does for a login.
func (h house) still(ctx context.Context, g sftpd.Guest) error {
	if err := h.s.rate("uid " + g.UID.String()); err != nil {
		return err
	}
	acc, err := h.s.accounts.get(ctx, g.UID)
	if err != nil {
		return err
	}
	if _, ok := acc.Valid(g.Device); !ok || !h.s.now().Before(g.Until) {
		return sftpd.ErrDenied
	}
	return nil
}

// Projects are those in which the guest has a role.
func (h house) Projects(ctx context.Context, g sftpd.Guest) ([]id.ID, error) {
	if err := h.still(ctx, g); err != nil {
		return nil, err
	}
	return h.s.projects.of(ctx, g.UID)
}

// Blobs are those of a project, for who may read or write there.
func (h house) Blobs(ctx context.Context, g sftpd.Guest, pid id.ID, write bool) (store.Blobs, error) {
	if err := h.still(ctx, g); err != nil {
		return nil, err
	}
	head, err := h.s.projects.get(ctx, pid)
	if errors.Is(err, store.ErrNotFound) {
		return nil, sftpd.ErrDenied
	}
	if err != nil {
		return nil, err
	}
	op := chain.OpAudit
	if write {
		op = chain.OpWrite
	}
	if !head.state.AllowsAt(g.UID, op, h.s.now()) {
		return nil, sftpd.ErrDenied
	}
	return h.s.blobs.of(ctx, pid)
}
