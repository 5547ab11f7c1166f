//go:build linux

package grant

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os/exec"
	"sync"
	"testing"
	"time"

	gotpm "github.com/google/go-tpm/tpm2"

	"cipherdeck/attest"
	"cipherdeck/attest/device"
	"cipherdeck/attest/tpm2"
	"cipherdeck/crypto/id"
)

// machine is a TPM that can be reset under a key, and sees what crosses its bus.
type machine struct {
	*device.Device
	t         *testing.T
	spec, dir string

	mu  sync.Mutex
	bus []byte

	moves int // before so many uses of a key, a register moves
}

func (m *machine) Send(in []byte) ([]byte, error) {
	const use = 0x54 // TPM2_ECDH_ZGen
	if len(in) > 9 && in[8] == 1 && in[9] == use && m.moves > 0 {
		m.moves--
		m.extend(10)
	}
	out, err := m.Device.Send(in)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bus = append(append(m.bus, in...), out...)
	return out, err
}

func (m *machine) reset() {
	m.t.Helper()
	if err := m.Close(); err != nil {
		m.t.Fatal(err)
	}
	m.start()
}

func (m *machine) start() {
	m.t.Helper()
	d, err := device.Open(m.spec, m.dir)
	if err != nil {
		m.t.Fatal(err)
	}
	m.Device = d
}

func (m *machine) extend(pcr uint32) {
	m.t.Helper()
	_, err := gotpm.PCRExtend{
		PCRHandle: gotpm.AuthHandle{Handle: gotpm.TPMHandle(pcr), Auth: gotpm.PasswordAuth(nil)},
		Digests:   gotpm.TPMLDigestValues{Digests: []gotpm.TPMTHA{{HashAlg: gotpm.TPMAlgSHA256, Digest: make([]byte, 32)}}},
	}.Execute(m)
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) ak() *tpm2.AK {
	m.t.Helper()
	ak, err := tpm2.NewAK(m)
	if err != nil {
		m.t.Fatal(err)
	}
	return ak
}

func measured() []uint8 { return []uint8{0, 2, 4, 7, 9, 11, 12, 13, 14, 15} }

func (m *machine) key(ak *tpm2.AK) *Key {
	m.t.Helper()
	k, err := NewKey(m, ak, attest.SHA256, measured())
	if err != nil {
		m.t.Fatal(err)
	}
	return k
}

// machines runs a test on each TPM that can be had here, measured and ready.
func machines(t *testing.T, run func(t *testing.T, m *machine)) {
	for _, spec := range []string{device.Soft, device.Swtpm} {
		t.Run(spec, func(t *testing.T) {
			for _, p := range []string{"swtpm", "swtpm_setup"} {
				if _, err := exec.LookPath(p); spec == device.Swtpm && err != nil {
					t.Skipf("SKIPPED, NOT TESTED: %s is not installed (packages swtpm, swtpm-tools)", p)
				}
			}
			m := &machine{t: t, spec: spec, dir: t.TempDir()}
			m.start()
			defer func() {
				if err := m.Close(); err != nil {
					t.Error(err)
				}
			}()
			m.extend(14)
			run(t, m)
		})
	}
}

func now() time.Time { return time.Unix(1_800_000_000, 0) }

func terms() Terms {
	return Terms{V: 1, Project: id.Of([]byte("project")), Grant: id.Of([]byte("grant")), Job: [16]byte{1, 2, 3},
		Model: id.Of([]byte("model")), Plan: id.Of([]byte("plan")), Inputs: id.Of([]byte("inputs")), Op: 1, NotAfter: now().Unix() + 60}
}

func jobKey() [KeySize]byte { return sha256.Sum256([]byte("the key of one job")) }

