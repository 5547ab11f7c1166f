package vault

import "encoding/hex"

// Description is what a vault file says of itself to anybody who may read it.
// Nothing of it is authenticated: only opening the vault does that.
type Description struct {
	Version    uint16 // of the file's form
	Newest     uint16 // version that this program writes
	ID         string // in hex
	Rotations  uint32
	Generation uint64
	Slots      []SlotInfo
}

// Describe reads a vault file without opening it. Errors are those of Slots.
func Describe(path string) (Description, error) {
	_, f, err := read(path)
	if err != nil {
		return Description{}, err
	}
	return Description{f.version, version, hex.EncodeToString(f.id[:]), f.rotations, f.generation, infos(f.slots)}, nil
}
