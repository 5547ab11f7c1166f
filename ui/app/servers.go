package app

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"sort"

	"cipherdeck/attest"
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
	MinRoot string `json:"min_root"`
	Version uint64 `json:"manifest_version"`
}

// AddServer pins a server: its TLS key from the pairing code, who may sign its
// manifest, and the weakest root that is accepted. Nothing is sent. A name
// that is pinned already can be added again only with the same facts.
func (a *App) AddServer(name string, code api.Code, signers []ed25519.PublicKey, minRoot attest.RootKind) (ServerInfo, error) {
	if len(signers) == 0 {
		return ServerInfo{}, fmt.Errorf("%w: name at least one key whose manifests you accept", ErrInput)
	}
	n := vault.Server{Addr: code.Addr, Pin: code.Pin, Product: Product, Threshold: 1, MinRoot: uint8(minRoot), Added: a.Now().Unix()}
	for _, k := range signers {
		n.Signers = append(n.Signers, bytes.Clone(k))
	}
	err := a.update(func(s *vault.State) error {
		old, ok := s.Servers[name]
		if ok {
			if why := changed(old, n); why != "" {
				return fmt.Errorf("%w: server %q: %s; if this is meant, give the new server another name", ErrPin, name, why)
			}
			return nil
		}
		s.Servers[name] = n
		return nil
	})
	return info(name, n), err
}

// changed says which pinned fact differs, "" if none does.
func changed(old, n vault.Server) string {
	switch {
	case old.Addr != n.Addr:
		return fmt.Sprintf("address was %s, now %s", old.Addr, n.Addr)
	case old.Pin != n.Pin:
		return fmt.Sprintf("TLS key was %s, now %s", api.PinText(old.Pin), api.PinText(n.Pin))
	case old.MinRoot != n.MinRoot:
		return fmt.Sprintf("required root was %s, now %s", attest.RootKind(old.MinRoot), attest.RootKind(n.MinRoot))
	case len(old.Signers) != len(n.Signers):
		return "the manifest signers differ"
	}
	for i := range old.Signers {
		if !bytes.Equal(old.Signers[i], n.Signers[i]) {
			return "the manifest signers differ"
		}
	}
	return ""
}

func info(name string, s vault.Server) ServerInfo {
	return ServerInfo{Name: name, Addr: s.Addr, Pin: api.PinText(s.Pin), Signers: len(s.Signers), MinRoot: attest.RootKind(s.MinRoot).String(), Version: s.Version}
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
func (a *App) Attest(ctx context.Context, name string) (*attest.Verdict, error) {
	c, err := a.client(name)
	if err != nil {
		return nil, err
	}
	v, err := c.Attest(ctx)
	if err != nil {
		return v, err
	}
	return v, a.noteVersion(name, v)
}

// noteVersion remembers the highest manifest version, so that there is no way
// back to an older release.
func (a *App) noteVersion(name string, v *attest.Verdict) error {
	known := uint64(0)
	if err := a.view(func(s vault.State) { known = s.Servers[name].Version }); err != nil || known >= v.Version {
		return err
	}
	return a.update(func(s *vault.State) error {
		e, ok := s.Servers[name]
		if ok && e.Version < v.Version {
			e.Version = v.Version
			s.Servers[name] = e
		}
		return nil
	})
}

// client returns the connection pool to a pinned server. Every connection in
// it is attested before anything else is said on it.
func (a *App) client(name string) (*api.Client, error) {
	v, me, err := a.opened()
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if c, ok := a.clients[name]; ok {
		return c, nil
	}
	var s vault.Server
	var ok bool
	v.View(func(st vault.State) { s, ok = st.Servers[name] })
	if !ok {
		return nil, fmt.Errorf("%w: server %q; pin it first: server add CODE", ErrName, name)
	}
	c, err := api.New(api.Config{
		Addr: s.Addr, Pin: s.Pin, UID: me.Account.UID, Device: me.Device, Account: me.Account.Raw, Now: a.cfg.Now,
		Policy: &attest.Policy{Product: s.Product, Signers: s.Signers, Threshold: s.Threshold, MinRoot: attest.RootKind(s.MinRoot), MinVersion: s.Version},
	})
	if err != nil {
		return nil, err
	}
	a.clients[name] = c
	return c, nil
}
