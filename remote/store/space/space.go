// Package space stops writers before a disk is full. Who meets a full disk in
// the middle of a write may be left with half of it, or, like JetStream, turn
// itself off; who asks first loses nothing and goes on when there is room.
package space

import (
	"errors"
	"fmt"
)

// ErrFull is wrapped when a disk has less room than its reserve.
var ErrFull = errors.New("the disk is nearly full")

// most is the reserve on a large disk: room for the blocks that engines
// rewrite, and for an operator to act in.
const most = 64 << 20

// reserve is what is kept free of a disk: an eighth of it, but no more than
// most.
func reserve(size uint64) uint64 { return min(size/8, most) }

// Check fails with ErrFull, and names the folder, when the disk below dir has
// less room than its reserve.
func Check(dir string) error {
	free, size, err := Of(dir)
	if err != nil {
		return fmt.Errorf("room on the disk of %s: %w", dir, err)
	}
	if want := reserve(size); free < want {
		return fmt.Errorf("%w: %s has %d MiB free, and %d MiB stay reserved: free space there", ErrFull, dir, free>>20, want>>20)
	}
	return nil
}
