package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"strings"

	"cipherdeck/vault/shamir"
)

// A share on paper is 60 bytes: version 1 ‖ vault id 16 ‖ slot id 4 ‖ k ‖ n ‖ x ‖
// y 32 ‖ 4 of the SHA-256 of all before. That is 96 letters of base32 (RFC 4648
// section 6) with nothing over.
const (
	shareVersion = 1
	shareSize    = 1 + idSize + 4 + 3 + keySize + 4
	labelShare   = "cipherdeck/vault/v2/share"
)

// Group makes a slot that k of n people open together: Slot is given to Create
// or AddSlot, then Shares has one text for each of them.
type Group struct {
	k, n   int
	shares []string
}

// NewGroup is a group of n of whom k are needed. The numbers are checked when
// the slot is made: 2 ≤ k ≤ n ≤ 16.
func NewGroup(k, n int) *Group { return &Group{k: k, n: n} }

// Slot is the group's slot. Making it fails with ErrSlot.
func (g *Group) Slot() NewSlot {
	return NewSlot{Label: "shares", fill: func(_ context.Context, vault [idSize]byte, h *slotHeader) ([]byte, func(), error) {
		if g.k < 2 || g.k > g.n || g.n > shamir.MaxShares {
			return nil, nothing, fmt.Errorf("%w: %d of %d shares, want 2 ≤ k ≤ n ≤ %d", ErrSlot, g.k, g.n, shamir.MaxShares)
		}
		h.Type, h.Data = SlotGroup, []byte{byte(g.k), byte(g.n)}
		secret := make([]byte, keySize)
		rand.Read(secret)
		dealt, err := shamir.Split(rand.Reader, secret, g.k, g.n)
		if err != nil {
			return nil, nothing, err
		}
		g.shares = nil
		for _, s := range dealt {
			g.shares = append(g.shares, writeShare(vault, *h, s))
			clear(s.Y)
		}
		return secret, func() { g.shares = nil }, nil
	}}
}

// Shares is the texts, one for each person: 96 letters in groups of four. It is
// empty before the slot is made, and if that failed.
func (g *Group) Shares() []string { return g.shares }

// checkGroup judges the data of a group slot: k and n.
func checkGroup(data []byte) error {
	if len(data) != 2 || data[0] < 2 || data[0] > data[1] || data[1] > shamir.MaxShares {
		return fmt.Errorf("%w: field data of a group slot is not k and n with 2 ≤ k ≤ n ≤ %d", ErrSlot, shamir.MaxShares)
	}
	return nil
}

func writeShare(vault [idSize]byte, h slotHeader, s shamir.Share) string {
	b := bytes.Join([][]byte{{shareVersion}, vault[:], h.ID[:], h.Data, {s.X}, s.Y}, nil)
	sum := shareSum(b)
	b = append(b, sum[:4]...)
	defer clear(b)
	text := base32.StdEncoding.EncodeToString(b)
	var groups []string
	for ; text != ""; text = text[4:] {
		groups = append(groups, text[:4])
	}
	return strings.Join(groups, "-")
}

func shareSum(b []byte) [32]byte { return sha256.Sum256(append([]byte(labelShare), b...)) }

// ShareInfo is what a share says about itself, without the vault.
type ShareInfo struct {
	Vault    string // as Vault.ID
	Slot     string // as SlotInfo.ID
	Number   int    // of this share, from 1
	Need, Of int
}

// parsedShare is a share with what it says about itself.
type parsedShare struct {
	ShareInfo
	shamir.Share
}

// ReadShare tells what a share is for, and that it is well written. Errors wrap
// ErrCode.
func ReadShare(text string) (ShareInfo, error) {
	s, err := parseShare(text)
	clear(s.Y)
	return s.ShareInfo, err
}

// parseShare reads a share in any case and with any spaces and hyphens.
func parseShare(text string) (parsedShare, error) {
	plain := strings.ToUpper(strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return r == '-' || r == ' ' || r == '\t' || r == '\r' || r == '\n'
	}), ""))
	if len(plain) != shareSize*8/5 {
		return parsedShare{}, fmt.Errorf("%w: the share has %d characters, want %d", ErrCode, len(plain), shareSize*8/5)
	}
	b, err := base32.StdEncoding.DecodeString(plain)
	if err != nil || len(b) != shareSize {
		return parsedShare{}, fmt.Errorf("%w: the share has a character that is not A to Z or 2 to 7", ErrCode)
	}
	if sum := shareSum(b[:shareSize-4]); !bytes.Equal(sum[:4], b[shareSize-4:]) {
		return parsedShare{}, fmt.Errorf("%w: a character of the share is mistyped", ErrCode)
	}
	r := &reader{b: b}
	if v := r.take(1)[0]; v != shareVersion {
		return parsedShare{}, fmt.Errorf("%w: the share has format %d, want %d", ErrCode, v, shareVersion)
	}
	var s parsedShare
	s.Vault = hex.EncodeToString(r.take(idSize))
	s.Slot = hex.EncodeToString(r.take(4))
	kn, x := r.take(2), r.take(1)[0]
	s.Need, s.Of, s.Number = int(kn[0]), int(kn[1]), int(x)
	s.Share = shamir.Share{X: x, Y: r.take(keySize)}
	if err := checkGroup(kn); err != nil || x < 1 || x > kn[1] {
		return parsedShare{}, fmt.Errorf("%w: share %d of %d, %d needed, cannot be", ErrCode, x, kn[1], kn[0])
	}
	return s, nil
}

