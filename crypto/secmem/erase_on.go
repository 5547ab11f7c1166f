//go:build goexperiment.runtimesecret

package secmem

import "runtime/secret"

// Do calls f and has the runtime erase the registers and the stack that f used,
// and what f allocated once nothing refers to it (runtime/secret, an experiment
// of Go 1.26 on Linux for amd64 and arm64). Goroutines that f starts are not
// covered, Argon2id's among them.
func Do(f func()) { secret.Do(f) }

// Erases tells whether this program was built so that Do erases.
func Erases() bool { return true }
