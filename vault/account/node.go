package account

import (
	"crypto/ed25519"
	"crypto/hpke"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"filippo.io/mldsa"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/keys"
	"cipherdeck/vault/private"
)

// The errors of a node's file.
var (
	ErrNodeFile   = errors.New("not a node identity file")
	ErrNodeExists = errors.New("node identity exists already")
)

// nodeMagic begins a node's file; CBOR of NodeKeys follows.
const nodeMagic = "cipherdeck node v1\n"

// maxNodeFile is the genesis and some room.
const maxNodeFile = 2 * chain.MaxGenesis

// NodeKeys is a compute node's identity as it is kept.
type NodeKeys struct {
	Name    string    `cbor:"1,keyasint"`
	Seed    keys.Seed `cbor:"2,keyasint"`
	Genesis []byte    `cbor:"3,keyasint"` // signed account genesis of kind node
}

// String hides the seed, so that no log or error can show it by accident.
func (NodeKeys) String() string { return "account.NodeKeys(hidden)" }

// GoString hides the seed from %#v.
func (k NodeKeys) GoString() string { return k.String() }

// Node is a compute node's identity in use.
type Node struct {
	Account *chain.Account
	Device  ed25519.PrivateKey // signs results
	XWing   hpke.PrivateKey    // opens the inputs of sealed jobs
}

// String hides the keys, so that no log or error can show them by accident.
func (Node) String() string { return "account.Node(hidden)" }

// GoString hides the keys from %#v.
func (n Node) GoString() string { return n.String() }

// NewNode makes a node. rand gives its seed (crypto/rand.Reader outside tests).
// Errors wrap chain.ErrAccount for a name that chain.CheckName refuses.
func NewNode(rand io.Reader, name string) (NodeKeys, error) {
	seed, err := keys.NewSeed(rand)
	if err != nil {
		return NodeKeys{}, err
	}
	d, err := deviceKeys(seed)
	if err != nil {
		return NodeKeys{}, err
	}
	a, err := chain.NewAccount(chain.Node, name, time.Now().UnixMilli(), nil, d.sign, d.kem.PublicKey().Bytes())
	if err != nil {
		return NodeKeys{}, err
	}
	return NodeKeys{Name: name, Seed: seed, Genesis: a.Raw}, nil
}

// Load verifies the genesis and gives the keys. Errors wrap chain.ErrAccount or
// ErrMismatch.
func (k NodeKeys) Load() (*Node, error) {
	a, err := chain.OpenAccount(k.Genesis)
	if err != nil {
		return nil, err
	}
	if a.Kind != chain.Node {
		return nil, fmt.Errorf("%w: the genesis is of a %s, want a node", ErrMismatch, a.Kind)
	}
	if a.Name != k.Name {
		return nil, fmt.Errorf("%w: name %q, the genesis has %q", ErrMismatch, k.Name, a.Name)
	}
	d, err := deviceKeys(k.Seed)
	if err != nil {
		return nil, err
	}
	if err := d.match(a); err != nil {
		return nil, err
	}
	return &Node{Account: a, Device: d.sign, XWing: d.kem}, nil
}

// SaveNode writes the identity to a new file with mode 0600. An identity that
// is there is never overwritten. Errors wrap ErrNodeExists or
// private.ErrPermissions.
func SaveNode(path string, k NodeKeys) error {
	if err := private.Dir(filepath.Dir(path)); err != nil {
		return err
	}
	unlock, err := private.Lock(path)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s: %w", path, ErrNodeExists), err)
	}
	b, err := doc.Encode(k)
	if err != nil {
		return err
	}
	defer clear(b)
	return private.Write(path, append([]byte(nodeMagic), b...), "", func(back []byte) error {
		_, err := parseNode(back)
		return err
	})
}

// LoadNode reads what SaveNode wrote. Errors wrap fs.ErrNotExist,
// private.ErrPermissions, ErrNodeFile, or are those of NodeKeys.Load.
func LoadNode(path string) (NodeKeys, error) {
	b, err := private.Read(path, maxNodeFile)
	if errors.Is(err, private.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", ErrNodeFile, err)
	}
	if err != nil {
		return NodeKeys{}, err
	}
	defer clear(b)
	k, err := parseNode(b)
	if err != nil {
		return NodeKeys{}, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

func parseNode(b []byte) (NodeKeys, error) {
	var k NodeKeys
	if len(b) < len(nodeMagic) || string(b[:len(nodeMagic)]) != nodeMagic {
		return k, ErrNodeFile
	}
	if err := doc.Decode(b[len(nodeMagic):], &k); err != nil {
		return NodeKeys{}, fmt.Errorf("%w: %w", ErrNodeFile, err)
	}
	if _, err := k.Load(); err != nil {
		return NodeKeys{}, fmt.Errorf("%w: %w", ErrNodeFile, err)
	}
	return k, nil
}

// device is what one seed gives a device or a node.
type device struct {
	sign ed25519.PrivateKey
	pq   *mldsa.PrivateKey
	kem  hpke.PrivateKey
}

func deviceKeys(s keys.Seed) (device, error) {
	sign, err := keys.Ed25519(s)
	if err != nil {
		return device{}, err
	}
	pq, err := keys.MLDSA(s)
	if err != nil {
		return device{}, err
	}
	kem, err := keys.XWing(s)
	return device{sign, pq, kem}, err
}
