package app

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"cipherdeck/attest"
	"cipherdeck/crypto/chain"
	"cipherdeck/vault"
)

// A pinned machine has a name: that which I gave a server, or NodeName of a
// node. What is known of it is looked up and changed by that name only, so that
// drift, history, suspension and identity are one code for both.

// NodePrefix begins the name of a node; no server is called so.
const NodePrefix = "node:"

// NodeName is the name of a node among the pinned machines.
func NodeName(uid chain.UID) string { return NodePrefix + uid.String() }

// IsNode reports whether a name is one of NodeName.
func IsNode(name string) bool { return strings.HasPrefix(name, NodePrefix) }

// called is what errors and verdicts call a machine.
func called(name string) string {
	if uid, ok := strings.CutPrefix(name, NodePrefix); ok {
		return "node " + chainShort(uid)
	}
	return fmt.Sprintf("server %q", name)
}

// pinOf is what a machine is held to, and what is known of the journal that its
// manifests may have to be in: its server's. Errors wrap ErrName.
func pinOf(s vault.State, name string) (vault.Pinned, vault.ServerLog, error) {
	if uid, ok := strings.CutPrefix(name, NodePrefix); ok {
		n, ok := s.Nodes[uid]
		if !ok {
			return vault.Pinned{}, vault.ServerLog{}, fmt.Errorf("%w: node %q; attest it first: node attest PROJECT UID", ErrName, uid)
		}
		return n.Pinned, s.Servers[s.Projects[n.Project].Server].Log, nil
	}
	n, ok := s.Servers[name]
	if !ok {
		return vault.Pinned{}, vault.ServerLog{}, fmt.Errorf("%w: server %q; pin it first: server add CODE", ErrName, name)
	}
	return n.Pinned, n.Log, nil
}

func (a *App) pin(name string) (p vault.Pinned, l vault.ServerLog, err error) {
	if verr := a.view(func(s vault.State) { p, l, err = pinOf(s, name) }); verr != nil {
		err = verr
	}
	return p, l, err
}

// policy is what a machine is held to now.
func (a *App) policy(name string) (attest.Policy, error) {
	p, l, err := a.pin(name)
	return policyOf(p, l), err
}

// changePin changes what is known of a machine.
func (a *App) changePin(name string, change func(*vault.Pinned)) error {
	return a.update(func(s *vault.State) error {
		p, _, err := pinOf(*s, name)
		if err != nil {
			return err
		}
		change(&p)
		if uid, ok := strings.CutPrefix(name, NodePrefix); ok {
			n := s.Nodes[uid]
			n.Pinned = p
			s.Nodes[uid] = n
			return nil
		}
		n := s.Servers[name]
		n.Pinned = p
		s.Servers[name] = n
		return nil
	})
}

// differs says which fact of a pin differs, "" if none does.
func differs(old, n vault.Pinned) string {
	switch {
	case old.MinRoot != n.MinRoot:
		return fmt.Sprintf("required root was %s, now %s", attest.RootKind(old.MinRoot), attest.RootKind(n.MinRoot))
	case old.Threshold != n.Threshold:
		return fmt.Sprintf("%d signatures were needed, now %d", old.Threshold, n.Threshold)
	case !slices.EqualFunc(old.Signers, n.Signers, bytes.Equal):
		return "the manifest signers differ"
	}
	return ""
}
