package app

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"sort"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/channel"
	"cipherdeck/remote/api"
	"cipherdeck/vault"
)

// Product is the name that manifests of our own server carry.
const Product = "cipherdeck"

// ServerInfo is a server as this vault has pinned it.
type ServerInfo struct {
	Name    string `json:"name"`
	Addr    string `json:"addr"`
	Pin     string `json:"pin"`
	Signers int    `json:"signers"`

	Threshold int    `json:"threshold"`
	MinRoot   string `json:"min_root"`
	Version   uint64 `json:"manifest_version"`
}

// AddServer pins a server: its TLS key from the pairing code, who may sign its
// manifest and how many of them must (0: all), and the weakest root that is accepted. Nothing is sent.
//
// Without signers the server is pinned for storage only: project ciphertext
// may go there, a job may not. Signers and root can be added to such a pin
// once; any other change of what is pinned is refused with ErrPin.
func (a *App) AddServer(name string, code api.Code, signers []ed25519.PublicKey, threshold int, minRoot attest.RootKind) (ServerInfo, error) {
	if threshold < 1 {
		threshold = max(len(signers), 1)
	}
	if IsNode(name) {
		return ServerInfo{}, fmt.Errorf("%w: server %q: a name that begins with %s is that of a node", ErrInput, name, NodePrefix)
	}
	n := vault.Server{Addr: code.Addr, Pin: code.Pin, Pinned: vault.Pinned{Product: Product, Threshold: threshold}, Added: a.Now().Unix()}
	for _, k := range signers {
		n.Signers = append(n.Signers, bytes.Clone(k))
	}
	if len(signers) > 0 {
		n.MinRoot = uint8(minRoot)
	}
	err := a.update(func(s *vault.State) error {
		old, ok := s.Servers[name]
		if ok && len(old.Signers) == 0 {
			old.Signers, old.Threshold, old.MinRoot = n.Signers, n.Threshold, n.MinRoot
		}
		if ok && len(signers) == 0 {
			n.Signers, n.Threshold, n.MinRoot = old.Signers, old.Threshold, old.MinRoot
		}
		if why := changed(old, n); ok && why != "" {
			return fmt.Errorf("%w: server %q: %s; if this is meant, give the new server another name", ErrPin, name, why)
		}
		if ok {
			n.Added, n.Version, n.Log, n.AKName, n.Machine = old.Added, old.Version, old.Log, old.AKName, old.Machine
		}
		s.Servers[name] = n
		return nil
	})
	if err == nil {
		a.forget(name)
	}
	return info(name, n), err
}

// forget closes the pools of a server whose pin changed.
func (a *App) forget(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, c := range a.clients {
		if k.server == name {
			c.Close()
			delete(a.clients, k)
		}
	}
}

// changed says which pinned fact differs, "" if none does.
func changed(old, n vault.Server) string {
	switch {
	case old.Addr != n.Addr:
		return fmt.Sprintf("address was %s, now %s", old.Addr, n.Addr)
	case old.Pin != n.Pin:
		return fmt.Sprintf("TLS key was %s, now %s", pinText(old.Pin), pinText(n.Pin))
	}
	return differs(old.Pinned, n.Pinned)
}

// pinText writes a pin as pairing codes do.
func pinText(pin [32]byte) string { return base64.RawURLEncoding.EncodeToString(pin[:]) }

func info(name string, s vault.Server) ServerInfo {
	return ServerInfo{Name: name, Addr: s.Addr, Pin: pinText(s.Pin), Signers: len(s.Signers), Threshold: s.Threshold, MinRoot: attest.RootKind(s.MinRoot).String(), Version: s.Version}
}

// Servers lists the pinned servers, by name.
func (a *App) Servers() ([]ServerInfo, error) {
	var out []ServerInfo
	err := a.view(func(s vault.State) {
		for name, v := range s.Servers {
			out = append(out, info(name, v))
		}
	})
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, err
}

// Attest opens a fresh connection to a pinned server, demands evidence and
// judges it. When the verdict is not OK the error wraps attest.ErrRefused, the
// verdict is still returned, and nothing but the challenge was sent.
//
// Of a node, named by NodeName, the project is asked through which it was pinned.
func (a *App) Attest(ctx context.Context, name string) (*attest.Verdict, error) {
	if IsNode(name) {
		return a.attestKnown(ctx, name)
	}
	c, err := a.attested(name)
	if err != nil {
		return nil, err
	}
	start := time.Now() // how long it took is of the machine, not of the App's clock
	v, err := c.Attest(ctx)
	if v != nil {
		a.board.timed(name, time.Since(start))
	}
	if changed := a.identityChanged(name, v); changed != nil {
		err = fmt.Errorf("%w; %w", changed, err)
	}
	a.board.judged(Judged{Server: name, Verdict: v, Err: err, At: a.Now()})
	return v, err
}

// MayLose asks an attested server whether its store may lose what it
// acknowledged.
func (a *App) MayLose(ctx context.Context, name string) (bool, error) {
	c, err := a.attested(name)
	if err != nil {
		return false, err
	}
	m, err := c.Meta(ctx)
	return m.MayLose, err
}

// retire takes a pool out of use whose policy is not the newest any more: its
// next connections would accept an older manifest. What runs on it ends there.
func (a *App) retire(k clientKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c, ok := a.clients[k]; ok {
		a.retired = append(a.retired, c)
		delete(a.clients, k)
	}
}

// clientKey names a pool of connections.
type clientKey struct {
	server   string
	attested bool
}

// store returns the pool of connections that carry project ciphertext and
// public facts: the server's key must be the pinned one, and nothing that goes
// over them needs more trust.
func (a *App) store(name string) (*api.Client, error) { return a.client(clientKey{name, false}) }

// attested returns the pool of connections that carry jobs. Each is attested
// before anything else is said on it.
func (a *App) attested(name string) (*api.Client, error) { return a.client(clientKey{name, true}) }

func (a *App) client(k clientKey) (*api.Client, error) {
	v, me, err := a.opened()
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if c, ok := a.clients[k]; ok {
		return c, nil
	}
	var s vault.Server
	var ok bool
	v.View(func(st vault.State) { s, ok = st.Servers[k.server] })
	if !ok {
		return nil, fmt.Errorf("%w: server %q; pin it first: server add CODE", ErrName, k.server)
	}
	cfg := api.Config{Addr: s.Addr, Pin: s.Pin, UID: me.Account.UID, Device: me.Device, Account: me.Account.Raw, Links: me.Account.Links, Now: a.cfg.Now}
	if k.attested {
		if len(s.Signers) == 0 {
			return nil, fmt.Errorf("%w: server %q is pinned for storage only; say whose manifests you accept: server add CODE --signer KEY --root KIND", ErrInput, k.server)
		}
		p := policyOf(s.Pinned, s.Log)
		cfg.Policy = &p
	}
	cfg.OnVerdict = func(v *attest.Verdict, t *channel.Transcript) {
		// Also a verdict that a pool reached by itself moves what is known. A
		// vault that cannot be saved says so at the next command.
		_ = a.noteVerdict(k.server, v, t)
	}
	cfg.OnPromise = a.onPromise(k.server)
	c := api.New(cfg)
	a.clients[k] = c
	return c, nil
}
