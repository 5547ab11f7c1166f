//go:build linux

package device

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	gotpm "github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"cipherdeck/attest"
	"cipherdeck/attest/ek"
	"cipherdeck/attest/softtpm"
	"cipherdeck/attest/tpm2"
)

// kinds runs a test on each back end that can be had here.
func kinds(t *testing.T, run func(t *testing.T, dir, spec string)) {
	t.Run(Soft, func(t *testing.T) { run(t, t.TempDir(), Soft) })
	t.Run(Swtpm, func(t *testing.T) {
		for _, p := range []string{"swtpm", "swtpm_setup"} {
			if _, err := exec.LookPath(p); err != nil {
				t.Skipf("SKIPPED, NOT TESTED: %s is not installed (packages swtpm, swtpm-tools)", p)
			}
		}
		run(t, t.TempDir(), Swtpm)
	})
}

func open(t *testing.T, spec, dir string) *Device {
	t.Helper()
	d, err := Open(spec, dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func stop(t *testing.T, d *Device) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// roots is what a user pins to accept the TPM in dir.
func roots(t *testing.T, spec, dir string) []attest.Root {
	if spec == Soft {
		return nil
	}
	raw, err := os.ReadFile(LocalRoot(dir))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := pem.Decode(raw)
	return []attest.Root{{Name: "local", Kind: attest.RootVTPM, Cert: b.Bytes, Added: true}}
}

// TestWhoMadeIt: each TPM shows a certificate for the key that it has, and is
// worth what its root is.
func TestWhoMadeIt(t *testing.T) {
	kinds(t, func(t *testing.T, dir, spec string) {
		d := open(t, spec, dir)
		defer stop(t, d)
		if len(d.Chain) == 0 {
			t.Fatal("no certificate")
		}
		made, err := ek.Verify(withLocal(t, spec, dir, d.Chain), roots(t, spec, dir), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		want := attest.RootSoftware
		if spec == Swtpm {
			want = attest.RootVTPM
			if _, err := ek.Verify(withLocal(t, spec, dir, d.Chain), nil, time.Now()); !errors.Is(err, ek.ErrChain) {
				t.Fatalf("accepted with no root added: %v", err)
			}
		}
		if made.Kind != want {
			t.Fatalf("made by %+v, want %s", made, want)
		}
		key, err := tpm2.NewEK(d, made.Key)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(key.SPKI, made.Key) || key.Close() != nil {
			t.Fatal("the TPM has another key")
		}
	})
}

// withLocal adds swtpm's intermediate, which it does not put into the TPM.
func withLocal(t *testing.T, spec, dir string, chain [][]byte) [][]byte {
	if spec == Soft {
		return chain
	}
	raw, err := os.ReadFile(filepath.Join(dir, "swtpm-ca", "issuercert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := pem.Decode(raw)
	return append(chain, b.Bytes)
}

func newKeys(t *testing.T, d *Device) (*tpm2.EK, *tpm2.AK) {
	t.Helper()
	e, err := tpm2.NewEK(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := tpm2.NewAK(d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = e.Close(), a.Close() })
	return e, a
}

// TestCredentials: a secret is read by the TPM and the AK that it was made for,
// with every template of endorsement key, and by nothing else.
func TestCredentials(t *testing.T) {
	kinds(t, func(t *testing.T, dir, spec string) {
		d := open(t, spec, dir)
		defer stop(t, d)
		e, a := newKeys(t, d)
		secret := sha256.Sum256([]byte("secret"))
		c, err := tpm2.MakeCredential(rand.Reader, e.Public, a.Name.Buffer, secret[:])
		if err != nil {
			t.Fatal(err)
		}
		got, err := tpm2.Activate(d, e, a, c)
		if err != nil || !bytes.Equal(got, secret[:]) {
			t.Fatalf("secret %x, %v", got, err)
		}
		other := bytes.Clone(a.Name.Buffer)
		other[5] ^= 1
		if c, err = tpm2.MakeCredential(rand.Reader, e.Public, other, secret[:]); err != nil {
			t.Fatal(err)
		}
		if _, err := tpm2.Activate(d, e, a, c); err == nil {
			t.Fatal("a credential for another AK was activated")
		}
		// 38 credential activated by another TPM
		b := open(t, Soft, t.TempDir())
		be, ba := newKeys(t, b)
		if c, err = tpm2.MakeCredential(rand.Reader, e.Public, a.Name.Buffer, secret[:]); err != nil {
			t.Fatal(err)
		}
		if _, err := tpm2.Activate(b, be, ba, c); err == nil {
			t.Fatal("another TPM activated it")
		}
	})
}

// job is the template of a key for sealed jobs, for the state of the registers.
func job(t *testing.T, d *Device, pcrs []uint8) gotpm.TPMTPublic {
	t.Helper()
	values, err := tpm2.ReadPCRs(d, attest.SHA256, pcrs)
	if err != nil {
		t.Fatal(err)
	}
	policy := tpm2.PolicyPCR(attest.SHA256, values)
	return gotpm.TPMTPublic{
		Type: gotpm.TPMAlgECC, NameAlg: gotpm.TPMAlgSHA256,
		ObjectAttributes: gotpm.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, NoDA: true, Decrypt: true},
		AuthPolicy:       gotpm.TPM2BDigest{Buffer: policy[:]},
		Parameters:       gotpm.NewTPMUPublicParms(gotpm.TPMAlgECC, &gotpm.TPMSECCParms{CurveID: gotpm.TPMECCNistP256}),
	}
}

func policyPCR(pcrs []uint8) gotpm.PolicyCallback {
	return func(tpm transport.TPM, h gotpm.TPMISHPolicy, _ gotpm.TPM2BNonce) error {
		bits := tpm2.Select(pcrs)
		_, err := gotpm.PolicyPCR{PolicySession: h, Pcrs: gotpm.TPMLPCRSelection{PCRSelections: []gotpm.TPMSPCRSelection{{Hash: gotpm.TPMAlgSHA256, PCRSelect: bits[:]}}}}.Execute(tpm)
		return err
	}
}

func extend(t *testing.T, d *Device, pcr uint32) {
	t.Helper()
	_, err := gotpm.PCRExtend{
		PCRHandle: gotpm.AuthHandle{Handle: gotpm.TPMHandle(pcr), Auth: gotpm.PasswordAuth(nil)},
		Digests:   gotpm.TPMLDigestValues{Digests: []gotpm.TPMTHA{{HashAlg: gotpm.TPMAlgSHA256, Digest: make([]byte, 32)}, {HashAlg: gotpm.TPMAlgSHA384, Digest: make([]byte, 48)}}},
	}.Execute(d)
	if err != nil {
		t.Fatal(err)
	}
}

// TestKeyOfAState: a key that is bound to registers agrees on a secret until
// one of them moves, and the AK certifies it.
func TestKeyOfAState(t *testing.T) {
	kinds(t, func(t *testing.T, dir, spec string) {
		d := open(t, spec, dir)
		defer stop(t, d)
		pcrs := []uint8{7, 14}
		extend(t, d, 14)
		k, err := gotpm.CreatePrimary{PrimaryHandle: gotpm.AuthHandle{Handle: gotpm.TPMRHNull, Auth: gotpm.PasswordAuth(nil)},
			InPublic: gotpm.New2B(job(t, d, pcrs))}.Execute(d)
		if err != nil {
			t.Fatal(err)
		}
		a, err := tpm2.NewAK(d)
		if err != nil {
			t.Fatal(err)
		}
		bind := tpm2.CertifyBind()
		c, err := gotpm.Certify{
			ObjectHandle:   gotpm.AuthHandle{Handle: k.ObjectHandle, Name: k.Name, Auth: gotpm.PasswordAuth(nil)},
			SignHandle:     gotpm.AuthHandle{Handle: a.Handle, Name: a.Name, Auth: gotpm.PasswordAuth(nil)},
			QualifyingData: gotpm.TPM2BData{Buffer: bind[:]}, InScheme: gotpm.TPMTSigScheme{Scheme: gotpm.TPMAlgNull},
		}.Execute(d)
		if err != nil {
			t.Fatal(err)
		}
		ak, err := tpm2.ParseAK(a.Public)
		if err != nil {
			t.Fatal(err)
		}
		values, err := tpm2.ReadPCRs(d, attest.SHA256, pcrs)
		if err != nil {
			t.Fatal(err)
		}
		certified := func(values []attest.PCRValue, bind []byte) error {
			_, err := tpm2.CheckCertified(ak, k.OutPublic.Bytes(), c.CertifyInfo.Bytes(), gotpm.Marshal(c.Signature), bind, attest.SHA256, values)
			return err
		}
		if err := certified(values, bind[:]); err != nil {
			t.Fatal(err)
		}
		if err := certified(values, make([]byte, 32)); !errors.Is(err, tpm2.ErrJobKey) {
			t.Fatalf("certified for something else: %v", err)
		}
		good := slices.Clone(values)
		values[0].Value = slices.Clone(values[0].Value)
		values[0].Value[0] ^= 1
		if err := certified(values, bind[:]); !errors.Is(err, tpm2.ErrJobKey) {
			t.Fatalf("certified for another state: %v", err)
		}
		agree := func() ([]byte, []byte, error) {
			e, err := ecdh.P256().GenerateKey(rand.Reader)
			if err != nil {
				return nil, nil, err
			}
			certified, err := tpm2.CheckCertified(ak, k.OutPublic.Bytes(), c.CertifyInfo.Bytes(), gotpm.Marshal(c.Signature), bind[:], attest.SHA256, good)
			if err != nil {
				return nil, nil, err
			}
			pub, err := ecdh.P256().NewPublicKey(certified.Point)
			if err != nil {
				return nil, nil, err
			}
			shared, err := e.ECDH(pub)
			if err != nil {
				return nil, nil, err
			}
			point := e.PublicKey().Bytes()
			z, err := gotpm.ECDHZGen{
				KeyHandle: gotpm.AuthHandle{Handle: k.ObjectHandle, Name: k.Name, Auth: gotpm.Policy(gotpm.TPMAlgSHA256, 16, policyPCR(pcrs))},
				InPoint:   gotpm.New2B(gotpm.TPMSECCPoint{X: gotpm.TPM2BECCParameter{Buffer: point[1:33]}, Y: gotpm.TPM2BECCParameter{Buffer: point[33:]}}),
			}.Execute(d)
			if err != nil {
				return nil, nil, err
			}
			out, err := z.OutPoint.Contents()
			if err != nil {
				return nil, nil, err
			}
			return shared, out.X.Buffer, nil
		}
		x, y, err := agree()
		if err != nil || !bytes.Equal(x, y) {
			t.Fatalf("%x and %x, %v", x, y, err)
		}
		if _, err := (gotpm.ECDHZGen{KeyHandle: gotpm.AuthHandle{Handle: k.ObjectHandle, Name: k.Name, Auth: gotpm.PasswordAuth(nil)}}).Execute(d); err == nil {
			t.Fatal("the key is used without its policy")
		}
		extend(t, d, 14)
		if _, _, err := agree(); !errors.Is(err, gotpm.TPMRCPolicyFail) {
			t.Fatalf("the key is used in another state: %v", err)
		}
	})
}

// TestSealed: data behind a PIN, over a salted session that encrypts both ways;
// wrong PINs lock it, as in chips.
func TestSealed(t *testing.T) {
	kinds(t, func(t *testing.T, dir, spec string) {
		d := open(t, spec, dir)
		defer stop(t, d)
		srk, err := gotpm.CreatePrimary{PrimaryHandle: gotpm.AuthHandle{Handle: gotpm.TPMRHOwner, Auth: gotpm.PasswordAuth(nil)},
			InPublic: gotpm.New2B(gotpm.ECCSRKTemplate)}.Execute(d)
		if err != nil {
			t.Fatal(err)
		}
		public, err := srk.OutPublic.Contents()
		if err != nil {
			t.Fatal(err)
		}
		wire := &spy{TPM: d}
		salted := func(pin []byte, hide gotpm.AuthOption) gotpm.Session {
			return gotpm.HMAC(gotpm.TPMAlgSHA256, 16, gotpm.Auth(pin), hide, gotpm.Salted(srk.ObjectHandle, *public))
		}
		secret, pin := []byte("thirty-two bytes of great secrecy"), []byte("1234")
		c, err := gotpm.Create{
			ParentHandle: gotpm.AuthHandle{Handle: srk.ObjectHandle, Name: srk.Name, Auth: salted(nil, gotpm.AESEncryption(128, gotpm.EncryptInOut))},
			InSensitive: gotpm.TPM2BSensitiveCreate{Sensitive: &gotpm.TPMSSensitiveCreate{
				UserAuth: gotpm.TPM2BAuth{Buffer: pin}, Data: gotpm.NewTPMUSensitiveCreate(&gotpm.TPM2BSensitiveData{Buffer: secret})}},
			InPublic: gotpm.New2B(gotpm.TPMTPublic{Type: gotpm.TPMAlgKeyedHash, NameAlg: gotpm.TPMAlgSHA256,
				ObjectAttributes: gotpm.TPMAObject{FixedTPM: true, FixedParent: true, UserWithAuth: true}}),
		}.Execute(wire)
		if err != nil {
			t.Fatal(err)
		}
		l, err := gotpm.Load{ParentHandle: gotpm.AuthHandle{Handle: srk.ObjectHandle, Name: srk.Name, Auth: gotpm.PasswordAuth(nil)}, InPrivate: c.OutPrivate, InPublic: c.OutPublic}.Execute(wire)
		if err != nil {
			t.Fatal(err)
		}
		unseal := func(pin []byte) ([]byte, error) {
			u, err := gotpm.Unseal{ItemHandle: gotpm.AuthHandle{Handle: l.ObjectHandle, Name: l.Name, Auth: salted(pin, gotpm.AESEncryption(128, gotpm.EncryptOut))}}.Execute(wire)
			if err != nil {
				return nil, err
			}
			return u.OutData.Buffer, nil
		}
		got, err := unseal(pin)
		if err != nil || !bytes.Equal(got, secret) {
			t.Fatalf("%q, %v", got, err)
		}
		for _, s := range [][]byte{secret, pin} {
			if wire.saw(s) {
				t.Errorf("%q went over the bus in clear", s)
			}
		}
		tries := 0
		for err = nil; !errors.Is(err, gotpm.TPMRCLockout) && tries < 40; tries++ {
			if _, err = unseal([]byte("0000")); err == nil || !errors.Is(err, gotpm.TPMRCAuthFail) && !errors.Is(err, gotpm.TPMRCLockout) {
				t.Fatalf("wrong PIN: %v", err)
			}
		}
		if tries < 3 || tries == 40 {
			t.Fatalf("locked after %d tries", tries)
		}
		if _, err := unseal(pin); !errors.Is(err, gotpm.TPMRCLockout) {
			t.Fatalf("right PIN after many wrong ones: %v", err)
		}
		lockReset(t, d)
		if got, err := unseal(pin); err != nil || !bytes.Equal(got, secret) {
			t.Fatalf("after the reset: %q, %v", got, err)
		}
	})
}

// lockReset is TPM2_DictionaryAttackLockReset by hand: the library has it not.
func lockReset(t *testing.T, d *Device) {
	t.Helper()
	out, err := d.Send([]byte{0x80, 2, 0, 0, 0, 27, 0, 0, 1, 0x39, 0x40, 0, 0, 0x0A, 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 1, 0, 0})
	if err != nil || len(out) < 10 || !bytes.Equal(out[6:10], make([]byte, 4)) {
		t.Fatalf("lock reset: %x, %v", out, err)
	}
}

// spy keeps everything that goes over the bus.
type spy struct {
	transport.TPM
	seen []byte
}

func (s *spy) Send(in []byte) ([]byte, error) {
	out, err := s.TPM.Send(in)
	s.seen = append(append(s.seen, in...), out...)
	return out, err
}

func (s *spy) saw(b []byte) bool { return bytes.Contains(s.seen, b) }

// TestQuotes384: the SHA-384 bank is quoted and read like the other.
func TestQuotes384(t *testing.T) {
	kinds(t, func(t *testing.T, dir, spec string) {
		d := open(t, spec, dir)
		defer stop(t, d)
		extend(t, d, 14)
		a, err := tpm2.NewAK(d)
		if err != nil {
			t.Fatal(err)
		}
		bind := sha256.Sum256([]byte("x"))
		q, err := tpm2.Quote(d, a, bind[:], attest.SHA384, []uint8{0, 7, 14})
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := tpm2.ParseQuote(q.Quote)
		if err != nil || parsed.Bank != attest.SHA384 || len(q.PCRs) != 3 || len(q.PCRs[2].Value) != 48 {
			t.Fatalf("%+v, %v", parsed, err)
		}
	})
}

// TestMemory: what is defined and kept is there after a restart, registers and
// loaded objects are not, and each start is counted.
func TestMemory(t *testing.T) {
	kinds(t, func(t *testing.T, dir, spec string) {
		d := open(t, spec, dir)
		const index = 0x01800001
		owner := gotpm.AuthHandle{Handle: gotpm.TPMRHOwner, Auth: gotpm.PasswordAuth(nil)}
		_, err := gotpm.NVDefineSpace{AuthHandle: owner, PublicInfo: gotpm.New2B(gotpm.TPMSNVPublic{
			NVIndex: index, NameAlg: gotpm.TPMAlgSHA256, DataSize: 8,
			Attributes: gotpm.TPMANV{AuthRead: true, AuthWrite: true, OwnerWrite: true, OwnerRead: true, NoDA: true},
		})}.Execute(d)
		if err != nil {
			t.Fatal(err)
		}
		name := func() gotpm.TPM2BName {
			p, err := gotpm.NVReadPublic{NVIndex: gotpm.TPMHandle(index)}.Execute(d)
			if err != nil {
				t.Fatal(err)
			}
			return p.NVName
		}
		if _, err := (gotpm.NVRead{AuthHandle: owner, NVIndex: gotpm.NamedHandle{Handle: index, Name: name()}, Size: 8}).Execute(d); !errors.Is(err, gotpm.TPMRCNVUninitialized) {
			t.Fatalf("read before it was written: %v", err)
		}
		if _, err := (gotpm.NVWrite{AuthHandle: owner, NVIndex: gotpm.NamedHandle{Handle: index, Name: name()}, Data: gotpm.TPM2BMaxNVBuffer{Buffer: []byte("12345678")}}).Execute(d); err != nil {
			t.Fatal(err)
		}
		k, err := gotpm.CreatePrimary{PrimaryHandle: owner, InPublic: gotpm.New2B(gotpm.RSASRKTemplate)}.Execute(d)
		if err != nil {
			t.Fatal(err)
		}
		const at = gotpm.TPMHandle(0x81000001)
		if _, err := (gotpm.EvictControl{Auth: owner, ObjectHandle: &gotpm.NamedHandle{Handle: k.ObjectHandle, Name: k.Name}, PersistentHandle: at}).Execute(d); err != nil {
			t.Fatal(err)
		}
		extend(t, d, 14)
		stop(t, d)

		d = open(t, spec, dir)
		defer stop(t, d)
		r, err := gotpm.NVRead{AuthHandle: owner, NVIndex: gotpm.NamedHandle{Handle: index, Name: name()}, Size: 4, Offset: 2}.Execute(d)
		if err != nil || string(r.Data.Buffer) != "3456" {
			t.Fatalf("%+v, %v", r, err)
		}
		p, err := gotpm.ReadPublic{ObjectHandle: at}.Execute(d)
		if err != nil || !bytes.Equal(p.Name.Buffer, k.Name.Buffer) {
			t.Fatalf("persistent key: %v", err)
		}
		again, err := gotpm.CreatePrimary{PrimaryHandle: owner, InPublic: gotpm.New2B(gotpm.RSASRKTemplate)}.Execute(d)
		if err != nil || !bytes.Equal(again.Name.Buffer, k.Name.Buffer) {
			t.Fatalf("the RSA primary changed: %v", err)
		}
		values, err := tpm2.ReadPCRs(d, attest.SHA256, []uint8{14})
		if err != nil || !bytes.Equal(values[0].Value, make([]byte, 32)) {
			t.Fatalf("PCR 14 after a restart: %x, %v", values, err)
		}
		if _, err := (gotpm.ReadPublic{ObjectHandle: k.ObjectHandle + 2}).Execute(d); err == nil {
			t.Fatal("a loaded key outlived the restart")
		}
		if _, err := (gotpm.NVUndefineSpace{AuthHandle: owner, NVIndex: gotpm.NamedHandle{Handle: index, Name: name()}}).Execute(d); err != nil {
			t.Fatal(err)
		}
		a, err := tpm2.NewAK(d)
		if err != nil {
			t.Fatal(err)
		}
		q, err := tpm2.Quote(d, a, make([]byte, 32), attest.SHA256, []uint8{14})
		if err != nil {
			t.Fatal(err)
		}
		if parsed, err := tpm2.ParseQuote(q.Quote); err != nil || parsed.Boot.ResetCount < 2 {
			t.Fatalf("boot %+v, %v", parsed.Boot, err)
		}
	})
}

// TestPath opens a swtpm by its socket, as the kernel's device is opened.
func TestPath(t *testing.T) {
	kinds(t, func(t *testing.T, dir, spec string) {
		if spec == Soft {
			t.Skip("the software TPM has no path")
		}
		d := open(t, spec, dir)
		defer stop(t, d)
		sock, err := filepath.Glob(filepath.Join(os.TempDir(), "swtpm*", "tpm"))
		if err != nil || len(sock) == 0 {
			t.Fatalf("no socket: %v", err)
		}
		for _, s := range sock {
			p, err := Open(s, "")
			if err != nil {
				continue // of another test that ended meanwhile
			}
			if p.Kind != "device" || len(p.Chain) == 0 {
				t.Errorf("%s: kind %q, %d certificates", s, p.Kind, len(p.Chain))
			}
			return
		}
		t.Fatal("no socket could be opened")
	})
}

// A file of before, seed and count, is read and goes on.
func TestOldSoftState(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, SoftFile), append(bytes.Repeat([]byte{7}, 32), 0, 0, 0, 41), 0o600); err != nil {
		t.Fatal(err)
	}
	want, err := tpm2.NewAK(softtpm.New(softtpm.Config{Seed: [32]byte(bytes.Repeat([]byte{7}, 32))}))
	if err != nil {
		t.Fatal(err)
	}
	for start := uint32(42); start < 44; start++ {
		d := open(t, Soft, dir)
		a, err := tpm2.NewAK(d)
		if err != nil {
			t.Fatal(err)
		}
		q, err := tpm2.Quote(d, a, make([]byte, 32), attest.SHA256, []uint8{14})
		if err != nil {
			t.Fatal(err)
		}
		p, err := tpm2.ParseQuote(q.Quote)
		if err != nil || p.Boot.ResetCount != start || !bytes.Equal(a.Public, want.Public) {
			t.Fatalf("start %d: %+v, %v", start, p.Boot, err)
		}
		stop(t, d)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, SoftFile), []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spec, dir string
		want      error
	}{
		"unknown":       {"tpm", dir, ErrSpec},
		"no such file":  {filepath.Join(dir, "none"), dir, ErrSpec},
		"a plain file":  {filepath.Join(dir, SoftFile), dir, ErrSpec},
		"damaged state": {Soft, dir, softtpm.ErrState},
		"no directory":  {Soft, filepath.Join(dir, "none"), os.ErrNotExist},
	} {
		if d, err := Open(c.spec, c.dir); !errors.Is(err, c.want) || d != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
