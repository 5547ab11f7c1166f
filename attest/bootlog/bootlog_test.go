package bootlog

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unicode/utf16"

	"cipherdeck/attest"
)

// writer makes logs as firmware does.
type writer struct{ b []byte }

func (w *writer) u32(v ...uint32) {
	for _, x := range v {
		w.b = binary.LittleEndian.AppendUint32(w.b, x)
	}
}

func (w *writer) u16(v ...uint16) {
	for _, x := range v {
		w.b = binary.LittleEndian.AppendUint16(w.b, x)
	}
}

// header is an old event with the crypto-agile header for SHA-256 and SHA-384.
func (w *writer) header(pcr uint32) {
	h := &writer{b: append([]byte(signature), 0, 0, 0, 0, 0, 2, 106, 2)}
	h.u32(2)
	h.u16(0x0B, 32, 0x0C, 48)
	h.b = append(h.b, 0)
	w.u32(pcr, evNoAction)
	w.b = append(w.b, make([]byte, 20)...)
	w.u32(uint32(len(h.b)))
	w.b = append(w.b, h.b...)
}

// event measures what, and writes data down.
func (w *writer) event(pcr, typ uint32, what, data []byte) {
	small, large := sha256.Sum256(what), sha512.Sum384(what)
	w.u32(pcr, typ, 2)
	w.u16(0x0B)
	w.b = append(w.b, small[:]...)
	w.u16(0x0C)
	w.b = append(w.b, large[:]...)
	w.u32(uint32(len(data)))
	w.b = append(w.b, data...)
}

func variableOf(name string, data []byte) []byte {
	w := &writer{b: make([]byte, 16)}
	u := utf16.Encode([]rune(name))
	w.b = binary.LittleEndian.AppendUint64(w.b, uint64(len(u)))
	w.b = binary.LittleEndian.AppendUint64(w.b, uint64(len(data)))
	w.u16(u...)
	return append(w.b, data...)
}

func image(path string) []byte {
	u := utf16.Encode([]rune(path + "\x00"))
	dp := &writer{b: []byte{4, 4}}
	dp.u16(uint16(4 + 2*len(u)))
	dp.u16(u...)
	dp.b = append(dp.b, 0x7F, 0xFF, 4, 0)
	w := &writer{b: make([]byte, 24)}
	w.b = binary.LittleEndian.AppendUint64(w.b, uint64(len(dp.b)))
	return append(w.b, dp.b...)
}

// entry is an event of a boot that tests bend.
type entry struct {
	pcr, typ   uint32
	what, data []byte
}

func same(pcr, typ uint32, data []byte) entry { return entry{pcr, typ, data, data} }

// boot is a short boot with Secure Boot on.
func boot() []entry {
	return []entry{
		{0, evNoAction, nil, append([]byte("StartupLocality\x00"), 3)},
		same(0, evCRTMVersion, []byte("v1")),
		{0, evFirmwareBlob2, []byte("firmware"), []byte("where")},
		same(7, evVariableConfig, variableOf("SecureBoot", []byte{1})),
		same(7, evVariableConfig, variableOf("db", nil)),
		same(7, evSeparator, make([]byte, 4)),
		same(4, evEFIAction, []byte("Calling EFI Application from Boot Option")),
		same(4, evSeparator, make([]byte, 4)),
		{4, evBootServicesApp, []byte("loader"), image(`\EFI\BOOT\BOOTX64.EFI`)},
		{12, evIPL, []byte("cmdline"), []byte("quiet\x1b]52;c;aGk=\x07 splash")},
	}
}

func written(all []entry) []byte {
	w := &writer{}
	w.header(0)
	for _, e := range all {
		w.event(e.pcr, e.typ, e.what, e.data)
	}
	return w.b
}

// quotedOf is what the TPM's registers are after a boot.
func quotedOf(t testing.TB, all []entry, bank attest.Bank) []attest.PCRValue {
	t.Helper()
	ends, err := Replay(written(all), bank)
	if err != nil {
		t.Fatal(err)
	}
	var out []attest.PCRValue
	for i, v := range ends {
		if v == nil {
			v = make([]byte, bank.Size())
		}
		out = append(out, attest.PCRValue{Index: uint8(i), Value: v})
	}
	return out
}

func TestExplain(t *testing.T) {
	for _, bank := range []attest.Bank{attest.SHA256, attest.SHA384} {
		x, err := Explain(written(boot()), bank, quotedOf(t, boot(), bank))
		if err != nil || x.Wrong != "" || !x.Secure || !x.SecureBoot || x.Events != 10 {
			t.Fatalf("%+v, %v", x, err)
		}
		pcr := func(i int) attest.PCRRow { return x.Rows[i] }
		if e := pcr(4).Events[2]; e.Text != `\EFI\BOOT\BOOTX64.EFI` || e.Covered || e.Type != "EFI_BOOT_SERVICES_APPLICATION" {
			t.Errorf("image: %+v", e)
		}
		if e := pcr(7).Events[0]; e.Text != "SecureBoot = 1" || !e.Covered {
			t.Errorf("variable: %+v", e)
		}
		// 54 escapes in the text of an event
		if e := pcr(12).Events[0]; strings.ContainsAny(e.Text, "\x1b\x07") || e.Covered {
			t.Errorf("text: %+v", e)
		}
		if !pcr(7).Explained || pcr(9).Explained || pcr(7).Meaning == "" {
			t.Errorf("rows: %+v", x.Rows)
		}
	}
}

