package file

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
)

// List walks the two levels of directories. A blob that goes meanwhile is left
// out; what is not named like a blob, in the place of its name, is none.
func (b *Blobs) List(ctx context.Context) iter.Seq2[store.BlobInfo, error] {
	return func(yield func(store.BlobInfo, error) bool) {
		for leaf, err := range b.leaves() {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(store.BlobInfo{}, fmt.Errorf("list blobs: %w: %w", store.ErrUnavailable, err))
				return
			}
			if !b.listLeaf(leaf, yield) {
				return
			}
		}
	}
}

// leaves are the directories ROOT/ab/cd.
func (b *Blobs) leaves() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		top, err := os.ReadDir(b.root)
		if err != nil {
			yield("", err)
			return
		}
		for _, first := range top {
			if len(first.Name()) != 2 || !first.IsDir() {
				continue
			}
			second, err := os.ReadDir(filepath.Join(b.root, first.Name()))
			if err != nil && !yield("", err) {
				return
			}
			for _, leaf := range second {
				if leaf.IsDir() && !yield(filepath.Join(b.root, first.Name(), leaf.Name()), nil) {
					return
				}
			}
		}
	}
}

func (b *Blobs) listLeaf(leaf string, yield func(store.BlobInfo, error) bool) bool {
	entries, err := os.ReadDir(leaf)
	if err != nil {
		yield(store.BlobInfo{}, fmt.Errorf("list blobs: %w: %w", store.ErrUnavailable, err))
		return false
	}
	for _, e := range entries {
		var i id.ID
		if n, err := hex.Decode(i[:], []byte(e.Name())); err != nil || n != len(i) || b.path(i) != filepath.Join(leaf, e.Name()) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			yield(store.BlobInfo{}, fmt.Errorf("blob %s: %w: %w", i, store.ErrUnavailable, err))
			return false
		}
		if !yield(store.BlobInfo{ID: i, Size: info.Size(), At: info.ModTime()}, nil) {
			return false
		}
	}
	return true
}
