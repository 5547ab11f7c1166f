// Package cobblestone is Cobblestone-256: encryption of one large message in
// chunks, as specified at c2sp.org/chunked-encryption with AES-256-GCM and
// HKDF-SHA-512.
//
//	message = salt 24 ‖ commitment 32 ‖ chunk 0 ‖ chunk 1 ‖ … ‖ last chunk
//	key 32 ‖ base nonce 12 ‖ commitment 32 = HKDF-Expand-SHA-512(input key,
//	    "c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM" ‖ 00 ‖ salt ‖ context)
//	chunk k = AES-256-GCM(key, base nonce XOR k, at most 16384 bytes), no AAD
//
// Every chunk but the last holds exactly 16384 bytes, the last holds fewer,
// possibly none; so a message that was cut ends in a full chunk or in one that
// does not authenticate. Chunks cannot be moved, because their place is in the
// nonce. The commitment makes a message open under one key and context only.
//
// Chunk k begins at byte 56 + 16400 k, so any part can be read alone (ReaderAt)
// and chunks can be worked on in parallel (all of this package). Streams take
// memory for a few batches of chunks per processor, whatever their length.
//
// The input key must be uniformly random; a salt is drawn for each message, so
// one key may encrypt many messages. What is returned is always authenticated,
// but a stream is known to be whole only at io.EOF.
package cobblestone