// The first value of PCR 0 by hand: locality 3, then one event.
func TestReplayByHand(t *testing.T) {
	start := make([]byte, 32)
	start[31] = 3
	d := sha256.Sum256([]byte("v1"))
	want := sha256.Sum256(append(start, d[:]...))
	ends, err := Replay(written(boot()[:2]), attest.SHA256)
	if err != nil || !bytes.Equal(ends[0], want[:]) {
		t.Fatalf("%x, want %x, %v", ends[0], want, err)
	}
}

// The numbers are those of the list of cases in docs/tests.md. after is bent
// once the registers are known: what a liar can do to a log.
func TestLogsRefused(t *testing.T) {
	raw := func(change func([]byte) []byte) func([]entry) []byte {
		return func(all []entry) []byte { return change(written(all)) }
	}
	bent := func(change func([]entry) []entry) func([]entry) []byte {
		return func(all []entry) []byte { return written(change(all)) }
	}
	for name, c := range map[string]struct {
		log  func([]entry) []byte
		says string // of Wrong, or of the error
		err  error
	}{
		"41 extra":                         {log: bent(func(a []entry) []entry { return append(a, a[8]) }), says: "PCR 4"},
		"42 missing":                       {log: bent(func(a []entry) []entry { return append(a[:8:8], a[9:]...) }), says: "PCR 4"},
		"43 reordered":                     {log: bent(func(a []entry) []entry { a[3], a[4] = a[4], a[3]; return a }), says: "PCR 7"},
		"44 second separator":              {log: bent(func(a []entry) []entry { return append(a, a[7]) }), err: ErrSyntax, says: "second separator"},
		"45 fake locality":                 {log: bent(func(a []entry) []entry { a[0].data = append([]byte("StartupLocality\x00"), 0); return a }), says: "PCR 0"},
		"45 locality later":                {log: bent(func(a []entry) []entry { return append(a, a[0]) }), err: ErrSyntax, says: "locality"},
		"45 locality 7":                    {log: bent(func(a []entry) []entry { a[0].data = append([]byte("StartupLocality\x00"), 7); return a }), err: ErrSyntax},
		"46 data is not what was measured": {log: bent(func(a []entry) []entry { a[3].data = variableOf("SecureBoot", []byte{0}); return a }), err: ErrSyntax, says: "not what was measured"},
		"47 type changed":                  {log: bent(func(a []entry) []entry { a[2].typ = evEFIAction; return a }), err: ErrSyntax, says: "not what was measured"},
		"48 size 2^32-1":                   {log: raw(func(b []byte) []byte { return append(b, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF) }), err: ErrSyntax, says: "too early"},
		"49 digests":                       {log: raw(func(b []byte) []byte { return append(b, 0, 0, 0, 0, 1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0) }), err: ErrSyntax},
		"49 bank twice": {log: raw(func(b []byte) []byte {
			w := &writer{b: b}
			w.u32(5, evAction, 2)
			for range 2 {
				w.u16(0x0B)
				w.b = append(w.b, make([]byte, 32)...)
			}
			w.u32(0)
			return w.b
		}), err: ErrSyntax},
		"50 header alone": {log: raw(func(b []byte) []byte { return b[:8] }), err: ErrSyntax},
		"51 header on another register": {log: func(all []entry) []byte {
			w := &writer{}
			w.header(1)
			return w.b
		}, err: ErrSyntax, says: "PCR 1"},
		"52 what only informs, extended": {log: bent(func(a []entry) []entry { a[0].typ = evAction; a[0].what = a[0].data; return a }), says: "PCR 0"},
		"53 too large":                   {log: func([]entry) []byte { return make([]byte, MaxBytes+1) }, err: ErrLimit},
		"too many events":                {log: bent(func(a []entry) []entry { return append(a, make([]entry, maxEvents)...) }), err: ErrLimit},
		"PCR 24":                         {log: bent(func(a []entry) []entry { return append(a, entry{pcr: 24}) }), err: ErrSyntax, says: "PCR 24"},
		"legacy":                         {log: func([]entry) []byte { return make([]byte, 32) }, err: ErrSyntax, says: "SHA-1"},
		"truncated":                      {log: raw(func(b []byte) []byte { return b[:len(b)-1] }), err: ErrSyntax},
		"image swapped":                  {log: bent(func(a []entry) []entry { a[8].what = []byte("evil"); return a }), says: "PCR 4"},
		"unknown bank": {log: raw(func(b []byte) []byte {
			w := &writer{b: b}
			w.u32(5, evAction, 1)
			w.u16(4)
			w.b = append(w.b, make([]byte, 20)...)
			w.u32(0)
			return w.b
		}), err: ErrSyntax},
	} {
		x, err := Explain(c.log(boot()), attest.SHA256, quotedOf(t, boot(), attest.SHA256))
		switch {
		case c.err != nil && (!errors.Is(err, c.err) || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v, want %v with %q", name, err, c.err, c.says)
		case c.err == nil && (err != nil || !strings.Contains(x.Wrong, c.says) || x.Wrong == ""):
			t.Errorf("%s: %+v, %v", name, x, err)
		}
	}
}

// 20 a bank that firmware never extended, while the log is full.
func TestUnextendedBank(t *testing.T) {
	values := quotedOf(t, boot(), attest.SHA256)
	for i := range values {
		values[i].Value = make([]byte, 32)
	}
	x, err := Explain(written(boot()), attest.SHA256, values)
	if err != nil || !strings.Contains(x.Wrong, "was never extended") {
		t.Fatalf("%+v, %v", x, err)
	}
}

func TestEmptyExplainsNothing(t *testing.T) {
	x, err := Explain(nil, attest.SHA256, quotedOf(t, boot(), attest.SHA256))
	if err != nil || x.Wrong != "" || x.Rows[7].Explained || x.Secure {
		t.Fatalf("%+v, %v", x, err)
	}
}

func TestSecureBootOff(t *testing.T) {
	off := boot()
	off[3] = same(7, evVariableConfig, variableOf("SecureBoot", []byte{0}))
	late := boot()
	late = append(late, late[3])
	late[3] = late[4]
	for name, c := range map[string]struct {
		all       []entry
		known, on bool
	}{"off": {off, true, false}, "told after the separator": {late, false, false}} {
		x, err := Explain(written(c.all), attest.SHA256, quotedOf(t, c.all, attest.SHA256))
		if err != nil || x.Secure != c.known || x.SecureBoot != c.on {
			t.Errorf("%s: %+v, %v", name, x, err)
		}
	}
}

func TestDiffAndStray(t *testing.T) {
	rows := func(all []entry) []attest.PCRRow {
		x, err := Explain(written(all), attest.SHA256, quotedOf(t, all, attest.SHA256))
		if err != nil {
			t.Fatal(err)
		}
		return x.Rows
	}
	before := rows(boot())
	more := append(boot(), entry{4, evBootServicesApp, []byte("shell"), image(`\shell.efi`)})
	for name, c := range map[string]struct {
		all  []entry
		says string
	}{
		"one more": {more, `one more event: EFI_BOOT_SERVICES_APPLICATION \shell.efi`},
		"changed":  {func() []entry { a := boot(); a[8].what, a[8].data = []byte("x"), image(`\x.efi`); return a }(), `event 2: EFI_BOOT_SERVICES_APPLICATION \x.efi, was EFI_BOOT_SERVICES_APPLICATION \EFI`},
		"gone":     {boot()[:8], "event gone"},
		"same":     {boot(), ""},
	} {
		got := strings.Join(Diff(before, rows(c.all)), "\n")
		if !strings.Contains(got, c.says) || (c.says == "") != (got == "") {
			t.Errorf("%s: %q", name, got)
		}
	}
	var accepted [][]byte
	for _, e := range before[4].Events {
		accepted = append(accepted, e.Digest)
	}
	if i, _ := FirstStray(before[4], accepted); i != -1 {
		t.Errorf("stray %d of an accepted boot", i)
	}
	if i, text := FirstStray(rows(more)[4], accepted); i != 3 || !strings.Contains(text, "shell.efi") {
		t.Errorf("stray %d, %q", i, text)
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain text": "plain text", "\x1b[2Jx": "?[2Jx", "a\u202eb": "a?b", "\xff": "?", strings.Repeat("a", 300): strings.Repeat("a", 200) + "…",
	} {
		if got := Clean(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzBootlog(f *testing.F) {
	f.Add(written(boot()))
	f.Add(written(nil))
	values := quotedOf(f, boot(), attest.SHA256)
	f.Fuzz(func(t *testing.T, raw []byte) {
		x, err := Explain(raw, attest.SHA256, values)
		if err != nil {
			return
		}
		for _, r := range x.Rows {
			for _, e := range r.Events {
				if e.Text != Clean(e.Text) {
					t.Fatalf("text %q", e.Text)
				}
			}
		}
	})
}

// BenchmarkReplay parses and replays a log of some 60 KB, as firmware leaves.
func BenchmarkReplay(b *testing.B) {
	all := boot()
	for i := range 120 {
		all = append(all, entry{uint32(i % 7), evFirmwareBlob2, []byte{byte(i)}, make([]byte, 350)})
	}
	raw := written(all)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Replay(raw, attest.SHA256); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(raw)), "log-bytes")
	b.ReportMetric(float64(len(all)), "events")
	b.ReportMetric(testing.AllocsPerRun(100, func() { _, _ = Replay(raw, attest.SHA256) })/float64(len(all)), "allocs/event")
}
