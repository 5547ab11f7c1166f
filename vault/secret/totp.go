package secret

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"hash"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// totp is the parameters of RFC 6238.
type totp struct {
	key    []byte
	hash   func() hash.Hash
	digits int   // 6 to 8
	period int64 // seconds
}

// Code is the code of a TOTP secret, or of a login with a field totp, at the
// time now, and for how long it is valid (RFC 6238; T0 = 0). Errors wrap
// ErrKind or ErrInvalid.
func (s Secret) Code(now time.Time) (code string, left time.Duration, err error) {
	if !s.hasTOTP() {
		return "", 0, fmt.Errorf("%w: %s has no seed for codes", ErrKind, s.Kind)
	}
	p, err := totpOf(s)
	if err != nil {
		return "", 0, err
	}
	defer clear(p.key)
	t := now.Unix()
	if t < 0 {
		return "", 0, fmt.Errorf("%w: the clock is before 1970", ErrInvalid)
	}
	end := time.Unix((t/p.period+1)*p.period, 0)
	return p.at(uint64(t / p.period)), end.Sub(now), nil
}

func (s Secret) hasTOTP() bool {
	return s.Kind == TOTP || s.Kind == Login && len(s.Fields["totp"]) > 0
}

// at is HOTP (RFC 4226 section 5.3) of a counter.
func (p totp) at(counter uint64) string {
	m := hmac.New(p.hash, p.key)
	m.Write(binary.BigEndian.AppendUint64(nil, counter))
	sum := m.Sum(nil)
	off := sum[len(sum)-1] & 15
	n := binary.BigEndian.Uint32(sum[off:]) & 0x7fffffff
	mod := uint32(1)
	for range p.digits {
		mod *= 10
	}
	return fmt.Sprintf("%0*d", p.digits, n%mod)
}

func totpOf(s Secret) (totp, error) {
	seed := s.Fields["secret"]
	if s.Kind == Login {
		seed, s.Fields = s.Fields["totp"], nil // a login has the usual parameters
	}
	key, err := decodeSeed(seed)
	if err != nil {
		return totp{}, err
	}
	p := totp{key: key, hash: sha1.New}
	switch a := strings.ToUpper(string(s.Fields["algorithm"])); a {
	case "", "SHA1":
	case "SHA256":
		p.hash = sha256.New
	case "SHA512":
		p.hash = sha512.New
	default:
		return totp{}, fmt.Errorf("%w: field algorithm is not SHA1, SHA256 or SHA512", ErrInvalid)
	}
	digits, err := number(s, "digits", 6, 6, 8)
	if err != nil {
		return totp{}, err
	}
	p.digits = int(digits)
	p.period, err = number(s, "period", 30, 1, 3600)
	return p, err
}

// decodeSeed reads base32 as sites print it: in groups, in any case, with or
// without padding.
func decodeSeed(text []byte) ([]byte, error) {
	plain := strings.ToUpper(strings.NewReplacer(" ", "", "-", "", "=", "").Replace(string(text)))
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(plain)
	if err != nil || len(key) < 10 || len(key) > 128 { // 80 bits is what some sites still give
		return nil, fmt.Errorf("%w: the seed for codes is not 10 to 128 bytes in base32", ErrInvalid)
	}
	return key, nil
}

func number(s Secret, field string, usual, least, most int64) (int64, error) {
	text, ok := s.Fields[field]
	if !ok || len(text) == 0 {
		return usual, nil
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%w: field %s is not a number from %d to %d", ErrInvalid, field, least, most)
	}
	return n, nil
}

// ParseOTPAuth reads the text of the QR code that a site shows
// (otpauth://totp/Issuer:account?secret=…, the "Key Uri Format" of Google
// Authenticator). Errors wrap ErrInvalid and do not repeat the text.
func ParseOTPAuth(text string) (Secret, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "otpauth" || u.Host != "totp" {
		return Secret{}, fmt.Errorf("%w: not an otpauth://totp/ address", ErrInvalid)
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Secret{}, fmt.Errorf("%w: otpauth address has a damaged query", ErrInvalid)
	}
	s := Secret{Kind: TOTP, Fields: map[string][]byte{}}
	put := func(field, value string) {
		if value != "" {
			s.Fields[field] = []byte(value)
		}
	}
	label := strings.TrimPrefix(u.Path, "/")
	issuer, account, both := strings.Cut(label, ":")
	if !both {
		issuer, account = "", label
	}
	put("issuer", issuer)
	put("account", strings.TrimSpace(account))
	for _, f := range []string{"secret", "issuer", "algorithm", "digits", "period"} {
		if len(q[f]) > 1 {
			return Secret{}, fmt.Errorf("%w: otpauth address has %s twice", ErrInvalid, f)
		}
		put(f, q.Get(f))
	}
	return s, s.Check()
}
