package seal

// The types of stanza of version 1.
const (
	TypeHybrid     = 1 // RSA-OAEP and X-Wing together, the default
	TypeXWing      = 2 // X-Wing alone
	TypeRSA        = 3 // RSA-OAEP alone: not post-quantum, for keys kept in hardware
	TypePassphrase = 4 // Argon2id, the only stanza of its container
	TypeEpoch      = 5 // the key of a project epoch
)

const domain = "cipherdeck/container/v1"

// Stanza is the file key as one recipient gets it.
type Stanza struct {
	Type, Flags uint8 // Flags are 0 in version 1
	Body        []byte
}

// FileKey is the random key of one container.
type FileKey [keySize]byte

// String hides the key, so that no log or error can show it by accident.
func (FileKey) String() string { return "seal.FileKey(hidden)" }

// GoString hides the key from %#v.
func (k FileKey) GoString() string { return k.String() }

// FileID is the random name of one container, in clear in its header.
type FileID [16]byte

// Recipient makes the stanza that gives somebody the file key.
type Recipient interface {
	Wrap(k FileKey, f FileID) (Stanza, error)
}

// Identity opens stanzas. Errors wrap ErrNotRecipient for a stanza that is
// somebody else's, ErrAuth or ErrPassphrase for one that does not open.
type Identity interface {
	Unwrap(s Stanza, f FileID) (FileKey, error)
}
