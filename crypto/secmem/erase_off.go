//go:build !goexperiment.runtimesecret

package secmem

// Do calls f. Built with GOEXPERIMENT=runtimesecret (make secret) it also has the
// runtime erase what f left in registers, on the stack and on the heap.
func Do(f func()) { f() }

// Erases tells whether this program was built so that Do erases.
func Erases() bool { return false }
