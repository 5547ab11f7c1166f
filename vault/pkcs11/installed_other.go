//go:build !unix

package pkcs11

import "fmt"

// installed cannot tell here who may change a file.
func installed(path string) (string, error) {
	return "", fmt.Errorf("%w: the slot names %q, which cannot be examined on this system: name the library yourself", ErrModule, path)
}
