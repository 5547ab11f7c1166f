package vault

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha512"
	"fmt"
	"strings"
)

// A recovery code is 26 random letters of 5 bits, 130 bits, and 2 that check
// them. It needs no stretching: 2^130 guesses are out of reach.
const (
	codeLetters = 26
	// crockford is base 32 without I, L, O and U (crockford.com/base32.html).
	crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	// codePrime is the largest prime that two letters can hold. Modulo a prime
	// every single wrong letter and every exchange of two of the 26 is noticed.
	codePrime = 1021

	labelRecovery = "cipherdeck/vault/v2/recovery"
)

// NewRecoveryCode draws a code: 28 letters and digits in groups of four. The
// caller shows it once, to be written down, and wipes it.
func NewRecoveryCode() []byte {
	var random [codeLetters]byte
	rand.Read(random[:])
	defer clear(random[:])
	values := make([]byte, 0, codeLetters+2)
	for _, b := range random {
		values = append(values, b&31) // 256 is a multiple of 32: no bias
	}
	defer clear(values[:codeLetters])
	sum := codeSum(values)
	values = append(values, byte(sum>>5), byte(sum&31))
	out := make([]byte, 0, 34)
	for i, v := range values {
		if i > 0 && i%4 == 0 {
			out = append(out, '-')
		}
		out = append(out, crockford[v])
	}
	return out
}

// codeSum is the sum of i·value(i), i from 1, modulo codePrime.
func codeSum(values []byte) (sum int) {
	for i, v := range values {
		sum += (i + 1) * int(v)
	}
	return sum % codePrime
}

// parseCode reads a code as people write it: any case, any spaces and hyphens,
// O for 0 and I or L for 1. It returns the 26 values. Errors wrap ErrCode and
// do not repeat the code.
func parseCode(code []byte) ([]byte, error) {
	values := make([]byte, 0, codeLetters+2)
	for _, c := range code {
		switch {
		case c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		case c == '-', c == ' ', c == '\t', c == '\r', c == '\n':
			continue
		}
		switch c {
		case 'O':
			c = '0'
		case 'I', 'L':
			c = '1'
		}
		v := strings.IndexByte(crockford, c)
		if v < 0 {
			return nil, fmt.Errorf("%w: character %d is not used in recovery codes", ErrCode, len(values)+1)
		}
		if len(values) == codeLetters+2 {
			return nil, fmt.Errorf("%w: longer than the %d characters of a recovery code", ErrCode, codeLetters+2)
		}
		values = append(values, byte(v))
	}
	if len(values) != codeLetters+2 {
		return nil, fmt.Errorf("%w: %d characters, a recovery code has %d", ErrCode, len(values), codeLetters+2)
	}
	if codeSum(values[:codeLetters]) != int(values[codeLetters])<<5|int(values[codeLetters+1]) {
		return nil, fmt.Errorf("%w: a character of the recovery code is mistyped", ErrCode)
	}
	return values[:codeLetters], nil
}

// recoverySecret is HKDF-SHA-512(the 26 values, salt of the slot, label, 32).
func recoverySecret(code []byte, salt [16]byte) ([]byte, error) {
	values, err := parseCode(code)
	if err != nil {
		return nil, err
	}
	defer clear(values)
	return hkdf.Key(sha512.New, values, salt[:], labelRecovery, keySize)
}

// RecoverySlot is a slot that a code of NewRecoveryCode opens. Errors wrap
// ErrCode. When it is made, Vault.Kit gives the text to print.
func RecoverySlot(code []byte) NewSlot {
	return NewSlot{Label: "recovery code", fill: func(_ context.Context, _ [idSize]byte, h *slotHeader) ([]byte, func(), error) {
		h.Type = SlotRecovery
		secret, err := recoverySecret(code, h.Salt)
		return secret, nothing, err
	}}
}

// Recovery unlocks with a recovery code. The caller wipes code after Open.
// Open fails with ErrCode for a mistyped code and for a code of another vault.
func Recovery(code []byte) Unlocker { return recovery(code) }

type recovery []byte

func (u recovery) unlock(_ context.Context, f *file) (opened, error) {
	result := ErrNoSlot
	for _, s := range f.slots {
		if s.Type != SlotRecovery {
			continue
		}
		secret, err := recoverySecret(u, s.Salt)
		if err != nil {
			return opened{}, err
		}
		if o, ok := f.try(s, secret); ok {
			return o, nil
		}
		result = fmt.Errorf("%w: the recovery code is well written, but of another vault or replaced since", ErrCode)
	}
	return opened{}, result
}
