//go:build !unix

package device

import "fmt"

func openPath(path string) (*Device, error) {
	return nil, fmt.Errorf("%w: %s: devices are opened on unix only", ErrSpec, path)
}

func openSwtpm(string) (*Device, error) {
	return nil, fmt.Errorf("%w: swtpm runs on unix only", ErrSpec)
}
