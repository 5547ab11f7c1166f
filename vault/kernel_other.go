//go:build !linux

package vault

import (
	"context"
	"fmt"
)

func (e KernelEntry) absent() error {
	return fmt.Errorf("%w, kernel key %s: %w: only Linux has one", ErrKeyring, e.name, ErrKeyringAbsent)
}

// Get fails with ErrKeyringAbsent: only Linux has a keyring in its kernel.
func (e KernelEntry) Get(context.Context) ([]byte, error) { return nil, e.absent() }

// Set fails with ErrKeyringAbsent.
func (e KernelEntry) Set(context.Context, []byte) error { return e.absent() }

// Delete fails with ErrKeyringAbsent.
func (e KernelEntry) Delete(context.Context) error { return e.absent() }
