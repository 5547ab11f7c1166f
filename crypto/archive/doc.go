// Package archive is a directory as one stream, with an index at its end.
//
//	archive = magic 8 ‖ entries ‖ u32 0 ‖ index ‖ tail
//	entry   = LP(header) ‖ data, as many bytes as the header says
//	index   = for each entry, in the same order: LP(header) ‖ u64 offset of its data
//	tail    = u64 offset of the index ‖ u64 number of entries ‖ magic 8
//
// Numbers are big-endian, LP is a u32 length and the bytes, offsets count from
// the start of the archive, a header is deterministic CBOR (see Entry). It has
// no checksums and no encryption: it is the plaintext of a container (package
// seal), which has both.
//
// It is written and read in one pass (Writer, Stream), and through io.ReaderAt
// one file can be found and read without the others (Reader). A Stream compares
// the index with what it has read, so that what is listed is what is there.
//
// Entries are strictly sorted, a directory right before what is in it. That
// makes duplicates impossible and lets a reader of any length of archive know,
// with nothing but a stack, that each parent is a directory of the archive and
// not a symbolic link. What an entry may be called, and where a link may point,
// is checked when writing and again when reading.
//
// Kept: names as bytes, kind, permission bits, time of last change, content.
// Not kept: owners, extended attributes, hard links (each becomes a file),
// holes. Pipes, sockets and devices are refused.
//
// The Writer holds the index in memory, about 100 bytes for each entry; nothing
// else grows with the archive.
package archive
