//go:build linux

package device

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"

	gotpm "github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

func by(h gotpm.TPMHandle, pw string) gotpm.AuthHandle {
	return gotpm.AuthHandle{Handle: h, Auth: gotpm.PasswordAuth([]byte(pw))}
}

func withName(h gotpm.TPMHandle, n gotpm.TPM2BName, a gotpm.Session) gotpm.AuthHandle {
	return gotpm.AuthHandle{Handle: h, Name: n, Auth: a}
}

func flush(t *testing.T, d transport.TPM, h gotpm.TPMHandle) {
	t.Helper()
	if _, err := (gotpm.FlushContext{FlushHandle: h}).Execute(d); err != nil {
		t.Fatal(err)
	}
}

func primary(t *testing.T, d transport.TPM, of gotpm.AuthHandle, p gotpm.TPMTPublic) *gotpm.CreatePrimaryResponse {
	t.Helper()
	r, err := gotpm.CreatePrimary{PrimaryHandle: of, InPublic: gotpm.New2B(p)}.Execute(d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// signing is the template of an ECDSA key.
func signing(curve gotpm.TPMECCCurve, hash gotpm.TPMIAlgHash, policy []byte) gotpm.TPMTPublic {
	return gotpm.TPMTPublic{
		Type: gotpm.TPMAlgECC, NameAlg: gotpm.TPMAlgSHA256, AuthPolicy: gotpm.TPM2BDigest{Buffer: policy},
		ObjectAttributes: gotpm.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true,
			UserWithAuth: policy == nil, NoDA: true, SignEncrypt: true},
		Parameters: gotpm.NewTPMUPublicParms(gotpm.TPMAlgECC, &gotpm.TPMSECCParms{CurveID: curve,
			Scheme: gotpm.TPMTECCScheme{Scheme: gotpm.TPMAlgECDSA,
				Details: gotpm.NewTPMUAsymScheme(gotpm.TPMAlgECDSA, &gotpm.TPMSSigSchemeECDSA{HashAlg: hash})}}),
	}
}

func sign(d transport.TPM, k *gotpm.CreatePrimaryResponse, a gotpm.Session, digest []byte) (*gotpm.SignResponse, error) {
	return gotpm.Sign{KeyHandle: withName(k.ObjectHandle, k.Name, a), Digest: gotpm.TPM2BDigest{Buffer: digest},
		InScheme:   gotpm.TPMTSigScheme{Scheme: gotpm.TPMAlgNull},
		Validation: gotpm.TPMTTKHashCheck{Tag: gotpm.TPMSTHashCheck, Hierarchy: gotpm.TPMRHNull}}.Execute(d)
}

// asserts runs the assertions of a policy, in a session that it is given.
type asserts func(t *testing.T, d transport.TPM, s gotpm.TPMISHPolicy) error

func commandIs(cc gotpm.TPMCC) asserts {
	return func(_ *testing.T, d transport.TPM, s gotpm.TPMISHPolicy) error {
		_, err := gotpm.PolicyCommandCode{PolicySession: s, Code: cc}.Execute(d)
		return err
	}
}

func secretOf(h gotpm.TPMHandle, pw string) asserts {
	return func(_ *testing.T, d transport.TPM, s gotpm.TPMISHPolicy) error {
		_, err := gotpm.PolicySecret{AuthHandle: by(h, pw), PolicySession: s}.Execute(d)
		return err
	}
}

func both(all ...asserts) asserts {
	return func(t *testing.T, d transport.TPM, s gotpm.TPMISHPolicy) error {
		for _, a := range all {
			if err := a(t, d, s); err != nil {
				return err
			}
		}
		return nil
	}
}

func either(list ...gotpm.TPM2BDigest) asserts {
	return func(_ *testing.T, d transport.TPM, s gotpm.TPMISHPolicy) error {
		_, err := gotpm.PolicyOr{PolicySession: s, PHashList: gotpm.TPMLDigest{Digests: list}}.Execute(d)
		return err
	}
}

// digestOf is what a trial session says the assertions come to.
func digestOf(t *testing.T, d transport.TPM, a asserts) []byte {
	t.Helper()
	s, done, err := gotpm.PolicySession(d, gotpm.TPMAlgSHA256, 16, gotpm.Trial())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = done() }()
	if err := a(t, d, s.Handle()); err != nil {
		t.Fatal(err)
	}
	r, err := gotpm.PolicyGetDigest{PolicySession: s.Handle()}.Execute(d)
	if err != nil {
		t.Fatal(err)
	}
	return r.PolicyDigest.Buffer
}

