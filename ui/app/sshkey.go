package app

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/crypto/ssh"
)

// SSHKey is a key for SFTP that was written, and how to use it.
type SSHKey struct {
	File       string    `json:"file"`
	KnownHosts string    `json:"known_hosts"`
	Until      time.Time `json:"until"`
	Command    string    `json:"command"`
}

// sshSlack is how much clocks may differ.
const sshSlack = 5 * time.Minute

// MakeSSHKey writes a new SSH key to file, with a certificate by which the
// device vouches for it for life, and the key of the server's SFTP door. The
// device key itself stays in the vault: who takes the file can come and go with
// ciphertext for some hours, and sign nothing.
func (a *App) MakeSSHKey(ctx context.Context, server, file string, life time.Duration) (SSHKey, error) {
	c, me, err := a.storeAs(ctx, server)
	if err != nil {
		return SSHKey{}, err
	}
	m, err := c.Meta(ctx)
	if err != nil {
		return SSHKey{}, err
	}
	host, port, err := net.SplitHostPort(m.SFTP)
	if err != nil {
		return SSHKey{}, fmt.Errorf("%w: server %q has no door for SFTP; its operator opens one with serve --sftp", ErrInput, server)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		if host, _, err = net.SplitHostPort(c.Addr()); err != nil {
			return SSHKey{}, err
		}
	}
	hostKey, _, _, _, err := ssh.ParseAuthorizedKey([]byte(m.SSHKey))
	if err != nil {
		return SSHKey{}, fmt.Errorf("%w: the key of the SFTP door of server %q is none: %w", ErrInput, server, err)
	}
	uid, until := me.Account.UID.String(), a.Now().Add(life).Truncate(time.Second)
	key, cert, err := certified(me.Device, uid, a.Now().Add(-sshSlack), until)
	if err != nil {
		return SSHKey{}, err
	}
	known := fmt.Sprintf("[%s]:%s %s", host, port, ssh.MarshalAuthorizedKey(hostKey))
	out := SSHKey{File: file, KnownHosts: file + ".known_hosts", Until: until}
	for _, f := range []struct {
		name string
		body []byte
	}{{out.File, key}, {file + "-cert.pub", cert}, {out.KnownHosts, []byte(known)}} {
		if err := writeNew(f.name, f.body); err != nil {
			return SSHKey{}, err
		}
	}
	out.Command = fmt.Sprintf("sftp -i %s -o IdentitiesOnly=yes -o UserKnownHostsFile=%s -P %s %s@%s", file, out.KnownHosts, port, uid, host)
	return out, nil
}

// certified makes a key and its certificate, as OpenSSH reads them.
func certified(device ed25519.PrivateKey, uid string, from, until time.Time) (key, cert []byte, err error) {
	_, fresh, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	pub, err := ssh.NewPublicKey(fresh.Public())
	if err != nil {
		return nil, nil, err
	}
	signer, err := ssh.NewSignerFromKey(device)
	if err != nil {
		return nil, nil, err
	}
	c := &ssh.Certificate{Key: pub, CertType: ssh.UserCert, KeyId: uid, ValidPrincipals: []string{uid},
		ValidAfter: uint64(from.Unix()), ValidBefore: uint64(until.Unix())}
	if err := c.SignCert(rand.Reader, signer); err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(fresh, "cipherdeck "+uid)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(block), ssh.MarshalAuthorizedKey(c), nil
}

// writeNew writes a file for its owner, never over one that is there.
func writeNew(name string, body []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%w: %s", ErrTaken, name)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	return errors.Join(err, f.Close())
}
