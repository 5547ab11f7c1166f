package app

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/channel"
	"cipherdeck/crypto/chain"
	"cipherdeck/vault"
	"cipherdeck/vault/project"
)

// A node is held to signers and to a root as a server is. It has no address:
// the server of a project carries the question and the answer, and is not
// believed (attest/channel, node.go). No verdict on the server covers a node.

// NodeHold is what a person holds a node to. What is zero is as of the server
// of the project, when the node is asked for the first time.
type NodeHold struct {
	Signers   []ed25519.PublicKey
	Threshold int             // with Signers, 0: all of them
	Root      attest.RootKind // with Signers, 0: hardware
}

// NodeInfo is a node as this vault has pinned it.
type NodeInfo struct {
	UID       string `json:"uid"`
	Name      string `json:"name"` // as its account says
	Server    string `json:"server"`
	Project   string `json:"project"`
	Signers   int    `json:"signers"`
	Threshold int    `json:"threshold"`
	MinRoot   string `json:"min_root"`
	Version   uint64 `json:"manifest_version"`
	Verdict   string `json:"verdict"` // the newest that was written down, "" for none
	AK        string `json:"attestation_key_name"`
	Held      string `json:"suspended"`
}

// HoldNode pins what a node is held to. first tells that it was not pinned
// before; then it is held to what h leaves out as the server of p is. Any later
// change is refused with ErrPin. The node is not asked.
func (a *App) HoldNode(ctx context.Context, p *project.Project, uid chain.UID, h NodeHold) (n NodeInfo, first bool, err error) {
	acc, err := a.nodeAccount(ctx, p, uid)
	if err != nil {
		return n, false, err
	}
	if first, err = a.holdNode(p.ID().String(), acc, h); err != nil {
		return n, first, err
	}
	err = a.view(func(s vault.State) { n = nodeInfo(s, uid.String()) })
	return n, first, err
}

func (a *App) holdNode(pid string, acc *chain.Account, h NodeHold) (first bool, err error) {
	uid := acc.UID.String()
	var n vault.Node
	var server string
	var srv vault.Server
	known := false
	if err := a.view(func(s vault.State) {
		n, known = s.Nodes[uid]
		server = s.Projects[pid].Server
		srv = s.Servers[server]
	}); err != nil {
		return false, err
	}
	old := n.Pinned
	if !known {
		old = vault.Pinned{Product: Product, Signers: srv.Signers, Threshold: srv.Threshold, MinRoot: srv.MinRoot}
		if len(h.Signers) > 0 && h.Root == 0 {
			h.Root = attest.RootHardware
		}
		n = vault.Node{Added: a.Now().Unix()}
	}
	n.Pinned = h.over(old)
	switch why := differs(old, n.Pinned); {
	case known && why != "":
		return false, fmt.Errorf("%w: %s: %s; if this is meant: node forget %s", ErrPin, called(NodeName(acc.UID)), why, uid)
	case len(n.Signers) == 0:
		return true, fmt.Errorf("%w: nobody's manifests are accepted for %s, nor for server %q: say whose are: node attest PROJECT %s --signer KEY --root KIND", ErrInput, called(NodeName(acc.UID)), server, uid)
	case n.Threshold > len(n.Signers):
		return true, fmt.Errorf("%w: --threshold %d: there are %d signers", ErrInput, n.Threshold, len(n.Signers))
	case known && n.Project == pid && n.Name == acc.Name:
		return false, nil
	}
	n.Name, n.Project = acc.Name, pid
	return !known, a.update(func(s *vault.State) error {
		s.Nodes[uid] = n
		return nil
	})
}

// over is p with what h says instead.
func (h NodeHold) over(p vault.Pinned) vault.Pinned {
	if len(h.Signers) > 0 {
		p.Signers, p.Threshold = nil, len(h.Signers)
		for _, k := range h.Signers {
			p.Signers = append(p.Signers, bytes.Clone(k))
		}
	}
	if h.Threshold > 0 {
		p.Threshold = h.Threshold
	}
	if h.Root != 0 {
		p.MinRoot = uint8(h.Root)
	}
	return p
}

// nodeAccount is the account of a node. Its uid is the hash of what it signed
// first, so the server cannot give the key of another one.
func (a *App) nodeAccount(ctx context.Context, p *project.Project, uid chain.UID) (*chain.Account, error) {
	server, err := a.ServerOf(p)
	if err != nil {
		return nil, err
	}
	acc, _, err := a.account(ctx, server, uid)
	if err == nil && acc.Kind != chain.Node {
		err = fmt.Errorf("%w: %s is a person, no node", ErrInput, uid)
	}
	return acc, err
}