func session(t *testing.T, a asserts) gotpm.Session {
	return gotpm.Policy(gotpm.TPMAlgSHA256, 16, gotpm.PolicyCallback(func(d transport.TPM, s gotpm.TPMISHPolicy, _ gotpm.TPM2BNonce) error {
		return a(t, d, s)
	}))
}

// TestPolicies: a key is used when its policy is met, in each of its ways, and
// the policies have the same digests on every TPM.
func TestPolicies(t *testing.T) {
	digests := map[string][]byte{}
	kinds(t, func(t *testing.T, dir, spec string) {
		d := open(t, spec, dir)
		defer stop(t, d)
		is := func(cc gotpm.TPMCC) gotpm.TPM2BDigest {
			return gotpm.TPM2BDigest{Buffer: digestOf(t, d, commandIs(cc))}
		}
		or := either(is(gotpm.TPMCCSign), is(gotpm.TPMCCCertify))
		hash := sha256.Sum256([]byte("x"))
		for name, c := range map[string]struct {
			of, met asserts
			want    error
		}{
			"command":       {commandIs(gotpm.TPMCCSign), nil, nil},
			"other command": {commandIs(gotpm.TPMCCCertify), nil, gotpm.TPMRCPolicyCC},
			"secret":        {secretOf(gotpm.TPMRHOwner, ""), nil, nil},
			"wrong secret":  {secretOf(gotpm.TPMRHOwner, ""), secretOf(gotpm.TPMRHOwner, "no"), gotpm.TPMRCBadAuth},
			"other secret":  {secretOf(gotpm.TPMRHOwner, ""), secretOf(gotpm.TPMRHEndorsement, ""), gotpm.TPMRCPolicyFail},
			"or":            {both(commandIs(gotpm.TPMCCSign), or), nil, nil},
			"or, other way": {both(commandIs(gotpm.TPMCCSign), or), both(commandIs(gotpm.TPMCCCertify), or), gotpm.TPMRCPolicyCC},
			"or, neither":   {both(commandIs(gotpm.TPMCCSign), or), both(secretOf(gotpm.TPMRHOwner, ""), or), gotpm.TPMRCValue},
			"nothing":       {commandIs(gotpm.TPMCCSign), both(), gotpm.TPMRCPolicyFail},
		} {
			policy := digestOf(t, d, c.of)
			if other, seen := digests[name]; seen && !bytes.Equal(policy, other) {
				t.Errorf("%s: digest %x, another TPM's is %x", name, policy, other)
			}
			digests[name] = policy
			k := primary(t, d, by(gotpm.TPMRHOwner, ""), signing(gotpm.TPMECCNistP256, gotpm.TPMAlgSHA256, policy))
			met := c.met
			if met == nil {
				met = c.of
			}
			if _, err := sign(d, k, session(t, met), hash[:]); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
			if _, err := sign(d, k, gotpm.PasswordAuth(nil), hash[:]); err == nil {
				t.Errorf("%s: used without its policy", name)
			}
			flush(t, d, k.ObjectHandle)
		}
	})
}

