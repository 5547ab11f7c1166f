package seal

import "errors"

// The errors that this package wraps; tell them apart with errors.Is.
var (
	ErrNotContainer = errors.New("not a cipherdeck container")
	ErrVersion      = errors.New("container is of a version or has features that this program does not know")
	ErrHeader       = errors.New("container header is malformed")
	ErrTruncated    = errors.New("container is cut off")
	ErrAuth         = errors.New("container was changed or damaged")
	ErrNotRecipient = errors.New("container is not addressed to this identity")
	ErrByPassphrase = errors.New("container is opened by a passphrase")
	ErrPassphrase   = errors.New("wrong passphrase")
	ErrRecipients   = errors.New("recipients cannot be used")
	ErrMeta         = errors.New("facts about the file cannot be stored")
	ErrExists       = errors.New("output exists already")
	ErrSameFile     = errors.New("input and output are the same file")
	ErrNotArchive   = errors.New("container holds one file, not a directory")
	ErrSuite        = errors.New("container of AES-256-CBC has no random access")
	ErrChanged      = errors.New("file was changed by somebody else meanwhile")
	ErrNotRegular   = errors.New("input is not a regular file")
)
