#!/usr/bin/env python3
"""Computes the values in typed_test.go by other code, from the account seed on: all of docs/formats/keys.md
and the genesis, with ML-KEM-768 and c2sp.org/det-keygen written out here. Needs pyca/cryptography for Ed25519
and X25519. The seed itself is checked by crypto/secret/testdata/vectors.py."""
import hashlib, hmac, math, struct, base64
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

RAW = dict(encoding=Encoding.Raw, format=PublicFormat.Raw)
sha = lambda b: hashlib.sha256(b).digest()
mac = lambda k, m: hmac.new(k, m, hashlib.sha256).digest()
lp = lambda *parts: b"".join(struct.pack(">I", len(p)) + p for p in parts)

def hkdf(ikm, info, n=32):
    prk = hmac.new(b"\0" * 64, ikm, hashlib.sha512).digest()
    return hmac.new(prk, info.encode() + b"\x01", hashlib.sha512).digest()[:n]

# --- RSA by det-keygen: HMAC_DRBG with SHA-256, primes of 7 modulo 8 with the two top bits set
class DRBG:
    def __init__(self, seed):
        self.k, self.v = b"\0" * 32, b"\1" * 32
        self.update(seed)
    def update(self, data):
        for b in (b"\0", b"\1") if data else (b"\0",):
            self.k = mac(self.k, self.v + b + data)
            self.v = mac(self.k, self.v)
    def take(self, n):
        out = b""
        while len(out) < n:
            self.v = mac(self.k, self.v)
            out += self.v
        self.update(b"")
        return out[:n]

def is_prime(w):
    if any(w % p == 0 for p in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)):
        return False
    s = (w - 1) // 2  # odd, since w is 3 modulo 4
    return all(pow(a, s, w) in (1, w - 1) for a in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37))