// TestAuthorizedPolicy: the holder of a key says which policies are good.
func TestAuthorizedPolicy(t *testing.T) {
	kinds(t, func(t *testing.T, dir, spec string) {
		d := open(t, spec, dir)
		defer stop(t, d)
		owner := by(gotpm.TPMRHOwner, "")
		boss := primary(t, d, owner, signing(gotpm.TPMECCNistP256, gotpm.TPMAlgSHA256, nil))
		good := commandIs(gotpm.TPMCCSign)
		approved := digestOf(t, d, good)
		sum := sha256.Sum256(approved)
		s, err := sign(d, boss, gotpm.PasswordAuth(nil), sum[:])
		if err != nil {
			t.Fatal(err)
		}
		v, err := gotpm.VerifySignature{KeyHandle: boss.ObjectHandle, Digest: gotpm.TPM2BDigest{Buffer: sum[:]}, Signature: s.Signature}.Execute(d)
		if err != nil {
			t.Fatal(err)
		}
		authorize := func(ticket gotpm.TPMTTKVerified) asserts {
			return func(_ *testing.T, d transport.TPM, h gotpm.TPMISHPolicy) error {
				_, err := gotpm.PolicyAuthorize{PolicySession: h, ApprovedPolicy: gotpm.TPM2BDigest{Buffer: approved}, KeySign: boss.Name, CheckTicket: ticket}.Execute(d)
				return err
			}
		}
		forged := v.Validation
		forged.Digest.Buffer = bytes.Clone(forged.Digest.Buffer)
		forged.Digest.Buffer[0] ^= 1
		k := primary(t, d, owner, signing(gotpm.TPMECCNistP256, gotpm.TPMAlgSHA256, digestOf(t, d, authorize(v.Validation))))
		if _, err := sign(d, k, session(t, both(good, authorize(v.Validation))), sum[:]); err != nil {
			t.Error(err)
		}
		if _, err := sign(d, k, session(t, both(good, authorize(forged))), sum[:]); err == nil {
			t.Error("a forged ticket was taken")
		}
		if _, err := sign(d, k, session(t, both(commandIs(gotpm.TPMCCCertify), authorize(v.Validation))), sum[:]); !errors.Is(err, gotpm.TPMRCValue) {
			t.Errorf("a policy that nobody approved: %v", err)
		}
		other := sha256.Sum256([]byte("y"))
		if _, err := (gotpm.VerifySignature{KeyHandle: boss.ObjectHandle, Digest: gotpm.TPM2BDigest{Buffer: other[:]}, Signature: s.Signature}).Execute(d); !errors.Is(err, gotpm.TPMRCSignature) {
			t.Errorf("a signature of something else: %v", err)
		}
	})
}

// TestSavedContext: an object goes out and comes back; a changed one does not.
func TestSavedContext(t *testing.T) {
	kinds(t, func(t *testing.T, dir, spec string) {
		d := open(t, spec, dir)
		defer func() { stop(t, d) }() // the one that is open then
		k := primary(t, d, by(gotpm.TPMRHOwner, ""), signing(gotpm.TPMECCNistP384, gotpm.TPMAlgSHA384, nil))
		s, err := gotpm.ContextSave{SaveHandle: k.ObjectHandle}.Execute(d)
		if err != nil {
			t.Fatal(err)
		}
		flush(t, d, k.ObjectHandle)
		l, err := gotpm.ContextLoad{Context: s.Context}.Execute(d)
		if err != nil {
			t.Fatal(err)
		}
		p, err := gotpm.ReadPublic{ObjectHandle: l.LoadedHandle}.Execute(d)
		if err != nil || !bytes.Equal(p.Name.Buffer, k.Name.Buffer) {
			t.Fatalf("%v, %v", p, err)
		}
		k.ObjectHandle = l.LoadedHandle
		if _, err := sign(d, k, gotpm.PasswordAuth(nil), make([]byte, 48)); err != nil {
			t.Fatal(err)
		}
		bad := s.Context
		bad.ContextBlob.Buffer = bytes.Clone(bad.ContextBlob.Buffer)
		bad.ContextBlob.Buffer[len(bad.ContextBlob.Buffer)-1] ^= 1
		if _, err := (gotpm.ContextLoad{Context: bad}).Execute(d); !errors.Is(err, gotpm.TPMRCIntegrity) {
			t.Errorf("a changed context: %v", err)
		}
		stop(t, d)
		d = open(t, spec, dir)
		if _, err := (gotpm.ContextLoad{Context: s.Context}).Execute(d); err == nil {
			t.Error("a context outlived a restart")
		}
	})
}

