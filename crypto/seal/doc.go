// Package seal reads and writes cipherdeck containers, and wraps keys.
//
// A container is a header and a payload. The header carries a random file key
// once per recipient (a stanza each), encrypted facts about the file, and an
// HMAC over itself; the payload is one Cobblestone-256 message. The bytes are
// described in docs/formats/container.md.
//
// The default stanza is hybrid: the file key is lost only if RSA-OAEP and
// X-Wing are both broken. Adding or removing a recipient is a new header; the
// payload is not touched, because it does not depend on the stanzas.
//
// WrapKey and UnwrapKey use the hybrid stanza by itself, to hand a key to one
// identity (project epochs, vault).
//
// A container may hide the length of its content (FileOptions.Pad), hold a whole
// directory (SealFile, OpenFile, OpenArchive, ExtractMember), and get other
// recipients later (AddRecipients and the functions beside it).
//
// A container does not say who made it: whoever has the public keys can make
// one.
package seal
