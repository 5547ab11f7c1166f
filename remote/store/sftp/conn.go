package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"cipherdeck/remote/store"
)

// ErrTarget is wrapped for a machine that cannot be spoken to as configured.
var ErrTarget = errors.New("not an SFTP store: want host:port, a user, a private key file and the host's public key")

// Target is a machine with SSH and a directory on it.
type Target struct {
	Addr    string // host:port
	User    string
	Dir     string // where the blobs are; made when it is not there
	KeyFile string // private key without a passphrase, readable by its owner only
	HostKey string // the host's public key, as in a known_hosts file: "ssh-ed25519 AAAA…"
}

// Conn is a connection that is made when it is needed, and again when it broke.
type Conn struct {
	addr, dir string
	ssh       *ssh.ClientConfig

	mu     sync.Mutex
	client *sftp.Client
	under  *ssh.Client
}

// idle is after how long without a byte a connection is given up.
const idle = 2 * time.Minute

// Open reads the keys; it connects to nothing.
func Open(t Target) (*Conn, error) {
	if _, _, err := net.SplitHostPort(t.Addr); err != nil || t.User == "" || t.Dir == "" {
		return nil, fmt.Errorf("%w: addr %q, user %q, dir %q", ErrTarget, t.Addr, t.User, t.Dir)
	}
	host, _, _, _, err := ssh.ParseAuthorizedKey([]byte(t.HostKey))
	if err != nil {
		return nil, fmt.Errorf("%w: host_key: %w", ErrTarget, err)
	}
	key, err := readKey(t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("%w: key_file: %w", ErrTarget, err)
	}
	return &Conn{addr: t.Addr, dir: t.Dir, ssh: &ssh.ClientConfig{
		User: t.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: ssh.FixedHostKey(host), HostKeyAlgorithms: algorithms(host),
		Timeout: 10 * time.Second,
	}}, nil
}

// algorithms are the ways in which the pinned key may sign: a host with several
// keys must choose this one.
func algorithms(k ssh.PublicKey) []string {
	if k.Type() == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{k.Type()}
}

func readKey(path string) (ssh.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: others may read it: chmod 600", path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return ssh.ParsePrivateKey(raw)
}

// do runs step, and once more on a new connection when the one it had broke.
// step may thus run twice.
func (c *Conn) do(ctx context.Context, step func(*sftp.Client) error) error {
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		client, err := c.get(ctx)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", store.ErrUnavailable, c.addr, err)
		}
		err = step(client)
		switch {
		case err == nil, errors.Is(err, store.ErrCorrupt):
			return err
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%w: %w", store.ErrNotFound, err)
		case !lost(err) || try == 2:
			return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		c.drop(client)
	}
}

func lost(err error) bool {
	return errors.Is(err, sftp.ErrSSHFxConnectionLost) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded)
}

func (c *Conn) get(ctx context.Context) (*sftp.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		return c.client, nil
	}
	nc, err := (&net.Dialer{Timeout: c.ssh.Timeout}).DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return nil, err
	}
	conn, chans, reqs, err := ssh.NewClientConn(patient{nc}, c.addr, c.ssh)
	if err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	under := ssh.NewClient(conn, chans, reqs)
	client, err := sftp.NewClient(under, sftp.UseConcurrentWrites(true))
	if err != nil {
		return nil, errors.Join(err, under.Close())
	}
	c.client, c.under = client, under
	return client, nil
}

// drop forgets client, if it is still the one in use.
func (c *Conn) drop(client *sftp.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == client {
		_ = c.under.Close() // it is broken already
		c.client, c.under = nil, nil
	}
}

// Close ends the connection.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == nil {
		return nil
	}
	err := c.under.Close()
	c.client, c.under = nil, nil
	return err
}

// patient gives up a connection on which nothing comes, so that a machine that
// has gone silent does not hold a request for ever.
type patient struct{ net.Conn }

// Read reads on, for a while.
func (p patient) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(idle)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}
