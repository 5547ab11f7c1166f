// Package words turns bytes that people must compare into words that they can
// read to each other.
//
// A fingerprint is 8 words of the EFF's large list (7776 words, chosen to be
// easy to hear and to type): 8·log2(7776) = 103 bits. All 7776 words are used,
// because a subset of 2048 in alphabetical order would begin with a to d only.
// Words are drawn without bias: 13-bit numbers from a stream of hashes, those
// from 7776 up thrown away.
//
// The hash is stretched by 2^16 rounds of SHA-256, so that each attempt at a
// second key with the same words costs 2^16 hashes, and finding one 2^119.
// Where an attacker may choose both sides, as somebody between two people who
// compare one Pair, a collision is enough: about 2^68 hashes. People who need
// more compare the full key ids too.
//
// No word is the beginning of another, even with hyphens left out, so words
// that run together are still unambiguous. That is what lets Equal ignore
// spaces, hyphens and case. The one exception is the pair "yo-yo" and "yoyo",
// which also sound alike: Equal takes them for the same word, which costs two
// thousandths of a bit.
package words

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"cipherdeck/crypto/doc"
)

//go:embed eff_large.txt
var effLarge string

const (
	domain = "cipherdeck/words/v1"

	// ListSize is the number of words a passphrase is drawn from: each adds
	// log2(7776) = 12.92 bits.
	ListSize = 7776
	// FingerprintWords is the number of words of a fingerprint.
	FingerprintWords = 8
	// MaxPassphrase bounds n of Passphrase.
	MaxPassphrase = 64

	rounds    = 1 << 16
	drawBits  = 13 // the least with 2^13 = 8192 ≥ 7776
	drawLimit = 1<<drawBits - 1
)

// ErrCount is wrapped by Passphrase when n is not 1 to MaxPassphrase.
var ErrCount = errors.New("number of words out of range")

// Fingerprint is 8 words for b, in lower case with single spaces. It takes a
// few milliseconds on purpose; do not call it for each row of a list.
//
//	h0 = SHA-256(LP("cipherdeck/words/v1") ‖ b), h = SHA-256 applied to h0 2^16 times
//	stream = SHA-256(h ‖ u32 0) ‖ SHA-256(h ‖ u32 1) ‖ …, read as big-endian u16
//	draw = u16 mod 2^13; skip draws ≥ 7776; the first 8 others index the list
func Fingerprint(b []byte) string {
	h := sha256.Sum256(append(doc.LP([]byte(domain)), b...))
	for range rounds {
		h = sha256.Sum256(h[:])
	}
	s, err := draw(&stream{seed: h}, FingerprintWords)
	if err != nil { // a stream of hashes has no end and no error
		panic("words: " + err.Error())
	}
	return s
}

// Pair is the fingerprint of two parties' bytes together, the same whoever
// computes it: Fingerprint(LP(lesser) ‖ LP(greater)).
func Pair(a, b []byte) string {
	if bytes.Compare(a, b) > 0 {
		a, b = b, a
	}
	return Fingerprint(doc.LP(a, b))
}

// Equal reports whether x and y are the same words, ignoring case, spaces and
// hyphens, in time that depends on their lengths only. Nothing is equal to
// the empty string, not even itself: an answer left blank proves nothing.
func Equal(x, y string) bool {
	a, b := letters(x), letters(y)
	return len(a) > 0 && subtle.ConstantTimeCompare(a, b) == 1
}

// Passphrase draws n words from random, each of the 7776 as likely as any
// other: 12.92 bits a word, so 6 words are 77 bits. Words are joined by
// single spaces. Errors wrap ErrCount or the reader's error.
func Passphrase(random io.Reader, n int) (string, error) {
	if n < 1 || n > MaxPassphrase {
		return "", fmt.Errorf("passphrase of %d words: %w: want 1 to %d", n, ErrCount, MaxPassphrase)
	}
	s, err := draw(random, n)
	if err != nil {
		return "", fmt.Errorf("passphrase: read random bytes: %w", err)
	}
	return s, nil
}

// List is the EFF's large list, sorted: what Passphrase draws from.
func List() []string { return strings.Fields(effLarge) }

// draw picks n words by rejection: taking a number modulo 7776 instead would
// favour the first words of the list.
func draw(r io.Reader, n int) (string, error) {
	list := strings.Fields(effLarge)
	picked := make([]string, 0, n)
	var b [2]byte
	for len(picked) < n {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return "", err
		}
		if i := int(binary.BigEndian.Uint16(b[:])) & drawLimit; i < len(list) {
			picked = append(picked, list[i])
		}
	}
	clear(b[:])
	return strings.Join(picked, " "), nil
}

// stream expands a seed to as many bytes as are read: SHA-256 in counter mode.
type stream struct {
	seed    [sha256.Size]byte
	counter uint32
	rest    []byte
}

func (s *stream) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		block := sha256.Sum256(binary.BigEndian.AppendUint32(s.seed[:], s.counter))
		s.counter++
		s.rest = block[:]
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func letters(s string) []byte {
	keep := func(r rune) rune {
		if unicode.IsSpace(r) || r == '-' {
			return -1
		}
		return unicode.ToLower(r)
	}
	return []byte(strings.Map(keep, s))
}
