package tlog

import (
	"fmt"
	"math"

	"golang.org/x/mod/sumdb/tlog"

	"cipherdeck/crypto/id"
)

// maxPath bounds a proof: no tree of 2^63 leaves is deeper.
const maxPath = 63

// LeafHash is the Merkle hash of a leaf.
func LeafHash(leaf []byte) id.ID { return id.ID(tlog.RecordHash(leaf)) }

// Included checks that the leaf with this hash is number index of the tree that
// c commits to. Errors wrap ErrProof.
func (c Checkpoint) Included(index uint64, leaf id.ID, path []id.ID) error {
	if index >= c.Size || len(path) > maxPath {
		return fmt.Errorf("%w: leaf %d of a log of %d, %d hashes", ErrProof, index, c.Size, len(path))
	}
	if err := tlog.CheckRecord(hashes(path), int64(c.Size), tlog.Hash(c.Root), int64(index), tlog.Hash(leaf)); err != nil {
		return fmt.Errorf("%w: leaf %d is not under the checkpoint of %d leaves", ErrProof, index, c.Size)
	}
	return nil
}

// Continues checks that the tree of size and root is a beginning of c's. Every
// tree continues the empty one. Errors wrap ErrProof.
func (c Checkpoint) Continues(size uint64, root id.ID, path []id.ID) error {
	switch {
	case size > c.Size || size > math.MaxInt64 || len(path) > maxPath:
		return fmt.Errorf("%w: from %d to %d leaves, %d hashes", ErrProof, size, c.Size, len(path))
	case size == 0 || size == c.Size:
		if len(path) != 0 || size != 0 && root != c.Root {
			return fmt.Errorf("%w: two roots of one log of %d leaves", ErrProof, size)
		}
		return nil
	}
	if err := tlog.CheckTree(hashes(path), int64(c.Size), tlog.Hash(c.Root), int64(size), tlog.Hash(root)); err != nil {
		return fmt.Errorf("%w: the log of %d leaves does not continue the one of %d", ErrProof, c.Size, size)
	}
	return nil
}

func hashes(path []id.ID) []tlog.Hash {
	out := make([]tlog.Hash, len(path))
	for i, h := range path {
		out[i] = tlog.Hash(h)
	}
	return out
}

// Frontier is the roots of the full subtrees of a tree, the smallest first: all
// that is needed to go on adding leaves, and to say the root. Whoever follows a
// log leaf by leaf needs no proof of anything.
type Frontier struct {
	Size  uint64  `cbor:"1,keyasint"`
	Nodes []id.ID `cbor:"2,keyasint"`
}

// Add appends the leaf with this hash.
func (f *Frontier) Add(leaf id.ID) {
	h := tlog.Hash(leaf)
	n := f.Size
	for ; n&1 == 1; n >>= 1 {
		h = tlog.NodeHash(tlog.Hash(f.Nodes[0]), h)
		f.Nodes = f.Nodes[1:]
	}
	f.Nodes = append([]id.ID{id.ID(h)}, f.Nodes...)
	f.Size++
}

// Root is the root of the tree.
func (f *Frontier) Root() id.ID {
	if len(f.Nodes) == 0 {
		return id.Of(nil) // RFC 6962: the hash of nothing
	}
	h := tlog.Hash(f.Nodes[0])
	for _, left := range f.Nodes[1:] {
		h = tlog.NodeHash(tlog.Hash(left), h)
	}
	return id.ID(h)
}
