package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
	"cipherdeck/remote/store/file"
)

// treeState is what the tree's library remembers of its size.
type treeState struct {
	Size uint64 `json:"size"`
	Root []byte `json:"root"`
}

func statePath(dir string) string { return filepath.Join(dir, ".state", "treeState") }

// damaged tells whoever runs the server that something was wrong and is mended.
func (l *Log) damaged(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	l.opt.Log.Error("journal: damage was found and mended from the second copy", "what", what)
	if l.opt.OnDamage != nil {
		l.opt.OnDamage(what)
	}
}

// load reads both copies of the leaves, chooses between them where they differ,
// holds the result against the root, mends what was wrong and starts the spool.
func (l *Log) load() error {
	path, dir := filepath.Join(l.opt.Dir, leavesFile), filepath.Join(l.opt.Dir, treeDir)
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	state, c, err := l.committed(dir)
	if err != nil {
		return err
	}
	leaves, sound, err := merge(raw, bundled(dir, state.Size), hashed(dir, state.Size))
	if err != nil {
		return err
	}
	if err := l.hold(leaves, &state, c, dir); err != nil {
		return err
	}
	if !sound {
		l.damaged("%s, the file of leaves", path)
		var whole []byte
		for _, leaf := range leaves {
			whole = appendFrame(whole, leaf)
		}
		if err := file.Write(path, whole); err != nil {
			return err
		}
	}
	if err := l.mend(leaves[:state.Size], dir); err != nil {
		return err
	}
	var offs []int64
	var end int64
	for at, leaf := range leaves {
		offs = append(offs, end)
		end += frameHead + int64(len(leaf))
		l.index.add(uint64(at), leaf)
	}
	if left := int64(len(raw)) - end; sound && left > 0 {
		l.opt.Log.Warn("journal: the end of the file of leaves was never confirmed and is dropped", "bytes", left)
	}
	l.size = state.Size
	l.spool, err = newSpool(path, offs, end)
	return err
}

