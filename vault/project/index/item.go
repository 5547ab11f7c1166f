package index

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"
)

// Kind is what an item is for.
type Kind string

// The kinds of item.
const (
	Dataset  Kind = "dataset"
	Model    Kind = "model"
	Task     Kind = "task"
	Artifact Kind = "artifact"
	Run      Kind = "run"
)

// PieceSize is the most plaintext bytes in one piece.
const PieceSize = 1 << 20

// Limits of what an item says about itself.
const (
	MaxName = 255
	MaxTags = 32
	MaxTag  = 64
	MaxNote = 16 << 10
)

// The errors of this package.
var (
	ErrKind     = errors.New("kind must be dataset, model, task, artifact or run")
	ErrField    = errors.New("item field is not usable")
	ErrShape    = errors.New("index is not of the expected shape")
	ErrNotFound = errors.New("no such item")
	ErrExists   = errors.New("an item of this name exists")
)

// ItemID names an item for as long as the project lives. It is random.
type ItemID [16]byte

// String is the id in hexadecimal.
func (i ItemID) String() string { return hex.EncodeToString(i[:]) }

// MarshalText writes the id in hexadecimal, for JSON.
func (i ItemID) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// Item is what a listing shows of an item: its newest version, and how much of
// it was written under which epoch.
type Item struct {
	ID       ItemID   `cbor:"1,keyasint"`
	Kind     Kind     `cbor:"2,keyasint"`
	Name     string   `cbor:"3,keyasint"`
	Size     int64    `cbor:"4,keyasint"` // bytes of plaintext, padding not counted
	Modified int64    `cbor:"5,keyasint"` // Unix milliseconds, of the newest version
	By       string   `cbor:"6,keyasint"` // uid of who wrote it
	Rev      uint64   `cbor:"7,keyasint"` // number of the newest version
	Heads    uint32   `cbor:"8,keyasint"` // versions that nobody replaced; 1 but after a conflict
	Epoch    uint32   `cbor:"9,keyasint"` // the oldest epoch whose key seals a key of the item
	Held     []Held   `cbor:"10,keyasint"`
	Rows     int64    `cbor:"11,keyasint,omitempty"`
	Columns  uint32   `cbor:"12,keyasint,omitempty"`
	Tags     []string `cbor:"13,keyasint,omitempty"`
	Created  int64    `cbor:"14,keyasint"`
}

// Held is how much of an item lies under keys that members of an epoch could
// know. Whoever was a member then, and kept the key, opens those bytes if a
// server gives them to him, whatever the key is sealed under today.
type Held struct {
	_        struct{} `cbor:",toarray"`
	Born     uint32   // epoch in which the key was made
	Versions uint32
	Bytes    int64
}

// Born is the oldest epoch whose members may know a key of the item.
func (it Item) Born() uint32 {
	if len(it.Held) == 0 {
		return 0
	}
	return it.Held[0].Born
}

// Pieces is how many pieces the newest version has.
func (it Item) Pieces() int { return int(pieces(it.Size)) }

func pieces(size int64) int64 { return (Padme(size) + PieceSize - 1) / PieceSize }

// Padme rounds n up so that its lowest bits leak at most O(log log n) bits
// about the length (PURBs, Nikitin et al., PoPETs 2019): at most 12 % more.
// Nothing is shorter than 4 KiB.
func Padme(n int64) int64 {
	n = max(n, 4<<10)
	e := bits.Len64(uint64(n)) - 1
	last := e - bits.Len64(uint64(e))
	mask := int64(1)<<last - 1
	return (n + mask) &^ mask
}

// maxSize is the longest item: one that Padme still rounds without overflow.
const maxSize = 1 << 56

// CheckMeta holds kind and name to the rules. Errors wrap ErrKind or ErrField.
func CheckMeta(kind Kind, name string) error {
	if !slices.Contains([]Kind{Dataset, Model, Task, Artifact, Run}, kind) {
		return fmt.Errorf("%w: got %q", ErrKind, kind)
	}
	if name == "" || len(name) > MaxName || !utf8.ValidString(name) {
		return fmt.Errorf("%w: item name must be 1 to %d bytes of UTF-8", ErrField, MaxName)
	}
	return nil
}

// CheckTags holds tags to the rules: ascending, none twice, no commas or
// spaces. Errors wrap ErrField.
func CheckTags(tags []string) error {
	if len(tags) > MaxTags {
		return fmt.Errorf("%w: %d tags, limit %d", ErrField, len(tags), MaxTags)
	}
	for i, t := range tags {
		if t == "" || len(t) > MaxTag || !utf8.ValidString(t) || strings.ContainsAny(t, ", \t\r\n") {
			return fmt.Errorf("%w: tag %q must be 1 to %d bytes without comma or space", ErrField, t, MaxTag)
		}
		if i > 0 && tags[i-1] >= t {
			return fmt.Errorf("%w: tags must be ascending and different", ErrField)
		}
	}
	return nil
}

func (it Item) check() error {
	if err := CheckMeta(it.Kind, it.Name); err != nil {
		return err
	}
	if err := CheckTags(it.Tags); err != nil {
		return err
	}
	if it.Size < 0 || it.Size > maxSize || it.Rows < 0 || it.Rev == 0 || it.Heads == 0 || len(it.By) > 64 || len(it.Held) == 0 {
		return fmt.Errorf("item %q: %d bytes, %d rows, version %d, %d heads", it.Name, it.Size, it.Rows, it.Rev, it.Heads)
	}
	for i, h := range it.Held {
		if h.Born == 0 || h.Bytes < 0 || i > 0 && it.Held[i-1].Born >= h.Born {
			return fmt.Errorf("item %q: %d bytes under epoch %d", it.Name, h.Bytes, h.Born)
		}
	}
	return nil
}