func sealed(t testing.TB, point []byte) []byte {
	t.Helper()
	s, err := Seal(point, terms(), jobKey())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestOpens: beside all that a machine keeps loaded, by many at once, while it is
// quoted and while registers move that the key is not about.
func TestOpens(t *testing.T) {
	machines(t, func(t *testing.T, m *machine) {
		ek, err := tpm2.NewEK(m, nil)
		if err != nil {
			t.Fatal(err)
		}
		ak := m.ak()
		k := m.key(ak)
		s := sealed(t, k.Point)
		m.extend(10) // the kernel's list of files grows all the time
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 3 {
					if got, err := k.Open(s, terms(), now()); err != nil || got != jobKey() {
						t.Errorf("%x, %v", got, err)
					}
				}
			})
			wg.Go(func() {
				if _, err := tpm2.Quote(m, ak, make([]byte, 32), attest.SHA256, measured()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		secret := bytes.Repeat([]byte{7}, tpm2.SecretSize)
		c, err := tpm2.MakeCredential(rand.Reader, ek.Public, ak.Name.Buffer, secret)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tpm2.Activate(m, ek, ak, c); err != nil || !bytes.Equal(got, secret) {
			t.Fatalf("enrolment beside the key: %v", err)
		}
		if err := errors.Join(ek.Close(), ak.Close()); err != nil {
			t.Fatal(err)
		}
	})
}

// BenchmarkOpen is what a job costs a node besides its work.
func BenchmarkOpen(b *testing.B) {
	for _, spec := range []string{device.Soft, device.Swtpm} {
		b.Run(spec, func(b *testing.B) {
			d, err := device.Open(spec, b.TempDir())
			if err != nil {
				b.Skipf("SKIPPED, NOT MEASURED: %v", err)
			}
			defer d.Close()
			ak, err := tpm2.NewAK(d)
			if err != nil {
				b.Fatal(err)
			}
			k, err := NewKey(d, ak, attest.SHA256, measured())
			if err != nil {
				b.Fatal(err)
			}
			s := sealed(b, k.Point)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Open(s, terms(), now()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestSecretStaysOffTheBus: who listens between processor and chip does not see
// what opens the job's key.
func TestSecretStaysOffTheBus(t *testing.T) {
	machines(t, func(t *testing.T, m *machine) {
		k := m.key(m.ak())
		e, err := ecdh.P256().GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		want, err := e.ECDH(k.PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.ECDH(e.PublicKey())
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%x, want %x, %v", got, want, err)
		}
		if bytes.Contains(m.bus, want) {
			t.Fatal("the secret crossed the bus in clear")
		}
		if !bytes.Contains(m.bus, e.PublicKey().Bytes()[1:33]) {
			t.Fatal("this test does not see the bus")
		}
	})
}

// TestChangedMachine: one more measurement, of any register of the key, and it
// does not open; other registers do not count.
func TestChangedMachine(t *testing.T) {
	machines(t, func(t *testing.T, m *machine) {
		ak := m.ak()
		k := m.key(ak)
		s := sealed(t, k.Point)
		m.extend(14)
		for range 8 { // a session that is left open after each would be one too many
			if _, err := k.Open(s, terms(), now()); !errors.Is(err, ErrState) {
				t.Fatalf("%v", err)
			}
		}
		k = m.key(ak)
		if _, err := k.Open(s, terms(), now()); !errors.Is(err, ErrTerms) {
			t.Fatalf("the key of the new state opens what was sealed to the old one: %v", err)
		}
		if _, err := k.Open(sealed(t, k.Point), terms(), now()); err != nil {
			t.Fatal(err)
		}
	})
}

// TestRegistersMove: another register that moves just before a use costs another
// try; one that never rests is no change of the machine's state.
func TestRegistersMove(t *testing.T) {
	machines(t, func(t *testing.T, m *machine) {
		k := m.key(m.ak())
		s := sealed(t, k.Point)
		m.moves = tries - 1
		if got, err := k.Open(s, terms(), now()); err != nil || got != jobKey() || m.moves != 0 {
			t.Fatalf("%x, %v", got, err)
		}
		m.moves = tries
		if _, err := k.Open(s, terms(), now()); !errors.Is(err, tpm2.ErrUnstable) || errors.Is(err, ErrState) {
			t.Fatal(err)
		}
	})
}

// TestRestartedMachine: in the very same state after a reset, the key is gone and
// cannot be made again.
func TestRestartedMachine(t *testing.T) {
	machines(t, func(t *testing.T, m *machine) {
		k := m.key(m.ak())
		s := sealed(t, k.Point)
		m.reset()
		m.extend(14)
		if _, err := k.Open(s, terms(), now()); !errors.Is(err, ErrGone) {
			t.Fatalf("%v", err)
		}
		again := m.key(m.ak())
		if bytes.Equal(again.Point, k.Point) {
			t.Fatal("the same key after a restart")
		}
		if _, err := again.Open(s, terms(), now()); !errors.Is(err, ErrTerms) {
			t.Fatalf("%v", err)
		}
	})
}

// TestOtherHierarchy: a key that is like ours in all but that it comes back after
// a restart is not accepted.
func TestOtherHierarchy(t *testing.T) {
	machines(t, func(t *testing.T, m *machine) {
		values, err := tpm2.ReadPCRs(m, attest.SHA256, measured())
		if err != nil {
			t.Fatal(err)
		}
		ak := m.ak()
		for _, c := range []struct {
			hierarchy gotpm.TPMHandle
			want      string
		}{{gotpm.TPMRHNull, ""}, {gotpm.TPMRHOwner, "null hierarchy"}, {gotpm.TPMRHEndorsement, "null hierarchy"}} {
			r, err := gotpm.CreatePrimary{PrimaryHandle: gotpm.AuthHandle{Handle: c.hierarchy, Auth: gotpm.PasswordAuth(nil)},
				InPublic: gotpm.New2B(template(tpm2.PolicyPCR(attest.SHA256, values)))}.Execute(m)
			if err != nil {
				t.Fatal(err)
			}
			k := &Key{tpm: m, bank: attest.SHA256, pcrs: measured(), name: r.Name, rawArea: r.OutPublic.Bytes()}
			err = k.adopt(r.ObjectHandle, ak, values)
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, tpm2.ErrJobKey) || !bytes.Contains([]byte(err.Error()), []byte(c.want))) {
				t.Errorf("%08x: %v", uint32(c.hierarchy), err)
			}
			if err := flush(m, r.ObjectHandle); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestNewKeyRefuses(t *testing.T) {
	machines(t, func(t *testing.T, m *machine) {
		ak := m.ak()
		for _, pcrs := range [][]uint8{nil, {14, 7}, {7, 7}, {24}} {
			if _, err := NewKey(m, ak, attest.SHA256, pcrs); !errors.Is(err, tpm2.ErrAsk) {
				t.Errorf("%v: %v", pcrs, err)
			}
		}
	})
}
