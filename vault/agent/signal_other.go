//go:build !unix

package agent

import "os"

func hangups() (<-chan os.Signal, func()) { return nil, func() {} }
