//go:build !linux

package space

import "math"

// Of knows nothing here: serving is tested on Linux.
func Of(string) (free, size uint64, err error) { return math.MaxUint64, math.MaxUint64, nil }
