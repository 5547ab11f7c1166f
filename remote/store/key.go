package store

import (
	"fmt"
	"strings"
)

// MaxKey is the longest key in bytes.
const MaxKey = 512

// CheckKey reports ErrKey unless key is segments of [A-Za-z0-9_-] joined by "/".
// Every engine calls it, so that no engine takes a key another one refuses.
func CheckKey(key string) error {
	if len(key) > MaxKey {
		return fmt.Errorf("%w: %d bytes, limit %d", ErrKey, len(key), MaxKey)
	}
	for seg := range strings.SplitSeq(key, "/") {
		if seg == "" || strings.IndexFunc(seg, illegal) >= 0 {
			return fmt.Errorf("%w: %q", ErrKey, key)
		}
	}
	return nil
}

// CheckPrefix reports ErrKey unless prefix is "" or whole segments, and
// returns it with a trailing "/" unless it is "".
func CheckPrefix(prefix string) (string, error) {
	p := strings.TrimSuffix(prefix, "/")
	if p == "" && prefix == "" {
		return "", nil
	}
	return p + "/", CheckKey(p)
}

func illegal(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
}
