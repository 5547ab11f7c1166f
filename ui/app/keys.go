package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/api"
	"cipherdeck/remote/auth"
	"cipherdeck/vault/private"
)

// KeySpec says what an API key is for.
type KeySpec struct {
	Name     string
	Scopes   []string // OP or OP@PROJECT, the project by its id or the name it has here
	Networks []string
	Life     time.Duration
}

// KeyOut is where the secret of an API key goes: to a new file that only its owner
// may read, or to a descriptor that was handed over. Never to a screen.
type KeyOut struct {
	File string
	To   io.Writer // instead of File
}

// write gives the bearer out. A file must be new: one that is there may be read
// by a script just now.
func (o KeyOut) write(bearer string) error {
	if o.To != nil {
		_, err := io.WriteString(o.To, bearer+"\n")
		return err
	}
	f, err := os.OpenFile(o.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%w: %s: a file of this name is there", ErrTaken, o.File)
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, bearer+"\n")
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// NewKey makes an API key on a pinned server and gives its secret to out. A key
// whose secret could not be given out is revoked again.
func (a *App) NewKey(ctx context.Context, server string, spec KeySpec, out KeyOut) (api.KeyInfo, error) {
	c, err := a.store(server)
	if err != nil {
		return api.KeyInfo{}, err
	}
	scopes, err := a.scopes(spec.Scopes)
	if err != nil {
		return api.KeyInfo{}, err
	}
	if err := a.enrol(ctx, c); err != nil {
		return api.KeyInfo{}, err
	}
	r, err := c.NewKey(ctx, api.KeyRequest{Name: spec.Name, Scopes: scopes, Networks: spec.Networks, NotAfter: a.Now().Add(spec.Life).Unix()})
	if err != nil {
		return api.KeyInfo{}, err
	}
	if err := out.write(r.Bearer); err != nil {
		return api.KeyInfo{}, errors.Join(err, c.RevokeKey(context.WithoutCancel(ctx), r.Key.ID))
	}
	return r.Key, nil
}

// scopes puts ids in the place of the names that projects have here.
func (a *App) scopes(in []string) ([]string, error) {
	var out []string
	for _, s := range in {
		op, project, found := strings.Cut(s, "@")
		if !slices.Contains(auth.Scopes(), op) {
			return nil, fmt.Errorf("%w: --scope %q: want one of %s, each may end in @PROJECT", ErrInput, s, strings.Join(auth.Scopes(), ", "))
		}
		if found && project != "*" {
			if _, err := id.Parse(project); err != nil {
				r, err := a.projectRecord(project)
				if err != nil {
					return nil, err
				}
				project = r.ID.String()
			}
			op += "@" + project
		}
		out = append(out, op)
	}
	return out, nil
}

// Keys lists the API keys of my account on a server.
func (a *App) Keys(ctx context.Context, server string) ([]api.KeyInfo, error) {
	c, err := a.store(server)
	if err != nil {
		return nil, err
	}
	return c.Keys(ctx)
}

// RotateKey gives an API key a new secret. The one before is good for overlap, so
// that a script can be given the new one meanwhile.
func (a *App) RotateKey(ctx context.Context, server, name string, overlap time.Duration, out KeyOut) (api.KeyInfo, error) {
	c, err := a.store(server)
	if err != nil {
		return api.KeyInfo{}, err
	}
	key, err := keyID(ctx, c, name)
	if err != nil {
		return api.KeyInfo{}, err
	}
	r, err := c.RotateKey(ctx, key, overlap)
	if err != nil {
		return api.KeyInfo{}, err
	}
	if err := out.write(r.Bearer); err != nil {
		return r.Key, fmt.Errorf("the key has a new secret that was not written down; rotate it again: %w", err)
	}
	return r.Key, nil
}

// RevokeKey ends an API key at once, and gives its id.
func (a *App) RevokeKey(ctx context.Context, server, name string) (string, error) {
	c, err := a.store(server)
	if err != nil {
		return "", err
	}
	key, err := keyID(ctx, c, name)
	if err != nil {
		return "", err
	}
	return key, c.RevokeKey(ctx, key)
}

// keyID finds an API key of mine by its id, or by its name when only one has it.
func keyID(ctx context.Context, c *api.Client, name string) (string, error) {
	all, err := c.Keys(ctx)
	if err != nil {
		return "", err
	}
	var found []string
	for _, k := range all {
		if k.ID == name {
			return k.ID, nil
		}
		if k.Name == name {
			found = append(found, k.ID)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("%w: API key %q; key list shows those there are", ErrName, name)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%w: %d API keys are called %q; say which by its id: %s", ErrInput, len(found), name, strings.Join(found, ", "))
}

// Sessions lists the logins of my account that a server holds now. Each command
// logs in for itself, this one too.
func (a *App) Sessions(ctx context.Context, server string) ([]api.SessionInfo, error) {
	c, err := a.store(server)
	if err != nil {
		return nil, err
	}
	return c.Sessions(ctx)
}

// RevokeSessions ends the logins of my account on a server: of all devices, of one
// by the id of its key, or of this one when device is "this".
func (a *App) RevokeSessions(ctx context.Context, server, device string) (int, error) {
	c, err := a.store(server)
	if err != nil {
		return 0, err
	}
	if device == "this" {
		_, me, err := a.opened()
		if err != nil {
			return 0, err
		}
		k, err := doc.KeyIDOf(me.Device.Public())
		if err != nil {
			return 0, err
		}
		device = k.String()
	}
	return c.RevokeSessions(ctx, device)
}

// maxBearer bounds the file of an API key.
const maxBearer = 1 << 10

// Script is a server as a script sees it: by its pairing code, with an API key, and
// without a vault. It gets ciphertext and facts; it can read nothing.
func Script(code api.Code, keyFile string, now func() time.Time) (*api.Client, error) {
	raw, err := private.Read(keyFile, maxBearer)
	if err != nil {
		return nil, err
	}
	bearer := strings.TrimSpace(string(raw))
	if bearer == "" || strings.ContainsFunc(bearer, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fmt.Errorf("%w: %s is not the file of an API key", ErrInput, keyFile)
	}
	return api.New(api.Config{Addr: code.Addr, Pin: code.Pin, Bearer: bearer, Now: now}), nil
}