// TestSaysOfItself: how a key was made and what time it is.
func TestSaysOfItself(t *testing.T) {
	kinds(t, func(t *testing.T, dir, spec string) {
		d := open(t, spec, dir)
		defer stop(t, d)
		owner, none := by(gotpm.TPMRHOwner, ""), gotpm.TPMTSigScheme{Scheme: gotpm.TPMAlgNull}
		a := primary(t, d, owner, signing(gotpm.TPMECCNistP256, gotpm.TPMAlgSHA256, nil))
		k := primary(t, d, owner, gotpm.ECCSRKTemplate)
		say := func(sum []byte) (*gotpm.CertifyCreationResponse, error) {
			return gotpm.CertifyCreation{SignHandle: withName(a.ObjectHandle, a.Name, gotpm.PasswordAuth(nil)),
				ObjectHandle: gotpm.NamedHandle{Handle: k.ObjectHandle, Name: k.Name}, QualifyingData: gotpm.TPM2BData{Buffer: []byte("fresh")},
				CreationHash: gotpm.TPM2BDigest{Buffer: sum}, InScheme: none, CreationTicket: k.CreationTicket}.Execute(d)
		}
		c, err := say(k.CreationHash.Buffer)
		if err != nil {
			t.Fatal(err)
		}
		said, err := c.CertifyInfo.Contents()
		if err != nil {
			t.Fatal(err)
		}
		made, err := said.Attested.Creation()
		if err != nil || !bytes.Equal(made.ObjectName.Buffer, k.Name.Buffer) || !bytes.Equal(made.CreationHash.Buffer, k.CreationHash.Buffer) || string(said.ExtraData.Buffer) != "fresh" {
			t.Fatalf("%+v, %v", made, err)
		}
		if _, err := say(make([]byte, 32)); !errors.Is(err, gotpm.TPMRCTicket) {
			t.Errorf("another creation: %v", err)
		}
		g, err := gotpm.GetTime{PrivacyAdminHandle: gotpm.TPMIRHEndorsement(gotpm.TPMRHEndorsement), SignHandle: withName(a.ObjectHandle, a.Name, gotpm.PasswordAuth(nil)),
			QualifyingData: gotpm.TPM2BData{Buffer: []byte("fresh")}, InScheme: none}.Execute(d)
		if err != nil {
			t.Fatal(err)
		}
		now, err := gotpm.ReadClock{}.Execute(d)
		if err != nil {
			t.Fatal(err)
		}
		if said, err = g.TimeInfo.Contents(); err != nil {
			t.Fatal(err)
		}
		at, err := said.Attested.Time()
		if err != nil || at.Time.ClockInfo.ResetCount != now.CurrentTime.ClockInfo.ResetCount || at.Time.ClockInfo.Clock > now.CurrentTime.ClockInfo.Clock {
			t.Fatalf("%+v, clock %+v, %v", at, now, err)
		}
	})
}

