#!/usr/bin/env python3
"""Reads a cipherdeck container, version 1, by docs/formats/container.md alone; needs pyca/cryptography 38 or later.
read_container.py FILE rsa KEY.pem | epoch PROJECT-ID-HEX EPOCH-KEY-HEX > CONTENT     (a directory: the archive itself)"""
import hashlib, hmac, struct, sys
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

D = b"cipherdeck/container/v1"
lp = lambda *parts: b"".join(struct.pack(">I", len(p)) + p for p in parts)
expand = lambda key, info, n: HKDFExpand(hashes.SHA512(), n, info).derive(key)

def need(ok, why):  # not assert, which python -O leaves out
    if not ok: sys.exit("refused: " + why)

def unwrap(kind, body, file_id, how, key, epoch_key=None):
    if kind == 3 and how == "rsa":
        pem = serialization.load_pem_private_key(open(key, "rb").read(), None)
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), lp(D + b"/rsa-only", file_id))
        return pem.decrypt(body[16:], oaep)
    if kind == 5 and how == "epoch" and body[:16] == bytes.fromhex(key)[:16]:
        info = lp(D + b"/epoch", file_id, bytes.fromhex(key), body[16:20])
        return AESGCM(HKDF(hashes.SHA256(), 32, None, info).derive(bytes.fromhex(epoch_key))).decrypt(bytes(12), body[20:], None)

def read(f, *how):
    head = f.read(34)
    magic, version, flags, size, file_id, count = struct.unpack(">8sHHI16sH", head)
    need(magic == b"\x89CDK\r\n\x1a\n" and version == 1 and flags < 256, "not a container of version 1, or a feature of it")
    need(size % 4096 == 0 and 0 < size <= 1 << 20 and 0 < count <= 1024, "header out of bounds")
    head, at, fek = head + f.read(size - 34), 34, None
    for _ in range(count):
        kind, zero, n = struct.unpack_from(">BBH", head, at)
        need(zero == 0, "a feature of a stanza")
        fek, at = fek or unwrap(kind, head[at + 4:at + 4 + n], file_id, *how), at + 4 + n
    need(fek, "not for this key")
    header_key, payload_key = (expand(fek, lp(D + label, file_id), 32) for label in (b"/header", b"/payload"))
    need(len(head) == size and hmac.compare_digest(hmac.digest(header_key, head[:-32], "sha256"), head[-32:]), "header was changed")
    facts = head[at + 4:at + 4 + struct.unpack_from(">I", head, at)[0]]
    context = lp(D + b"/context", struct.pack(">HH", version, flags), file_id, hashlib.sha256(facts).digest())
    okm = expand(payload_key, b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + f.read(24) + context, 76)
    need(hmac.compare_digest(f.read(32), okm[44:]), "payload of another container")
    plain, chunk, k = bytearray(), b"-" * 16400, 0
    while len(chunk) == 16400:  # the last chunk is the first that is shorter; it must be there, and nothing after it
        chunk, nonce = f.read(16400), (int.from_bytes(okm[32:44], "big") ^ k).to_bytes(12, "big")
        plain += AESGCM(okm[:32]).decrypt(nonce, chunk, None)
        k += 1
    n = int.from_bytes(plain[-8:], "big") if flags & 1 else len(plain)
    need(not flags & 1 or n <= len(plain) - 8 and not any(plain[n:-8]), "bytes in the padding")
    return plain[:n]

if __name__ == "__main__":
    sys.stdout.buffer.write(read(open(sys.argv[1], "rb"), *sys.argv[2:]))
