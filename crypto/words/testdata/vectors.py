#!/usr/bin/env python3
"""Prints the vectors of words_test.go from the format's text, not from the Go code."""

import hashlib
import pathlib
import struct

LIST = (pathlib.Path(__file__).resolve().parent.parent / "eff_large.txt").read_text().split()


def lp(*parts):
    return b"".join(struct.pack(">I", len(p)) + p for p in parts)


def fingerprint(b):
    h = hashlib.sha256(lp(b"cipherdeck/words/v1") + b).digest()
    for _ in range(1 << 16):
        h = hashlib.sha256(h).digest()
    out, counter = [], 0
    while len(out) < 8:
        block = hashlib.sha256(h + struct.pack(">I", counter)).digest()
        counter += 1
        out += [LIST[d % 8192] for d in struct.unpack(">16H", block) if d % 8192 < len(LIST)]
    return " ".join(out[:8])


for data in (b"", b"cipherdeck", b"\xff" * 32, lp(b"alice", b"bob")):
    print(fingerprint(data))
