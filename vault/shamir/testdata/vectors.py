# Makes the vectors of shamir_test.go by another way: discrete logarithms to the
# base 3 instead of shifted additions. Run: python3 vectors.py
exp, log, x = [0] * 255, [0] * 256, 1
for i in range(255):
    exp[i], log[x] = x, i
    x ^= (x << 1) ^ (0x11B if x & 0x80 else 0)

def mul(a, b):
    return exp[(log[a] + log[b]) % 255] if a and b else 0

def power(x, n):
    return exp[log[x] * n % 255]

secret = bytes(range(0, 256, 17))
for k, n in ((2, 3), (3, 5), (16, 16)):
    shares = []
    for x in range(1, n + 1):
        y = bytearray()
        for b, s in enumerate(secret):
            v = s
            for p in range(1, k):
                v ^= mul((b * 31 + p * 7 + 5) & 255, power(x, p))
            y.append(v)
        shares.append(y.hex())
    print(k, n, *shares)
