#!/usr/bin/env python3
"""Computes the values in secret_test.go by other code: needs pyca/cryptography 44 or later."""
import hashlib, hmac, struct, unicodedata
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

def lp(*parts):
    return b"".join(struct.pack(">I", len(p)) + p for p in parts)

def seed(account, secret):
    nfc = lambda s: unicodedata.normalize("NFC", s).encode()
    salt = hashlib.sha256(lp(b"cipherdeck/v1/master-salt", nfc(account.strip().lower()))).digest()
    ikm = Argon2id(salt=salt, length=32, iterations=3, lanes=4, memory_cost=256 << 10).derive(nfc(secret))
    return hmac.new(ikm, b"cipherdeck/v1/account-seed\x01", hashlib.sha512).digest()[:32]

print(seed("ana@example.org", "unguarded talcum jubilant crayon mushily opposing backlog dehydrate").hex())
print(seed("z", "caf\u00e9").hex())
