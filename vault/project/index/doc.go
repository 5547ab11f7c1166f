// Package index is the list of a project's items, as a tree of small nodes.
//
//	root ─┬─ list shards: one line for each item, what a listing shows
//	      └─ record shards: one record for each item: keys, versions, notes
//	             ├─ a record of its own, when it is long
//	             └─ lists of pieces, when an item has many
//
// Shards are cut by the random id of the item, hold at most 64 KiB and are
// sealed one by one, so a change of one item sends two shards and the root, and
// a listing of ten thousand items fetches some twenty nodes and no record.
//
// This package knows what a node says, not how it is encrypted or where it
// lies: that is Nodes. What comes out of a node was written by another member,
// so everything is checked on the way in, and an error wraps ErrShape.
package index
