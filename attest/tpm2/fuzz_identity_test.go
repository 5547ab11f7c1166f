package tpm2_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"cipherdeck/attest"
	"cipherdeck/attest/device"
	"cipherdeck/attest/softtpm"
	"cipherdeck/attest/tpm2"
)

// FuzzCertified: the one job key that this AK ever certified is the only one
// that is accepted. It is a frozen one: keys of the null hierarchy are others in
// every process, and a fuzzer has several.
func FuzzCertified(f *testing.F) {
	e := vectors(f)["soft-p256"].decoded(f)
	ak, err := tpm2.ParseAK(e.AK)
	if err != nil {
		f.Fatal(err)
	}
	bind := tpm2.CertifyBind()
	f.Add(e.KeyPublic, e.KeyCertify, e.KeySig)
	f.Add(e.AK, e.Quote, e.Signature)
	f.Add(e.EK, e.KeyCertify[:20], e.KeySig[:8])
	f.Fuzz(func(t *testing.T, pub, certify, sig []byte) {
		k, err := tpm2.CheckCertified(ak, pub, certify, sig, bind[:], attest.SHA256, e.PCRs)
		if err != nil {
			return
		}
		if !bytes.Equal(pub, e.KeyPublic) || !bytes.Equal(k.Point, e.JobKey) {
			t.Fatalf("nobody certified %x by %x", pub, certify)
		}
	})
}

// FuzzEK: a public area that is read as an endorsement key is one that a
// credential can be made for, and its name is the hash of its bytes.
func FuzzEK(f *testing.F) {
	e, _ := endorsed(f)
	f.Add(e.EK)
	f.Add(e.AK)
	f.Add(e.KeyPublic)
	f.Fuzz(func(t *testing.T, pub []byte) {
		k, err := tpm2.ParseEK(pub)
		if err != nil {
			return
		}
		if sum := sha256.Sum256(pub); len(k.Name) == 34 && !bytes.Equal(k.Name[2:], sum[:]) {
			t.Fatalf("name %x of %x", k.Name, pub)
		}
		if _, err := tpm2.MakeCredential(rand.Reader, pub, append([]byte{0, 11}, make([]byte, 32)...), make([]byte, tpm2.SecretSize)); err != nil {
			t.Fatalf("an endorsement key without credentials: %v", err)
		}
	})
}

// credentials is a TPM with its two keys, and a credential for them.
func credentials(t testing.TB) (d *device.Device, ek *tpm2.EK, ak *tpm2.AK, good tpm2.Credential, secret []byte) {
	t.Helper()
	tpm, err := softtpm.StartSeeded(softtpm.Config{Seed: [32]byte{3}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d, err = device.NewSoft(tpm); err != nil {
		t.Fatal(err)
	}
	if ek, err = tpm2.NewEK(d, nil); err != nil {
		t.Fatal(err)
	}
	if ak, err = tpm2.NewAK(d); err != nil {
		t.Fatal(err)
	}
	secret = bytes.Repeat([]byte{7}, tpm2.SecretSize)
	if good, err = tpm2.MakeCredential(rand.Reader, ek.Public, ak.Name.Buffer, secret); err != nil {
		t.Fatal(err)
	}
	return d, ek, ak, good, secret
}

// FuzzActivate: a credential that opens gives the secret that was put in, and
// one that does not open leaves the TPM as it was.
func FuzzActivate(f *testing.F) {
	d, ek, ak, good, secret := credentials(f)
	f.Add(good.Blob, good.Secret)
	f.Add(good.Secret, good.Blob)
	f.Add(good.Blob[:len(good.Blob)-1], good.Secret)
	f.Fuzz(func(t *testing.T, blob, enc []byte) {
		got, err := tpm2.Activate(d, ek, ak, tpm2.Credential{Blob: blob, Secret: enc})
		if err == nil && !bytes.Equal(got, secret) {
			t.Fatalf("nobody put in %x", got)
		}
		if got, err := tpm2.Activate(d, ek, ak, good); err != nil || !bytes.Equal(got, secret) {
			t.Fatalf("after %x, %x: %v", blob, enc, err)
		}
	})
}

// TestBadCredentialsLeakNothing: anybody may send credentials, so one that does
// not open must not keep a session of the TPM, which has a few.
func TestBadCredentialsLeakNothing(t *testing.T) {
	d, ek, ak, good, secret := credentials(t)
	bad := tpm2.Credential{Blob: bytes.Clone(good.Blob), Secret: good.Secret}
	bad.Blob[len(bad.Blob)-1] ^= 1
	for i := range 200 {
		if _, err := tpm2.Activate(d, ek, ak, bad); err == nil {
			t.Fatal("it opened")
		}
		if got, err := tpm2.Activate(d, ek, ak, good); err != nil || !bytes.Equal(got, secret) {
			t.Fatalf("after %d bad ones: %v", i+1, err)
		}
	}
}
