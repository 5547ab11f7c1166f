package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cipherdeck/vault"
	"cipherdeck/vault/private"
)

// Socket is where the agent of this user listens: in $XDG_RUNTIME_DIR, which
// ends with the session, or else in the user's cache directory.
func Socket() (string, error) {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "cipherdeck", "agent"), nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("where the agent listens: %w", err)
	}
	return filepath.Join(dir, "cipherdeck", "run", "agent"), nil
}

// Client speaks to an agent. The zero Client speaks to the one at Socket().
type Client struct {
	Socket  string
	Purpose string // what a confirmation shows; the name of the command
}

// Get is how to open the vault at vaultPath with the agent's help; pass it to
// vault.Open. It only looks whether there is an agent: the key is asked for, and
// a use confirmed, when the vault is opened. Errors wrap ErrNoAgent, ErrPeer or
// private.ErrPermissions; Open then fails with ErrNotHeld, ErrDenied or
// vault.ErrRotated, all of which mean "unlock in another way".
func Get(ctx context.Context, vaultPath string) (vault.Unlocker, error) {
	return Client{Purpose: "open " + filepath.Base(vaultPath)}.Get(ctx)
}

// Get is the function Get for any vault.
func (c Client) Get(ctx context.Context) (vault.Unlocker, error) {
	if _, err := c.path(); err != nil {
		return nil, err
	}
	return vault.FromKey(func(ctx context.Context, id string) ([]byte, error) {
		r, err := c.call(ctx, request{Op: opGet, Vault: id, Purpose: fit(c.Purpose)})
		return r.Key, err
	}), nil
}

// Put gives the agent the key of an open vault: for life (at most 24 h), until
// it was not used for idle (0: no such limit), and with a question at each use
// if confirm is set. Errors wrap ErrNoAgent, ErrNoConfirm, ErrFull or
// vault.ErrClosed.
func (c Client) Put(ctx context.Context, v *vault.Vault, life, idle time.Duration, confirm bool) error {
	if life < time.Second || life > maxLife || idle < 0 || idle > life || idle > 0 && idle < time.Second {
		return fmt.Errorf("%w: held for %v, idle %v: want 1s to %v, and idle no longer", ErrProtocol, life, idle, maxLife)
	}
	return v.Lend(func(key []byte) error {
		key = bytes.Clone(key)
		defer clear(key)
		_, err := c.call(ctx, request{Op: opPut, Vault: v.ID(), Key: key,
			Life: uint32(life / time.Second), Idle: uint32(idle / time.Second), Confirm: confirm})
		return err
	})
}

// Lock makes the agent forget the key of a vault (Vault.ID), or all if id is
// empty. Errors wrap ErrNoAgent.
func (c Client) Lock(ctx context.Context, id string) error {
	_, err := c.call(ctx, request{Op: opLock, Vault: id})
	return err
}

// Held is a key that the agent has.
type Held struct {
	Vault   string // id in hex
	Ends    time.Time
	Confirm bool
}

// Status lists what the agent has, by vault id. Errors wrap ErrNoAgent.
func (c Client) Status(ctx context.Context) ([]Held, error) {
	r, err := c.call(ctx, request{Op: opStatus})
	if err != nil {
		return nil, err
	}
	out := make([]Held, 0, len(r.Held))
	for _, h := range r.Held {
		out = append(out, Held{h.Vault, time.Unix(h.Ends, 0), h.Confirm})
	}
	slices.SortFunc(out, func(a, b Held) int { return strings.Compare(a.Vault, b.Vault) })
	return out, nil
}

// PID is the process of the agent, 0 if the system does not tell. Errors wrap
// ErrNoAgent or ErrPeer.
func (c Client) PID(ctx context.Context) (int, error) {
	socket, err := c.path()
	if err != nil {
		return 0, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %v", socket, ErrNoAgent, err)
	}
	defer conn.Close()
	return peer(conn.(*net.UnixConn))
}

// path is the socket, if it is one that only we could have made.
func (c Client) path() (string, error) {
	if !supported {
		return "", ErrUnsupported
	}
	socket := c.Socket
	if socket == "" {
		var err error
		if socket, err = Socket(); err != nil {
			return "", err
		}
	}
	if fi, err := os.Lstat(socket); err != nil || fi.Mode().Type() != os.ModeSocket {
		return "", fmt.Errorf("%s: %w", socket, ErrNoAgent)
	}
	return socket, private.Dir(filepath.Dir(socket))
}

// call sends one request and reads the answer.
func (c Client) call(ctx context.Context, q request) (reply, error) {
	socket, err := c.path()
	if err != nil {
		return reply{}, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return reply{}, fmt.Errorf("%s: %w: %v", socket, ErrNoAgent, err)
	}
	defer conn.Close()
	if _, err := peer(conn.(*net.UnixConn)); err != nil {
		return reply{}, fmt.Errorf("%s: %w", socket, err)
	}
	_ = conn.SetDeadline(time.Now().Add(askTime + 2*connTime))
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	q.Version = protocolVersion
	if err := q.check(); err != nil {
		return reply{}, err
	}
	var r reply
	if err = writeFrame(conn, q); err == nil {
		err = readFrame(conn, &r)
	}
	switch {
	case ctx.Err() != nil:
		clear(r.Key)
		return reply{}, ctx.Err()
	case errors.Is(err, ErrProtocol):
		return reply{}, err
	case err != nil:
		return reply{}, fmt.Errorf("%s: %w: it went away: %v", socket, ErrNoAgent, err)
	case r.Code == "ok":
		return r, nil
	}
	if e, known := codes()[r.Code]; known {
		return reply{}, e
	}
	return reply{}, fmt.Errorf("%w: answer %.40q", ErrProtocol, r.Code)
}

// fit cuts a purpose to what a request may have.
func fit(s string) string { return strings.ToValidUTF8(s[:min(len(s), 64)], "") }