// Shares unlocks with as many shares as the group needs, or more. Open fails
// with ErrCode for a mistyped share or one of another vault, with ErrShares for
// too few, one twice, or shares of different groups.
func Shares(texts ...string) Unlocker { return shares(texts) }

type shares []string

func (u shares) unlock(_ context.Context, f *file) (opened, error) {
	var at *slot
	set := map[byte]shamir.Share{}
	for i, text := range u {
		s, err := parseShare(text)
		if err != nil {
			return opened{}, fmt.Errorf("share %d of those given: %w", i+1, err)
		}
		defer clear(s.Y)
		if s.Vault != hex.EncodeToString(f.id[:]) {
			return opened{}, fmt.Errorf("share %d of those given: %w: it is of vault %s", i+1, ErrCode, s.Vault)
		}
		n := f.find(s.Slot)
		if n < 0 || f.slots[n].Type != SlotGroup {
			return opened{}, fmt.Errorf("share %d of those given: %w: slot %s is not there any more", i+1, ErrNoSlot, s.Slot)
		}
		if at != nil && at.name() != s.Slot {
			return opened{}, fmt.Errorf("%w: they are of slot %s and slot %s", ErrShares, at.name(), s.Slot)
		}
		at = &f.slots[n]
		if other, twice := set[s.X]; twice && !bytes.Equal(other.Y, s.Y) {
			return opened{}, fmt.Errorf("%w: there are two different shares %d", ErrShares, s.X)
		}
		set[s.X] = s.Share
	}
	if at == nil {
		return opened{}, fmt.Errorf("%w: none was given", ErrShares)
	}
	return combine(f, *at, set)
}

func combine(f *file, s slot, set map[byte]shamir.Share) (opened, error) {
	need := int(s.Data[0])
	if len(set) < need {
		return opened{}, fmt.Errorf("%w: %d different ones, %d are needed", ErrShares, len(set), need)
	}
	var list []shamir.Share
	for _, sh := range set {
		list = append(list, sh)
	}
	secret, err := shamir.Combine(list)
	if err != nil {
		return opened{}, fmt.Errorf("%w: %w", ErrShares, err)
	}
	o, ok := f.try(s, secret)
	if !ok {
		return opened{}, fmt.Errorf("%w: one of them is forged, or of a slot that was replaced", ErrShares)
	}
	return o, nil
}

// ShareKit is the page for the holder of one share, as Kit is for a code. It
// is given only if the share belongs to a slot of the vault as it is now; that
// the shares open it is proved by TestSlot with enough of them. Errors wrap
// ErrCode, ErrNoSlot or ErrClosed.
func (v *Vault) ShareKit(share string) (string, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.key == nil {
		return "", ErrClosed
	}
	info, err := ReadShare(share)
	if err != nil {
		return "", err
	}
	if info.Vault != v.ID() {
		return "", fmt.Errorf("%w: it is of vault %s", ErrCode, info.Vault)
	}
	for _, s := range v.slots {
		if s.name() == info.Slot && s.Type == SlotGroup {
			letters := strings.Split(strings.ToUpper(strings.TrimSpace(share)), "-")
			return v.page(fmt.Sprintf("SHARE %d OF %d", info.Number, info.Of), info.Slot, s.info().Created,
				fmt.Sprintf("SHARE %d: any %d of the %d open the vault; %d or fewer tell nothing.\n\n%s",
					info.Number, info.Need, info.Of, info.Need-1, lines(letters))), nil
		}
	}
	return "", fmt.Errorf("%w: slot %s", ErrNoSlot, info.Slot)
}

// lines sets groups of letters in lines of six.
func lines(groups []string) string {
	var b strings.Builder
	for i := 0; i < len(groups); i += 6 {
		fmt.Fprintf(&b, "    %s\n", strings.Join(groups[i:min(i+6, len(groups))], "-"))
	}
	return b.String()
}