def prime(drbg, bits):
    while True:
        b = bytearray(drbg.take(bits // 8))
        b[0] |= 0xC0
        b[-1] |= 7
        w = int.from_bytes(b, "big")
        if is_prime(w):
            return w

def rsa(secret, bits):
    drbg = DRBG(secret + b"det RSA key gen" + struct.pack(">H", bits))
    while True:
        p, q = prime(drbg, bits // 2), prime(drbg, bits // 2)
        lam = math.lcm(p - 1, q - 1)
        if math.gcd(65537, lam) == 1:
            return p * q, pow(65537, -1, lam)

# --- DER of a public key
def der(tag, body):
    n = len(body)
    head = bytes([n]) if n < 128 else (lambda b: bytes([0x80 | len(b)]) + b)(n.to_bytes((n.bit_length() + 7) // 8, "big"))
    return bytes([tag]) + head + body
integer = lambda n: der(2, n.to_bytes(n.bit_length() // 8 + 1, "big"))
def spki_rsa(n):
    alg = der(0x30, bytes.fromhex("06092a864886f70d010101") + b"\x05\x00")
    return der(0x30, alg + der(3, b"\0" + der(0x30, integer(n) + integer(65537))))
spki_ed = lambda pub: bytes.fromhex("302a300506032b6570032100") + pub

# --- ML-KEM-768 key generation, FIPS 203
Q, K = 3329, 3
rev = lambda i: int(f"{i:07b}"[::-1], 2)
ZETA = [pow(17, rev(i), Q) for i in range(128)]
GAMMA = [pow(17, 2 * rev(i) + 1, Q) for i in range(128)]
def ntt(f):
    f, i, n = f[:], 1, 128
    while n >= 2:
        for start in range(0, 256, 2 * n):
            z = ZETA[i]; i += 1
            for j in range(start, start + n):
                t = z * f[j + n] % Q
                f[j], f[j + n] = (f[j] + t) % Q, (f[j] - t) % Q
        n //= 2
    return f
def mul(f, g):
    h = []
    for i in range(128):
        a0, a1, b0, b1 = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
        h += [(a0 * b0 + a1 * b1 * GAMMA[i]) % Q, (a0 * b1 + a1 * b0) % Q]
    return h
add = lambda f, g: [(x + y) % Q for x, y in zip(f, g)]
def uniform(seed):
    out, stream, at = [], hashlib.shake_128(seed).digest(3 * 1024), 0
    while len(out) < 256:
        c = stream[at:at + 3]; at += 3
        for d in (c[0] + 256 * (c[1] % 16), c[1] // 16 + 16 * c[2]):
            if d < Q and len(out) < 256:
                out.append(d)
    return out
def binomial(sigma, n):  # eta = 2
    b = hashlib.shake_256(sigma + bytes([n])).digest(128)
    bit = lambda i: b[i // 8] >> (i % 8) & 1
    return [(bit(4 * i) + bit(4 * i + 1) - bit(4 * i + 2) - bit(4 * i + 3)) % Q for i in range(256)]
def encode12(f):
    return sum(x << (12 * i) for i, x in enumerate(f)).to_bytes(384, "little")
def mlkem_public(d):
    g = hashlib.sha3_512(d + bytes([K])).digest()
    rho, sigma = g[:32], g[32:]
    s = [ntt(binomial(sigma, i)) for i in range(K)]
    t = []
    for i in range(K):
        row = ntt(binomial(sigma, K + i))
        for j in range(K):
            row = add(row, mul(uniform(rho + bytes([j, i])), s[j]))
        t.append(row)
    return b"".join(map(encode12, t)) + rho

def xwing_public(seed):
    e = hashlib.shake_256(seed).digest(96)
    return mlkem_public(e[:32]) + X25519PrivateKey.from_private_bytes(e[64:]).public_key().public_bytes(**RAW)

# --- deterministic CBOR of the few shapes that are needed
def head(major, n):
    for limit, info, size in ((24, None, 0), (1 << 8, 24, 1), (1 << 16, 25, 2), (1 << 32, 26, 4)):
        if n < limit:
            return bytes([major << 5 | (n if info is None else info)]) + (n.to_bytes(size, "big") if size else b"")
def cbor(v):
    if isinstance(v, int): return head(0, v)
    if isinstance(v, bytes): return head(2, len(v)) + v
    if isinstance(v, str): return head(3, len(v.encode())) + v.encode()
    if isinstance(v, list): return head(4, len(v)) + b"".join(map(cbor, v))
    return head(5, len(v)) + b"".join(cbor(k) + cbor(v[k]) for k in sorted(v))

# --- RSA-PSS with SHA-256 and a salt that is given
def pss(n, d, msg, salt):
    bits = n.bit_length() - 1
    size = (bits + 7) // 8
    h = sha(b"\0" * 8 + sha(msg) + salt)
    db = b"\0" * (size - 32 - 32 - 2) + b"\1" + salt
    mask = b"".join(sha(h + struct.pack(">I", i)) for i in range(size // 32 + 1))[:len(db)]
    em = bytearray(x ^ y for x, y in zip(db, mask))
    em[0] &= 0xFF >> (8 * size - bits)
    return pow(int.from_bytes(bytes(em) + h + b"\xbc", "big"), d, n).to_bytes((n.bit_length() + 7) // 8, "big")

def sign(typ, body, ed, n, d, salt_key):
    msg = lp(b"cipherdeck/doc/v1", typ.encode(), body)
    pub = ed.public_key().public_bytes(**RAW)
    return cbor([typ, body, [[sha(spki_ed(pub))[:16], ed.sign(msg)], [sha(spki_rsa(n))[:16], pss(n, d, msg, mac(salt_key, msg))]]])

def identity(name, seed, bits):
    device, salt = hkdf(seed, "cipherdeck/v1/device-0"), hkdf(seed, "cipherdeck/v1/pss-salt")
    n, d = rsa(hkdf(seed, f"cipherdeck/v1/rsa/{bits}"), bits)
    ed = lambda s: Ed25519PrivateKey.from_private_bytes(hkdf(s, "cipherdeck/v1/ed25519"))
    pub = lambda k: k.public_key().public_bytes(**RAW)
    xw = lambda s: xwing_public(hkdf(s, "cipherdeck/v1/xwing"))
    genesis = sign("account/genesis", cbor({1: 1, 2: "person", 3: name, 4: 0, 5: spki_rsa(n), 6: pub(ed(device)), 7: xw(device)}), ed(device), n, d, salt)
    check = sign("check", cbor({1: 1, 2: name, 3: spki_rsa(n), 4: xw(seed), 5: pub(ed(seed))}), ed(seed), n, d, salt)
    print("device seed ", device.hex())
    print("rsa spki    ", sha(spki_rsa(n)).hex())
    print("genesis     ", sha(genesis).hex())
    print("check value ", sha(check).hex())
    print("uid         ", base64.b32encode(sha(genesis)[:20]).decode().lower())

identity("ana@example.org", bytes.fromhex("2cf6aa5dbb43991ac3171e15320f5a50d7d287fb97c59123a3673c3e3ce1ebdc"), 3072)
