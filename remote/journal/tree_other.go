//go:build !unix

package journal

import (
	"context"
	"errors"
	"fmt"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
)

// tree does not exist here: the library needs locks that this system lacks.
type tree struct{}

func openTree(context.Context, Options, *tlog.Signer, string) (*tree, error) {
	return nil, fmt.Errorf("a server's journal: %w on this system", errors.ErrUnsupported)
}

func (t *tree) add([][]byte) (uint64, error)               { return 0, errors.ErrUnsupported }
func (t *tree) checkpoint(context.Context) ([]byte, error) { return nil, errors.ErrUnsupported }
func (t *tree) inclusion(context.Context, uint64, uint64) ([]id.ID, error) {
	return nil, errors.ErrUnsupported
}
func (t *tree) consistency(context.Context, uint64, uint64) ([]id.ID, error) {
	return nil, errors.ErrUnsupported
}
func (t *tree) close() error { return nil }