// TestNewOwner: after TPM2_Clear the owner's keys are others, his memory is
// gone, his password is none; the endorsement key and its certificate stay.
func TestNewOwner(t *testing.T) {
	kinds(t, func(t *testing.T, dir, spec string) {
		d := open(t, spec, dir)
		defer func() { stop(t, d) }() // the one that is open then
		name := func(h gotpm.TPMHandle, pw string) []byte {
			k := primary(t, d, by(h, pw), signing(gotpm.TPMECCNistP256, gotpm.TPMAlgSHA256, nil))
			flush(t, d, k.ObjectHandle)
			return k.Name.Buffer
		}
		ek, own := name(gotpm.TPMRHEndorsement, ""), name(gotpm.TPMRHOwner, "")
		if _, err := (gotpm.HierarchyChangeAuth{AuthHandle: by(gotpm.TPMRHOwner, ""), NewAuth: gotpm.TPM2BAuth{Buffer: []byte("mine")}}).Execute(d); err != nil {
			t.Fatal(err)
		}
		if _, err := (gotpm.CreatePrimary{PrimaryHandle: by(gotpm.TPMRHOwner, ""), InPublic: gotpm.New2B(gotpm.ECCSRKTemplate)}).Execute(d); !errors.Is(err, gotpm.TPMRCBadAuth) {
			t.Fatalf("without the password: %v", err)
		}
		if !bytes.Equal(name(gotpm.TPMRHOwner, "mine"), own) {
			t.Error("a password changed the keys")
		}
		if _, err := (gotpm.Clear{AuthHandle: by(gotpm.TPMRHOwner, "mine")}).Execute(d); err == nil {
			t.Fatal("the owner cleared it, who may not")
		}
		if _, err := (gotpm.Clear{AuthHandle: by(gotpm.TPMRHLockout, "")}).Execute(d); err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(name(gotpm.TPMRHOwner, ""), own) {
			t.Error("the new owner has the old one's keys")
		}
		if !bytes.Equal(name(gotpm.TPMRHEndorsement, ""), ek) {
			t.Error("another endorsement key")
		}
		after := name(gotpm.TPMRHOwner, "")
		stop(t, d)
		d = open(t, spec, dir)
		if !bytes.Equal(name(gotpm.TPMRHOwner, ""), after) || len(d.Chain) == 0 {
			t.Error("a restart brings the old owner back, or lost the certificate")
		}
	})
}

// TestNullHierarchy: its keys are the same until the TPM is reset, and never
// again; nothing keeps one over a reset.
func TestNullHierarchy(t *testing.T) {
	kinds(t, func(t *testing.T, dir, spec string) {
		d := open(t, spec, dir)
		templates := map[string]gotpm.TPMTPublic{"ECC": signing(gotpm.TPMECCNistP256, gotpm.TPMAlgSHA256, nil), "RSA": gotpm.RSASRKTemplate}
		names := func() map[string][]byte {
			out := map[string][]byte{}
			for kind, p := range templates {
				k := primary(t, d, by(gotpm.TPMRHNull, ""), p)
				out[kind] = k.Name.Buffer
				if r, err := (gotpm.ReadPublic{ObjectHandle: k.ObjectHandle}).Execute(d); err != nil || !bytes.Equal(r.QualifiedName.Buffer, qualified(gotpm.TPMRHNull, k.Name.Buffer)) {
					t.Errorf("%s: qualified name %x, %v", kind, r.QualifiedName.Buffer, err)
				}
				_, err := gotpm.EvictControl{Auth: by(gotpm.TPMRHOwner, ""), PersistentHandle: 0x81000010,
					ObjectHandle: &gotpm.NamedHandle{Handle: k.ObjectHandle, Name: k.Name}}.Execute(d)
				if !errors.Is(err, gotpm.TPMRCAttributes) {
					t.Errorf("%s: kept: %v", kind, err)
				}
				flush(t, d, k.ObjectHandle)
			}
			return out
		}
		first, again := names(), names()
		k := primary(t, d, by(gotpm.TPMRHNull, ""), templates["ECC"])
		s, err := gotpm.ContextSave{SaveHandle: k.ObjectHandle}.Execute(d)
		if err != nil {
			t.Fatal(err)
		}
		stop(t, d)
		d = open(t, spec, dir)
		defer func() { stop(t, d) }()
		if _, err := (gotpm.ContextLoad{Context: s.Context}).Execute(d); !errors.Is(err, gotpm.TPMRCIntegrity) {
			t.Errorf("a saved key outlived the reset: %v", err)
		}
		after := names()
		for kind := range templates {
			if !bytes.Equal(first[kind], again[kind]) {
				t.Errorf("%s: two keys in one start", kind)
			}
			if bytes.Equal(first[kind], after[kind]) {
				t.Errorf("%s: the same key after a reset", kind)
			}
		}
	})
}

// qualified is the qualified name of a primary key that is named with SHA-256.
func qualified(hierarchy gotpm.TPMHandle, name []byte) []byte {
	sum := sha256.Sum256(append(binary.BigEndian.AppendUint32(nil, uint32(hierarchy)), name...))
	return append([]byte{0, byte(gotpm.TPMAlgSHA256)}, sum[:]...)
}
