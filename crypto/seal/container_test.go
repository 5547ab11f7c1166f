package seal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"cipherdeck/crypto/cobblestone"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/keys"
)

var (
	cheap   = keys.Argon2id{T: 1, MKiB: 19 << 10, P: 1}
	project = id.Of([]byte("project"))
)

func epoch(n uint32) *EpochKey { return Epoch(project, n, [32]byte{byte(n), 1}) }

func sealBytes(t *testing.T, plain []byte, m Meta, to ...Recipient) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Seal(t.Context(), &b, bytes.NewReader(plain), m, to, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func openBytes(sealed []byte, ids ...Identity) ([]byte, Meta, error) {
	r, err := Open(bytes.NewReader(sealed), ids...)
	if err != nil {
		return nil, Meta{}, err
	}
	b, err := io.ReadAll(r)
	return b, r.Meta, err
}

// Every kind of recipient opens with its identity and with no other.
func TestRecipientsAndIdentities(t *testing.T) {
	me, other := testPairs[0](), testPairs[1]()
	ids := map[string]Identity{
		"me": Pair(me), "other": Pair(other), "pass": Passphrase([]byte("pass"), cheap),
		"wrong pass": Passphrase([]byte("word"), cheap), "epoch 1": epoch(1), "epoch 2": epoch(2),
		"stolen slot": Epoch(project, 1, [32]byte{}), "RSA key": RSAKey(me.RSA),
	}
	for name, c := range map[string]struct {
		to   []Recipient
		open []string
		errs map[string]error // ErrNotRecipient when not named
	}{
		"hybrid":     {[]Recipient{Hybrid(me.Public())}, []string{"me"}, nil},
		"hidden":     {[]Recipient{Hidden(me.Public())}, []string{"me"}, nil},
		"X-Wing":     {[]Recipient{XWing(keys.Public{XWing: me.Public().XWing})}, []string{"me"}, nil},
		"RSA":        {[]Recipient{RSA(keys.Public{RSA: me.Public().RSA})}, []string{"me", "RSA key"}, nil},
		"both":       {[]Recipient{Hybrid(me.Public()), Hybrid(other.Public())}, []string{"me", "other"}, nil},
		"passphrase": {[]Recipient{Passphrase([]byte("pass"), cheap)}, []string{"pass"}, map[string]error{"wrong pass": ErrPassphrase}},
		"epoch":      {[]Recipient{epoch(1), Hybrid(other.Public())}, []string{"epoch 1", "other"}, map[string]error{"stolen slot": ErrAuth}},
	} {
		sealed := sealBytes(t, []byte("hello"), Meta{Name: "a.txt", Size: 5}, c.to...)
		for who, i := range ids {
			want := c.errs[who]
			if want == nil {
				want = ErrNotRecipient
			}
			for _, o := range c.open {
				if o == who {
					want = nil
				}
			}
			got, m, err := openBytes(sealed, i)
			if !errors.Is(err, want) || want == nil && (string(got) != "hello" || m.Name != "a.txt") {
				t.Errorf("%s opened by %s: %q %v %v, want %v", name, who, got, m, err, want)
			}
		}
		if got, _, err := openBytes(sealed, ids["stolen slot"], ids["other"], ids["wrong pass"], ids[c.open[0]]); err != nil || string(got) != "hello" {
			t.Errorf("%s opened by many: %v", name, err)
		}
	}
}

func TestInspect(t *testing.T) {
	me := testPairs[0]().Public()
	sealed := sealBytes(t, nil, Meta{}, Hybrid(me), XWing(me), RSA(me), epoch(7), Hidden(me))
	i, err := Inspect(bytes.NewReader(sealed))
	if err != nil || i.HeaderLen != 8192 || len(i.Recipients) != 5 {
		t.Fatal(i, err)
	}
	r, _ := me.RSAKeyID()
	x := me.XWingKeyID()
	for k, want := range []RecipientInfo{
		{Type: TypeHybrid, RSA: r, XWing: x}, {Type: TypeXWing, XWing: x}, {Type: TypeRSA, RSA: r},
		{Type: TypeEpoch, Prefix: [16]byte(project[:16]), Epoch: 7}, {Type: TypeHybrid, Hidden: true},
	} {
		if i.Recipients[k] != want || want.PostQuantum() != (want.Type != TypeRSA) {
			t.Errorf("recipient %d: %+v, want %+v", k, i.Recipients[k], want)
		}
	}
	i, err = Inspect(bytes.NewReader(sealBytes(t, nil, Meta{}, Passphrase([]byte("x"), cheap))))
	if err != nil || i.Recipients[0].Cost != cheap {
		t.Error(i, err)
	}
}

// Any single bit, from the magic over the zero fill to the last tag. The epoch
// identity makes it fast enough to try all of them.
func TestEveryBitIsCovered(t *testing.T) {
	sealed := sealBytes(t, []byte("hello"), Meta{Name: "n", Size: 5}, epoch(1))
	if len(sealed) != headerUnit+56+5+16 {
		t.Fatalf("%d bytes", len(sealed))
	}
	bad := bytes.Clone(sealed)
	for i := range len(sealed) * 8 {
		bad[i/8] ^= 1 << (i % 8)
		if got, _, err := openBytes(bad, epoch(1)); err == nil {
			t.Fatalf("bit %d of byte %d flipped and still opens: %q", i%8, i/8, got)
		}
		bad[i/8] = sealed[i/8]
	}
}

// The same for the default stanza, one bit of every byte of it and its key ids.
func TestEveryByteOfAHybridHeaderIsCovered(t *testing.T) {
	me := testPairs[0]()
	sealed := sealBytes(t, []byte("hello"), Meta{Size: 5}, Hybrid(me.Public()))
	for i := range fixedSize + stanzaFixed + 1456 {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1 << (i % 8)
		if _, _, err := openBytes(bad, Pair(me)); err == nil {
			t.Fatalf("byte %d changed and still opens", i)
		}
	}
}

func TestEveryCut(t *testing.T) {
	sealed := sealBytes(t, make([]byte, 2*16384+9), Meta{Size: 2*16384 + 9}, epoch(1))
	chunk := headerUnit + 56
	for _, at := range []int{0, 8, 12, 16, 32, fixedSize, fixedSize + 4, fixedSize + 4 + 68, headerUnit - 32, headerUnit, headerUnit + 24, chunk, chunk + 16400, chunk + 2*16400, len(sealed) - 16, len(sealed)} {
		for _, n := range []int{at - 1, at, at + 1} {
			if n < 0 || n >= len(sealed) {
				continue
			}
			_, _, err := openBytes(sealed[:n], epoch(1))
			want := ErrTruncated
			switch {
			case n < 8:
				want = ErrNotContainer
			case n >= chunk+16 && (n-chunk)%16400 >= 16:
				want = ErrAuth // a cut inside a chunk looks like damage
			}
			if !errors.Is(err, want) {
				t.Errorf("cut to %d: %v, want %v", n, err, want)
			}
		}
	}
	for _, extra := range []string{"\x00", "twelve bytes", string(sealed)} {
		if _, _, err := openBytes(append(bytes.Clone(sealed), extra...), epoch(1)); !errors.Is(err, ErrAuth) {
			t.Errorf("%d bytes after the end: %v", len(extra), err)
		}
	}
}

// A payload belongs to its header and its facts, not to its recipients.
func TestPayloadsCannotBeExchanged(t *testing.T) {
	a := sealBytes(t, []byte("hello"), Meta{Size: 5}, epoch(1))
	b := sealBytes(t, []byte("jello"), Meta{Size: 5}, epoch(1))
	mixed := append(bytes.Clone(a[:headerUnit]), b[headerUnit:]...)
	if _, _, err := openBytes(mixed, epoch(1)); !errors.Is(err, ErrAuth) {
		t.Error(err)
	}
}

func TestBadHeaders(t *testing.T) {
	good := sealBytes(t, nil, Meta{}, epoch(1))
	pass := sealBytes(t, nil, Meta{}, Passphrase([]byte("x"), cheap))
	u16 := binary.BigEndian.PutUint16
	u32 := binary.BigEndian.PutUint32
	for name, c := range map[string]struct {
		from []byte
		edit func(b []byte)
		want error
	}{
		"text mode":             {good, func(b []byte) { copy(b[4:], "\n\x1a\n") }, ErrNotContainer},
		"not ours":              {good, func(b []byte) { copy(b, "\x89PNG") }, ErrNotContainer},
		"version 2":             {good, func(b []byte) { u16(b[8:], 2) }, ErrVersion},
		"critical flag":         {good, func(b []byte) { b[10] = 0x80 }, ErrVersion},
		"padded, no MAC":        {good, func(b []byte) { b[11] = 1 }, ErrAuth},
		"archive, no MAC":       {good, func(b []byte) { b[11] = 2 }, ErrAuth},
		"stanza flag":           {good, func(b []byte) { b[35] = 1 }, ErrVersion},
		"other flag, no MAC":    {good, func(b []byte) { b[11] = 4 }, ErrAuth},
		"length 0":              {good, func(b []byte) { u32(b[12:], 0) }, ErrHeader},
		"length odd":            {good, func(b []byte) { u32(b[12:], 4097) }, ErrHeader},
		"length bomb":           {good, func(b []byte) { u32(b[12:], 0xfffff000) }, ErrHeader},
		"length over 1 MiB":     {good, func(b []byte) { u32(b[12:], 1<<20+4096) }, ErrHeader},
		"length more than file": {good, func(b []byte) { u32(b[12:], 1<<20) }, ErrTruncated},
		"no recipients":         {good, func(b []byte) { u16(b[32:], 0) }, ErrHeader},
		"1025 recipients":       {good, func(b []byte) { u16(b[32:], 1025) }, ErrHeader},
		"recipients in fill":    {good, func(b []byte) { u16(b[32:], 1024) }, ErrHeader},
		"stanza length":         {good, func(b []byte) { u16(b[36:], 0xffff) }, ErrHeader},
		"facts too long":        {good, func(b []byte) { u32(b[38+68:], 0xffffffff) }, ErrHeader},
		"facts too short":       {good, func(b []byte) { u32(b[38+68:], 27) }, ErrHeader},
		"fill":                  {good, func(b []byte) { b[headerUnit-33] = 1 }, ErrHeader},
		"passphrase not alone":  {pass, func(b []byte) { u16(b[32:], 2) }, ErrHeader},
		"Argon2 4 TiB":          {pass, func(b []byte) { u32(b[38+20:], 0xffffffff) }, keys.ErrKDF},
		"Argon2 passes":         {pass, func(b []byte) { u32(b[38+16:], 0xffffffff) }, keys.ErrKDF},
		"Argon2 weakened":       {pass, func(b []byte) { u32(b[38+20:], 8) }, keys.ErrKDF},
		"Argon2 salt":           {pass, func(b []byte) { b[38] ^= 1 }, ErrPassphrase},
	} {
		bad := bytes.Clone(c.from)
		c.edit(bad)
		if _, _, err := openBytes(bad, epoch(1), Passphrase([]byte("x"), cheap)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestRecipientLimits(t *testing.T) {
	me := testPairs[0]().Public()
	many := func(n int) []Recipient {
		var to []Recipient
		for i := range n {
			to = append(to, epoch(uint32(i)))
		}
		return to
	}
	sealed := sealBytes(t, []byte("hello"), Meta{Size: SizeUnknown}, many(1024)...)
	if got, _, err := openBytes(sealed, epoch(1023)); err != nil || string(got) != "hello" {
		t.Errorf("1024 recipients: %v", err)
	}
	pass := Passphrase([]byte("x"), cheap)
	for name, to := range map[string][]Recipient{
		"none":                   nil,
		"1025":                   many(1025),
		"twice":                  {Hybrid(me), Hybrid(me)},
		"passphrase not alone":   {pass, Hybrid(me)},
		"two passphrases":        {pass, pass},
		"more than header holds": hiddenTimes(me, 800),
	} {
		if err := Seal(t.Context(), io.Discard, bytes.NewReader(nil), Meta{}, to, nil); !errors.Is(err, ErrRecipients) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A header of its own making with more stanzas than are allowed is refused for
// their number alone: it is laid out and authenticated as it should be.
func TestTooManyStanzasOfAHostileWriter(t *testing.T) {
	for n, want := range map[int]error{maxStanzas: nil, maxStanzas + 1: ErrHeader} {
		h, k, err := newHeader(Meta{Size: 0}, toEpoch, 0)
		if err != nil {
			t.Fatal(err)
		}
		for len(h.stanzas) < n {
			h.stanzas = append(h.stanzas, h.stanzas[0])
		}
		if err := h.finish(k); err != nil {
			t.Fatal(err)
		}
		payload, err := cobblestone.Seal(k.payload, h.payloadContext(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := openBytes(append(h.raw, payload...), epoch(1)); !errors.Is(err, want) {
			t.Errorf("%d stanzas: %v, want %v", n, err, want)
		}
	}
}

func hiddenTimes(pub keys.Public, n int) []Recipient {
	to := make([]Recipient, n)
	for i := range to {
		to[i] = Hidden(pub)
	}
	return to
}

// Stanzas without key ids must not buy more than 64 RSA operations.
func TestHiddenTriesAreBounded(t *testing.T) {
	me, other := testPairs[0](), testPairs[1]()
	at := func(place int) []byte {
		to := hiddenTimes(other.Public(), 70)
		to[place] = Hidden(me.Public())
		return sealBytes(t, nil, Meta{}, to...)
	}
	if _, _, err := openBytes(at(63), Pair(me)); err != nil {
		t.Errorf("64th: %v", err)
	}
	if _, _, err := openBytes(at(64), Pair(me)); !errors.Is(err, ErrNotRecipient) {
		t.Errorf("65th: %v", err)
	}
}

func TestMetaRefused(t *testing.T) {
	for name, m := range map[string]Meta{
		"path": {Name: "../x"}, "backslash": {Name: `..\x`}, "dots": {Name: ".."}, "escape": {Name: "a\x1b[2J"},
		"bidi": {Name: "a\u202egpj.exe"}, "not UTF-8": {Name: "\xff"}, "long": {Name: fmt.Sprintf("%256d", 1)},
		"size": {Size: -2}, "mode": {Mode: 0o4755}, "type": {Type: "a\nb"},
	} {
		if err := Seal(t.Context(), io.Discard, bytes.NewReader(nil), m, []Recipient{epoch(1)}, nil); !errors.Is(err, ErrMeta) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A recipient who writes the header himself cannot make a name a path either.
func TestMetaOfAHostileWriter(t *testing.T) {
	if err := (Meta{Name: "../x"}).check(); err == nil {
		t.Fatal("check accepts a path")
	}
	for in, want := range map[string]string{"a/b": "a_b", "ok ü.csv": "ok ü.csv", "a\x1bb\n": "a_b_", "\xff": "_"} {
		if got := storable(in); got != want || (Meta{Name: got}).check() != nil {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestSizeThatIsNotTrue(t *testing.T) {
	for _, size := range []int64{4, 6} {
		err := Seal(t.Context(), io.Discard, bytes.NewReader([]byte("hello")), Meta{Size: size}, []Recipient{epoch(1)}, nil)
		if !errors.Is(err, ErrMeta) {
			t.Errorf("size %d of 5: %v", size, err)
		}
	}
}

// A writer of his own may still say another size than he gives.
func TestSizeOfAHostileWriter(t *testing.T) {
	for _, size := range []int64{4, 6} {
		h, k, err := newHeader(Meta{Size: size}, []Recipient{epoch(1)}, 0)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := cobblestone.Seal(k.payload, h.payloadContext(), []byte("hello"))
		if err != nil {
			t.Fatal(err)
		}
		sealed := append(bytes.Clone(h.raw), payload...)
		_, _, err1 := openBytes(sealed, epoch(1))
		r, err := Open(bytes.NewReader(sealed), epoch(1))
		if err != nil {
			t.Fatal(err)
		}
		_, err2 := r.WriteTo(io.Discard)
		_, _, err3 := OpenAt(bytes.NewReader(sealed), int64(len(sealed)), epoch(1))
		for how, err := range []error{err1, err2, err3} {
			if !errors.Is(err, ErrHeader) {
				t.Errorf("size %d of 5, way %d: %v", size, how, err)
			}
		}
	}
}

// What was written before an error must not pass for a shorter file.
func TestAbandonedSealDoesNotOpen(t *testing.T) {
	broken := errors.New("broken pipe")
	var b bytes.Buffer
	src := io.MultiReader(bytes.NewReader(make([]byte, 100_000)), iotest.ErrReader(broken))
	err := Seal(t.Context(), &b, src, Meta{Size: SizeUnknown}, []Recipient{epoch(1)}, nil)
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if got, _, err := openBytes(b.Bytes(), epoch(1)); err == nil {
		t.Errorf("opens as %d bytes", len(got))
	}
}

func TestOpenAt(t *testing.T) {
	plain := bytes.Repeat([]byte("0123456789"), 5000)
	sealed := sealBytes(t, plain, Meta{Size: int64(len(plain))}, epoch(1))
	r, _, err := OpenAt(bytes.NewReader(sealed), int64(len(sealed)), epoch(1))
	if err != nil || r.Size() != int64(len(plain)) {
		t.Fatal(err)
	}
	got := make([]byte, 10)
	if _, err := r.ReadAt(got, 40005); err != nil || string(got) != "5678901234" {
		t.Error(string(got), err)
	}
	if _, _, err := OpenAt(bytes.NewReader(sealed), int64(len(sealed))-1, epoch(1)); !errors.Is(err, ErrAuth) {
		t.Errorf("cut: %v", err)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	for _, v := range []any{FileKey{171}, epoch(171), Passphrase([]byte("abcdef"), cheap)} {
		for _, f := range []string{"%v", "%+v", "%#v", "%s"} {
			if out := fmt.Sprintf(f, v); !bytes.Contains([]byte(out), []byte("hidden")) {
				t.Errorf("%s of %T prints %q", f, v, out)
			}
		}
	}
}
