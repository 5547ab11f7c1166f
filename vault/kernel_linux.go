package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// kernelRing is the user-session keyring: all sessions of the user share it, and
// the kernel drops it after the last of them (user-session-keyring(7)).
const kernelRing = unix.KEY_SPEC_USER_SESSION_KEYRING

// kernelPerm lets processes of the same user find, read and remove the key
// (keyctl_setperm(3)); their sessions need not have been there when it was added.
const kernelPerm = 0x3f000000 | 0x003f0000

// Get reads the key. Errors wrap ErrKeyring and one of its causes.
func (e KernelEntry) Get(ctx context.Context) ([]byte, error) {
	id, err := e.find(ctx)
	if err != nil {
		return nil, err
	}
	secret := make([]byte, keySize+1)
	n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, id, secret, 0)
	if err != nil {
		return nil, e.wrap(err)
	}
	if n != keySize { // n is the whole length, also when it does not fit
		clear(secret)
		return nil, fmt.Errorf("%w, kernel key %s: %w: %d bytes", ErrKeyring, e.name, ErrKeyringMismatch, n)
	}
	return secret[:keySize], nil
}

// Set adds the key, or gives it another value and its whole life again. Errors
// wrap ErrKeyring and one of its causes.
func (e KernelEntry) Set(ctx context.Context, secret []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	id, err := unix.AddKey("user", e.name, secret, kernelRing)
	if err != nil {
		return e.wrap(err)
	}
	seconds := max(1, int(e.life/time.Second))
	if _, err = unix.KeyctlInt(unix.KEYCTL_SET_TIMEOUT, id, seconds, 0, 0); err == nil {
		err = unix.KeyctlSetperm(id, kernelPerm)
	}
	if err != nil { // without an end it must not stay
		_, _ = unix.KeyctlInt(unix.KEYCTL_UNLINK, id, kernelRing, 0, 0)
		return e.wrap(err)
	}
	return nil
}

// Delete removes the key. Errors wrap ErrKeyring and one of its causes.
func (e KernelEntry) Delete(ctx context.Context) error {
	id, err := e.find(ctx)
	if err != nil {
		return err
	}
	_, err = unix.KeyctlInt(unix.KEYCTL_UNLINK, id, kernelRing, 0, 0)
	return e.wrap(err)
}

func (e KernelEntry) find(ctx context.Context) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	id, err := unix.KeyctlSearch(kernelRing, "user", e.name, 0)
	return id, e.wrap(err)
}

// wrap names an error of the kernel's keyring.
func (e KernelEntry) wrap(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOKEY), errors.Is(err, unix.EKEYEXPIRED), errors.Is(err, unix.EKEYREVOKED):
		err = ErrKeyringMissing
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM): // containers forbid the call
		err = fmt.Errorf("%w: the kernel or the container's filter has none: %v", ErrKeyringAbsent, err)
	case errors.Is(err, unix.EACCES):
		err = fmt.Errorf("%w: %v", ErrKeyringDenied, err)
	}
	return fmt.Errorf("%w, kernel key %s: %w", ErrKeyring, e.name, err)
}
