#!/usr/bin/env python3
"""Prints the keys of keys.json, made by PyCryptodome (Debian: python3-pycryptodome)."""
import hashlib, json
try:
    from Cryptodome.PublicKey import RSA
except ImportError:
    from Crypto.PublicKey import RSA

def stream(secret):
    state = {"block": hashlib.sha256(secret.encode()).digest(), "used": 0}
    def take(n):
        out = b""
        while len(out) < n:
            if state["used"] == 32:
                state.update(block=hashlib.sha256(state["block"]).digest(), used=0)
            more = state["block"][state["used"]:][:n - len(out)]
            out, state["used"] = out + more, state["used"] + len(more)
        return out
    return take

digest = lambda n, size: hashlib.sha256(n.to_bytes(size, "big")).hexdigest()
for secret, bits in [("", 2048), ("coretex", 2048), ("correct horse battery staple", 2048), ("hés 😀 ünïcode", 2048),
                     ("x" * 100, 2048), ("coretex", 3072), ("second", 3072), ("coretex", 4096)]:
    k = RSA.generate(bits, stream(secret), e=65537)
    print(json.dumps({"secret": secret, "bits": bits, "n_sha256": digest(k.n, bits // 8), "p_sha256": digest(k.p, bits // 16),
                      "d_sha256": digest(k.d, bits // 8)}, ensure_ascii=False))