// carry is the way to a node, through the server of a project. What goes there
// is a challenge, and a random secret under the key of the node's TPM: nothing
// for which the server would have to prove itself first.
func (a *App) carry(ctx context.Context, p *project.Project, uid chain.UID) (channel.Carry, error) {
	server, err := a.ServerOf(p)
	if err != nil {
		return nil, err
	}
	c, _, err := a.storeAs(ctx, server)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, kind string, body []byte) ([]byte, error) {
		return c.Project(p.ID()).AskNode(ctx, uid, kind, body)
	}, nil
}

// AttestNode makes a node prove what it runs. One that was not pinned before is
// held to what the server of p is held to. Errors are those of Attest, and those
// of api.Project.AskNode when no answer came.
func (a *App) AttestNode(ctx context.Context, p *project.Project, uid chain.UID) (*attest.Verdict, error) {
	acc, err := a.nodeAccount(ctx, p, uid)
	if err != nil {
		return nil, err
	}
	carry, err := a.carry(ctx, p, uid)
	if err != nil {
		return nil, err
	}
	return a.attestNode(ctx, p.ID().String(), acc, carry)
}

// attestKnown attests a pinned node through the project by which it was asked
// last.
func (a *App) attestKnown(ctx context.Context, name string) (*attest.Verdict, error) {
	if _, _, err := a.pin(name); err != nil {
		return nil, err
	}
	uid, err := chain.ParseUID(strings.TrimPrefix(name, NodePrefix))
	if err != nil {
		return nil, err
	}
	var pid string
	if err := a.view(func(s vault.State) { pid = s.Nodes[uid.String()].Project }); err != nil {
		return nil, err
	}
	p, err := a.Project(ctx, pid)
	if err != nil {
		return nil, err
	}
	return a.AttestNode(ctx, p, uid)
}

func (a *App) attestNode(ctx context.Context, pid string, acc *chain.Account, carry channel.Carry) (*attest.Verdict, error) {
	if _, err := a.holdNode(pid, acc, NodeHold{}); err != nil {
		return nil, err
	}
	name := NodeName(acc.UID)
	policy, err := a.policy(name)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	v, t, err := channel.AskNode(ctx, carry, channel.NodeName{UID: acc.UID[:], Key: acc.Device}, policy, called(name), a.Now())
	if v != nil {
		if noted := a.noteVerdict(name, v, t); err == nil {
			err = noted // what is not written down suspends nothing
		}
		if changed := a.identityChanged(name, v); changed != nil {
			err = fmt.Errorf("%w; %w", changed, err)
		}
		a.board.timed(name, time.Since(start))
	}
	a.board.judged(Judged{Server: name, Verdict: v, Err: err, At: a.Now()})
	return v, err
}

// Nodes lists the pinned nodes, by name and user id.
func (a *App) Nodes() (out []NodeInfo, err error) {
	err = a.view(func(s vault.State) {
		for uid := range s.Nodes {
			out = append(out, nodeInfo(s, uid))
		}
	})
	slices.SortFunc(out, func(a, b NodeInfo) int { return strings.Compare(a.Name+" "+a.UID, b.Name+" "+b.UID) })
	return out, err
}

func nodeInfo(s vault.State, uid string) NodeInfo {
	n := s.Nodes[uid]
	prj := s.Projects[n.Project]
	i := NodeInfo{UID: uid, Name: n.Name, Server: prj.Server, Project: prj.Name, Signers: len(n.Signers), Threshold: n.Threshold,
		MinRoot: attest.RootKind(n.MinRoot).String(), Version: n.Version, Held: n.Machine.Held}
	if len(n.AKName) > 0 {
		i.AK = fmt.Sprintf("%x", n.AKName)
	}
	if h := n.Machine.History; len(h) > 0 {
		i.Verdict = h[len(h)-1].Word
	}
	return i
}

// NodeUID is the pinned node that text names: by user id, or by its name when no
// other pinned node has the same.
func (a *App) NodeUID(text string) (chain.UID, error) {
	uid, bad := chain.ParseUID(text)
	if bad == nil {
		return uid, nil
	}
	all, err := a.Nodes()
	if err != nil {
		return uid, err
	}
	all = slices.DeleteFunc(all, func(n NodeInfo) bool { return n.Name != text })
	if len(all) != 1 {
		return uid, fmt.Errorf("%w; and %d pinned nodes are called %q: node list", bad, len(all), text)
	}
	return chain.ParseUID(all[0].UID)
}

// ForgetNode takes away all that is known of a node: what it is held to, its
// identity, its history, and that its jobs were suspended.
func (a *App) ForgetNode(uid chain.UID) error {
	return a.update(func(s *vault.State) error {
		if _, ok := s.Nodes[uid.String()]; !ok {
			return fmt.Errorf("%w: node %q is not pinned", ErrName, uid)
		}
		delete(s.Nodes, uid.String())
		return nil
	})
}
