//go:build !cgo || !unix

package main

import (
	"fmt"
	"os"

	"cipherdeck/vault/pkcs11/wire"
)

// main says that this program cannot do what it is for. Without cgo no library
// can be loaded; the rest of cipherdeck is built without it.
func main() {
	const text = "cipherdeck-pkcs11 was built without cgo, or not for Unix: build it with make pkcs11"
	_ = wire.Write(os.Stdout, wire.Reply{Code: wire.NoCgo, Text: text}, nil)
	fmt.Fprintln(os.Stderr, text)
	os.Exit(1)
}
