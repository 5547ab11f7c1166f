package vault

import "time"

// KernelKeyring is a key in the user-session keyring of the Linux kernel, where
// no service has to run: for machines without a desktop. It ends with the user's
// last session, or after life, to be given in whole seconds. Every process of
// the same user can read it.
//
// It is for Vault.Remember and Remembered, with a name such as "vault-" and the
// FileID: what ends with the session is no slot. Errors are those of OSKeyring.
func KernelKeyring(name string, life time.Duration) KernelEntry {
	return KernelEntry{"cipherdeck-" + name, life}
}

// KernelEntry is one key in the kernel's keyring.
type KernelEntry struct {
	name string
	life time.Duration
}

// Entry is the name of the key.
func (e KernelEntry) Entry() string { return e.name }
