package api

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// ErrCode is wrapped by ParseCode.
var ErrCode = errors.New("not a pairing code: want host:port#key, as the server prints it")

// Code is what a person carries from the server to a client: where it is, and
// the hash of its TLS key, which is everything that is trusted at first.
type Code struct {
	Addr string   // host:port
	Pin  [32]byte // SHA-256 of the SubjectPublicKeyInfo
}

// String is "host:port#" and the pin in base64url.
func (c Code) String() string {
	return c.Addr + "#" + base64.RawURLEncoding.EncodeToString(c.Pin[:])
}

// ParseCode reads what String writes. Errors wrap ErrCode and name the part.
func ParseCode(s string) (Code, error) {
	addr, pin, ok := strings.Cut(strings.TrimSpace(s), "#")
	if !ok {
		return Code{}, fmt.Errorf("%w: there is no # in it", ErrCode)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "" || strings.ContainsAny(host, " \t/@") {
		return Code{}, fmt.Errorf("%w: the address before # is not host:port", ErrCode)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return Code{}, fmt.Errorf("%w: the port is not a number from 1 to 65535", ErrCode)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(pin)
	if err != nil || len(raw) != 32 {
		return Code{}, fmt.Errorf("%w: the key after # is not 43 characters of base64url", ErrCode)
	}
	return Code{Addr: addr, Pin: [32]byte(raw)}, nil
}
