package tpm2

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"

	gotpm "github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"cipherdeck/attest"
)

// AK is a loaded attestation key. Close it: a TPM has few slots.
type AK struct {
	Handle gotpm.TPMHandle
	Name   gotpm.TPM2BName
	Public []byte // TPMT_PUBLIC
	tpm    transport.TPM
}

// NewAK makes the attestation key of tpm: a primary key of the endorsement
// hierarchy, so it is the same key after every restart. It is noDA, because a
// TPM that lost power without Shutdown would lock it otherwise.
func NewAK(tpm transport.TPM) (*AK, error) {
	r, err := gotpm.CreatePrimary{
		PrimaryHandle: gotpm.AuthHandle{Handle: gotpm.TPMRHEndorsement, Auth: gotpm.PasswordAuth(nil)},
		InPublic:      gotpm.New2B(akTemplate()),
	}.Execute(tpm)
	if err != nil {
		return nil, fmt.Errorf("create AK: %w", err)
	}
	ak := &AK{Handle: r.ObjectHandle, Name: r.Name, Public: r.OutPublic.Bytes(), tpm: tpm}
	if _, err := ParseAK(ak.Public); err != nil {
		_ = ak.Close()
		return nil, fmt.Errorf("create AK: TPM made another key: %w", err)
	}
	return ak, nil
}

// Close flushes the key from the TPM.
func (ak *AK) Close() error {
	_, err := gotpm.FlushContext{FlushHandle: ak.Handle}.Execute(ak.tpm)
	return err
}

func akTemplate() gotpm.TPMTPublic {
	return gotpm.TPMTPublic{
		Type:    gotpm.TPMAlgECC,
		NameAlg: gotpm.TPMAlgSHA256,
		ObjectAttributes: gotpm.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true,
			UserWithAuth: true, NoDA: true, Restricted: true, SignEncrypt: true,
		},
		Parameters: gotpm.NewTPMUPublicParms(gotpm.TPMAlgECC, &gotpm.TPMSECCParms{
			Scheme: gotpm.TPMTECCScheme{
				Scheme:  gotpm.TPMAlgECDSA,
				Details: gotpm.NewTPMUAsymScheme(gotpm.TPMAlgECDSA, &gotpm.TPMSSigSchemeECDSA{HashAlg: gotpm.TPMAlgSHA256}),
			},
			CurveID: gotpm.TPMECCNistP256,
		}),
	}
}

// Attestation is a quote and the register values it covers.
type Attestation struct {
	Quote     []byte // TPMS_ATTEST
	Signature []byte // TPMT_SIGNATURE
	PCRs      []attest.PCRValue
}

// tries is how often Quote starts again when PCRs change under it.
const tries = 3

// Quote asks tpm to sign bind and pcrs of bank, which must ascend.
// Values are read before the quote, eight at most in a command, and everything
// is asked again when they are not the values quoted. Errors wrap ErrUnstable
// when that does not help.
func Quote(tpm transport.TPM, ak *AK, bind []byte, bank attest.Bank, pcrs []uint8) (Attestation, error) {
	for range tries {
		values, err := ReadPCRs(tpm, bank, pcrs)
		if err != nil {
			return Attestation{}, err
		}
		a, err := quoteOnce(tpm, ak, bind, bank, pcrs)
		if err != nil {
			return Attestation{}, err
		}
		q, err := ParseQuote(a.Quote)
		if err != nil {
			return Attestation{}, fmt.Errorf("TPM made a strange quote: %w", err)
		}
		if bytes.Equal(digestOf(len(q.Digest), values), q.Digest) {
			a.PCRs = values
			return a, nil
		}
	}
	return Attestation{}, ErrUnstable
}

func quoteOnce(tpm transport.TPM, ak *AK, bind []byte, bank attest.Bank, pcrs []uint8) (Attestation, error) {
	r, err := gotpm.Quote{
		SignHandle:     gotpm.AuthHandle{Handle: ak.Handle, Name: ak.Name, Auth: gotpm.PasswordAuth(nil)},
		QualifyingData: gotpm.TPM2BData{Buffer: bind},
		InScheme:       gotpm.TPMTSigScheme{Scheme: gotpm.TPMAlgNull},
		PCRSelect:      selectionOf(bank, pcrs),
	}.Execute(tpm)
	if err != nil {
		return Attestation{}, fmt.Errorf("quote: %w", err)
	}
	if a := r.Signature.SigAlg; a != gotpm.TPMAlgECDSA && a != gotpm.TPMAlgRSASSA {
		return Attestation{}, fmt.Errorf("quote: %w: %04x", ErrAlgorithm, a)
	}
	return Attestation{Quote: bytes.Clone(r.Quoted.Bytes()), Signature: gotpm.Marshal(r.Signature)}, nil
}

// ReadPCRs reads values of bank until all are there: a TPM gives eight at a time.
// pcrs must ascend.
func ReadPCRs(tpm transport.TPM, bank attest.Bank, pcrs []uint8) ([]attest.PCRValue, error) {
	if err := checkPCRs(pcrs); err != nil {
		return nil, err
	}
	var out []attest.PCRValue
	for left := pcrs; len(left) > 0; {
		r, err := gotpm.PCRRead{PCRSelectionIn: selectionOf(bank, left)}.Execute(tpm)
		if err != nil {
			return nil, fmt.Errorf("read PCRs: %w", err)
		}
		n := len(r.PCRValues.Digests)
		if n == 0 || n > len(left) {
			return nil, fmt.Errorf("read PCRs: TPM gave %d values of %d (is bank %04x on?)", n, len(left), uint16(bank))
		}
		for i, d := range r.PCRValues.Digests {
			if len(d.Buffer) != bank.Size() {
				return nil, fmt.Errorf("read PCR %d: %d bytes, want %d", left[i], len(d.Buffer), bank.Size())
			}
			out = append(out, attest.PCRValue{Index: left[i], Value: bytes.Clone(d.Buffer)})
		}
		left = left[n:]
	}
	return out, nil
}

func selectionOf(bank attest.Bank, pcrs []uint8) gotpm.TPMLPCRSelection {
	bits := Select(pcrs)
	return gotpm.TPMLPCRSelection{PCRSelections: []gotpm.TPMSPCRSelection{{
		Hash: gotpm.TPMAlgID(bank), PCRSelect: bits[:],
	}}}
}

// digestOf is the PCR digest of values, made with SHA-256 or SHA-384 by its
// size: that of the signature's hash, whatever the bank is.
func digestOf(size int, values []attest.PCRValue) []byte {
	h := sha256.New()
	if size == sha512.Size384 {
		h = sha512.New384()
	}
	for _, v := range values {
		h.Write(v.Value)
	}
	return h.Sum(nil)
}

func checkPCRs(pcrs []uint8) error {
	for i, p := range pcrs {
		if p >= 24 || (i > 0 && p <= pcrs[i-1]) {
			return fmt.Errorf("%w: PCR list %v must ascend and stay below 24", ErrAsk, pcrs)
		}
	}
	if len(pcrs) == 0 {
		return fmt.Errorf("%w: no PCRs", ErrAsk)
	}
	return nil
}