// committed is what the tree says of itself: its size and root, and the newest
// checkpoint; either may be missing in a new or a damaged one.
func (l *Log) committed(dir string) (s treeState, c tlog.Checkpoint, err error) {
	raw, err := os.ReadFile(statePath(dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, c, err
	}
	bad := err == nil && (json.Unmarshal(raw, &s) != nil || s.Size > 1<<40)
	if bad {
		s = treeState{}
	}
	signed, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if errors.Is(err, fs.ErrNotExist) {
		return s, c, nil
	}
	if err != nil {
		return s, c, err
	}
	if c, err = tlog.OpenCheckpoint(signed, l.signer.Key); err != nil {
		if origin, e := tlog.OriginOf(signed); e == nil && origin != l.signer.Key.Name && !bad {
			return s, c, fmt.Errorf("%w: the tree is the log %q, and this server's is %q; is %s from another one?", ErrDamaged, origin, l.signer.Key.Name, dir)
		}
		l.damaged("%s: %v", filepath.Join(dir, "checkpoint"), err)
		c = tlog.Checkpoint{}
		return s, c, os.Remove(filepath.Join(dir, "checkpoint")) // it is made again
	}
	if s.Size < c.Size {
		s.Size = c.Size // the state is damaged or of an older day; hold compares the roots
	}
	return s, c, nil
}

// merge makes one list of the file of leaves and the bundles of the tree, whose
// hashes decide where the two differ. sound is false when the file must be
// written anew.
func merge(file []byte, tree [][]byte, hashes []id.ID) (leaves [][]byte, sound bool, err error) {
	sound = true
	for at, twin := range tree {
		leaf, rest, ok := cutFrame(file)
		switch {
		case ok && bytes.Equal(leaf, twin):
			file = rest
		case ok && (twin == nil || tlog.LeafHash(leaf) == hashes[at] || tlog.LeafHash(twin) != hashes[at]):
			file = rest // the bundle is wrong, or both hashes are: hold decides
		case twin != nil:
			sound = false
			switch n := frameHead + len(twin); {
			case ok:
				file = rest
			case n <= len(file): // its length is damaged, or its content
				file = file[n:]
			default:
				file = nil
			}
			leaf = twin
		default:
			return nil, false, fmt.Errorf("%w: leaf %d, in the file of leaves and in its bundle", ErrDamaged, at)
		}
		leaves = append(leaves, bytes.Clone(leaf))
	}
	for {
		leaf, rest, ok := cutFrame(file)
		if !ok {
			return leaves, sound, nil
		}
		leaves, file = append(leaves, bytes.Clone(leaf)), rest
	}
}

// hold checks the leaves against the signed checkpoint and the tree's own state.
// The checkpoint is what others have seen: it must hold.
func (l *Log) hold(leaves [][]byte, s *treeState, c tlog.Checkpoint, dir string) error {
	if s.Size == 0 {
		return nil
	}
	var f tlog.Frontier
	roots := map[uint64]id.ID{}
	for _, leaf := range leaves[:s.Size] {
		f.Add(tlog.LeafHash(leaf))
		if f.Size == c.Size || f.Size == s.Size {
			roots[f.Size] = f.Root()
		}
	}
	if c.Size > 0 && roots[c.Size] != c.Root {
		return fmt.Errorf("%w: the leaves do not have the root that was signed for the first %d of them", ErrDamaged, c.Size)
	}
	root := roots[s.Size]
	if bytes.Equal(root[:], s.Root) {
		return nil
	}
	if c.Size == 0 {
		return fmt.Errorf("%w: the leaves do not have the root of %s, and there is no checkpoint", ErrDamaged, statePath(dir))
	}
	l.damaged("%s", statePath(dir))
	s.Size, s.Root = c.Size, c.Root[:]
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return file.Write(statePath(dir), raw)
}

// mend compares every file of the tree with what the leaves make of it, and
// writes those that differ.
func (l *Log) mend(leaves [][]byte, dir string) error {
	for name, want := range files(leaves) {
		path := filepath.Join(dir, name)
		have, err := os.ReadFile(path)
		if err == nil && bytes.Equal(have, want) {
			continue
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		l.damaged("%s", path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := file.Write(path, want); err != nil {
			return err
		}
	}
	return nil
}

// Verify compares the two copies while the journal is in use, and mends what
// differs. Errors wrap ErrDamaged when there is nothing to mend it from.
func (l *Log) Verify(ctx context.Context) (err error) {
	ask := l.between(ctx, func() { err = l.verify() })
	return errors.Join(ask, err)
}

func (l *Log) verify() error {
	dir := filepath.Join(l.opt.Dir, treeDir)
	size := l.treeSize()
	twins := bundled(dir, size)
	c, err := l.Checkpoint(context.Background())
	if err != nil {
		return err
	}
	leaves := make([][]byte, size)
	var f tlog.Frontier
	for at := range leaves {
		if leaves[at], err = l.spool.read(uint64(at)); err != nil {
			if err := l.rewrite(uint64(at), twins); err != nil {
				return err
			}
			leaves[at] = twins[at]
		}
		f.Add(tlog.LeafHash(leaves[at]))
		if f.Size == c.Size && f.Root() != c.Root {
			return fmt.Errorf("%w: the leaves do not have the root that was signed for the first %d of them", ErrDamaged, c.Size)
		}
	}
	return l.mend(leaves, dir)
}

// rewrite puts leaf at of the file back from its twin in the tree.
func (l *Log) rewrite(at uint64, twins [][]byte) error {
	twin := twins[at]
	l.mu.Lock()
	known := twin != nil && slices.Contains(l.index.object[objectOf(twin)], at)
	l.mu.Unlock()
	if !known {
		return fmt.Errorf("%w: leaf %d, in the file of leaves and in its bundle", ErrDamaged, at)
	}
	l.damaged("%s, leaf %d", filepath.Join(l.opt.Dir, leavesFile), at)
	return l.spool.put(at, twin)
}

func objectOf(leaf []byte) id.ID {
	l, _ := tlog.OpenLeaf(leaf)
	return l.Object
}

// put writes a leaf again where it is, if it has the length it had.
func (s *spool) put(at uint64, leaf []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	off, end := s.offs[at], s.end
	if at+1 < uint64(len(s.offs)) {
		end = s.offs[at+1]
	}
	if end-off != int64(frameHead+len(leaf)) {
		return fmt.Errorf("%w: leaf %d has another length in its bundle", ErrDamaged, at)
	}
	if _, err := s.f.WriteAt(appendFrame(nil, leaf), off); err != nil {
		return err
	}
	return s.f.Sync()
}
