package tlog

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"
)

// Skew is how far in the future a cosignature may seem to be.
const Skew = 5 * time.Minute

// Policy is what a checkpoint needs before it is relied upon: the log's own
// signature, and those of Need of the Witnesses.
type Policy struct {
	Log       Key
	Witnesses []Key
	Need      int
}

// Check holds the policy against its rules: one key counts once, whatever
// names it has. Errors wrap ErrKey.
func (p Policy) Check() error {
	if p.Log.Kind != Log {
		return fmt.Errorf("%w: the log's key is of type %d", ErrKey, p.Log.Kind)
	}
	for i, w := range p.Witnesses {
		if w.Kind != Witness {
			return fmt.Errorf("%w: %s is the key of a log, not of a witness", ErrKey, w.Name)
		}
		if w.Public.Equal(p.Log.Public) {
			return fmt.Errorf("%w: %s has the log's own key", ErrKey, w.Name)
		}
		for _, o := range p.Witnesses[:i] {
			if o.Public.Equal(w.Public) {
				return fmt.Errorf("%w: %s and %s have one key", ErrKey, o.Name, w.Name)
			}
		}
	}
	if p.Need < 0 || p.Need > len(p.Witnesses) {
		return fmt.Errorf("%w: %d cosignatures of %d witnesses", ErrKey, p.Need, len(p.Witnesses))
	}
	return nil
}

// Cosigner is a witness that signed, and when.
type Cosigner struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
}

// Verdict is what a checkpoint has to show under a policy.
type Verdict struct {
	Checkpoint
	By   []Cosigner
	Need int
	Of   int // witnesses of the policy
}

// Witnessed reports whether enough witnesses signed. None needed is enough: see
// Word.
func (v Verdict) Witnessed() bool { return len(v.By) >= v.Need }

// Word is the state for a person.
func (v Verdict) Word() string {
	if v.Of == 0 || v.Need == 0 && len(v.By) == 0 {
		return "not witnessed"
	}
	return fmt.Sprintf("witnessed by %d of %d, %d needed", len(v.By), v.Of, v.Need)
}

// Open verifies a checkpoint: the log's signature must be there and right, and
// no signature of a known witness may be wrong. Whether the witnesses are
// enough is in the verdict. Errors wrap ErrCheckpoint or ErrKey.
func (p Policy) Open(raw []byte, now time.Time) (Verdict, error) {
	if err := p.Check(); err != nil {
		return Verdict{}, err
	}
	c, err := OpenCheckpoint(raw, p.Log)
	if err != nil {
		return Verdict{}, err
	}
	n, err := openNote(raw, append([]Key{p.Log}, p.Witnesses...)...)
	if err != nil {
		return Verdict{}, err
	}
	v := Verdict{Checkpoint: c, Need: p.Need, Of: len(p.Witnesses)}
	for _, w := range p.Witnesses {
		for _, s := range n.Sigs {
			if s.Name != w.Name || s.Hash != w.hash() {
				continue
			}
			if at := stamp(s.Base64); !at.After(now.Add(Skew)) {
				v.By = append(v.By, Cosigner{w.Name, at})
			}
			break
		}
	}
	return v, nil
}

// stamp reads the time of a verified cosignature: after 4 bytes of key hash.
func stamp(b64 string) time.Time {
	raw, err := base64.StdEncoding.DecodeString(b64)
	if err != nil || len(raw) < 4+stampSize {
		return time.Unix(1<<40, 0) // never counted
	}
	return time.Unix(int64(binary.BigEndian.Uint64(raw[4:])), 0).UTC()
}
