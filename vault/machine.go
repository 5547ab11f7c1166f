package vault

// GoodState is what a machine showed with its last good verdict, as far as a
// difference to it can be named by event: not the evidence, and nothing that
// could be judged again.
type GoodState struct {
	At        int64      `cbor:"1,keyasint"` // Unix seconds
	Registers []Register `cbor:"2,keyasint"` // in the order of the quote
}

// Register is a PCR and the events that explain it.
type Register struct {
	_      struct{} `cbor:",toarray"`
	Index  uint8
	Value  []byte
	Cut    bool    // it has more events than are kept, so none are
	Events []Event // oldest first
}

// Event is one entry of a log.
type Event struct {
	_      struct{} `cbor:",toarray"`
	Type   string
	Text   string // made safe for a terminal, at most MaxEventText bytes
	Digest []byte
}

// The bounds of what is kept of one machine: 1024 events of at most 96 bytes of
// text are less than 256 KiB. A register whose events do not fit has none, since
// a list that was cut would show its end as a difference.
const (
	MaxEvents    = 1024
	MaxEventText = 96
)

// Quiet is how often a machine was judged and showed nothing new after an entry
// of its history, counted once an hour at most.
type Quiet struct {
	_     struct{} `cbor:",toarray"`
	Times uint32
	Last  int64 // of the newest, Unix seconds
}
