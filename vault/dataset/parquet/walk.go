package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// errCut is for a Thrift struct that does not end where its bytes do.
var errCut = errors.New("it is cut off")

const (
	maxThriftDepth = 24      // of nested structs and lists; the format needs some ten
	maxThriftCost  = 1 << 20 // of one footer, as walk counts
	structCost     = 4       // a column chunk of one byte takes hundreds in memory
)

// walk goes over a struct in Thrift's compact protocol and allocates nothing:
// the library that decodes it afterwards makes room for as many bytes and
// elements as the input claims. It returns the length of the struct.
type walk struct {
	b    []byte
	at   int
	cost int
}

// structSize is the length of the struct at the front of b. The error wraps
// errCut when b ends before it.
func structSize(b []byte) (int, error) {
	w := walk{b: b}
	err := w.fields(0)
	return w.at, err
}

func (w *walk) fields(depth int) error {
	for {
		head, err := w.byte()
		if err != nil || head == 0 {
			return err
		}
		if head>>4 == 0 { // the field's number follows
			if _, err := w.uvarint(); err != nil {
				return err
			}
		}
		kind := head & 15
		if kind == 1 || kind == 2 { // true and false are in the head
			continue
		}
		if err := w.value(kind, depth+1); err != nil {
			return err
		}
	}
}

func (w *walk) value(kind byte, depth int) error {
	if depth > maxThriftDepth {
		return fmt.Errorf("it is nested deeper than %d", maxThriftDepth)
	}
	switch kind {
	case 1, 2, 3:
		return w.skip(1)
	case 4, 5, 6:
		_, err := w.uvarint()
		return err
	case 7:
		return w.skip(8)
	case 8:
		n, err := w.uvarint()
		if err != nil {
			return err
		}
		return w.skip(n)
	case 9, 10:
		return w.list(depth)
	case 12:
		return w.fields(depth)
	}
	return fmt.Errorf("it has a value of type %d", kind) // maps are not used by the format
}

func (w *walk) list(depth int) error {
	head, err := w.byte()
	if err != nil {
		return err
	}
	n := uint64(head >> 4)
	if n == 15 {
		if n, err = w.uvarint(); err != nil {
			return err
		}
	}
	if n > uint64(len(w.b)-w.at) { // an element has a byte at least
		return errCut
	}
	each := 1
	if head&15 == 12 {
		each = structCost
	}
	if w.cost += int(n) * each; w.cost > maxThriftCost {
		return fmt.Errorf("it has more than %d elements", maxThriftCost/each)
	}
	for range n {
		if err := w.value(head&15, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) byte() (byte, error) {
	if w.at == len(w.b) {
		return 0, errCut
	}
	w.at++
	return w.b[w.at-1], nil
}

func (w *walk) skip(n uint64) error {
	if n > uint64(len(w.b)-w.at) {
		return errCut
	}
	w.at += int(n)
	return nil
}

func (w *walk) uvarint() (uint64, error) {
	v, n := binary.Uvarint(w.b[w.at:])
	if n == 0 {
		return 0, errCut
	}
	if n < 0 {
		return 0, errors.New("it has a number of more than 64 bits")
	}
	w.at += n
	return v, nil
}
