//go:build !unix

package witness

import (
	"errors"
	"fmt"
)

func lock(string) (func() error, error) {
	return nil, fmt.Errorf("a witness: %w on this system", errors.ErrUnsupported)
}
