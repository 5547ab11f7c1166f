package journal

import (
	"slices"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
)

// index finds leaves. It is made anew from the leaves at every start, about 150
// bytes of memory for each.
type index struct {
	hash   map[id.ID]uint64
	doc    map[id.ID]uint64   // by tag of the document and what it was for
	object map[id.ID][]uint64 // by tag of the object, in their order
}

func newIndex() index {
	return index{hash: map[id.ID]uint64{}, doc: map[id.ID]uint64{}, object: map[id.ID][]uint64{}}
}

func (x index) add(at uint64, leaf []byte) {
	if h := tlog.LeafHash(leaf); !has(x.hash, h) {
		x.hash[h] = at
	}
	l, err := tlog.OpenLeaf(leaf)
	if err != nil {
		return // it is in the tree all the same; nobody looks for it
	}
	x.object[l.Object] = append(x.object[l.Object], at)
	if k := docKey(l.Action, l.Object, l.Doc); !l.Doc.IsZero() && !has(x.doc, k) {
		x.doc[k] = at
	}
}

// find is where the document of e was recorded before. Events are never the same.
func (x index) find(e Entry) (uint64, bool) {
	if e.Body == nil {
		return 0, false
	}
	at, ok := x.doc[docKey(e.Action, e.Object, tlog.DocTag(e.Body))]
	return at, ok
}

func docKey(action string, object, doc id.ID) id.ID {
	return id.Of(slices.Concat(object[:], doc[:], []byte(action)))
}

func has[V any](m map[id.ID]V, k id.ID) bool {
	_, ok := m[k]
	return ok
}
