package tpm2

import "cipherdeck/attest"

// step is a link's standing text and how it is checked. A step without a run
// is not built: it is listed so that nobody takes its absence for a pass.
type step struct {
	attest.Link
	run func(*trial) (attest.State, string)
}

// steps is the chain, in the order of attest's link constants.
func steps() []step {
	return append(identitySteps(), contentSteps()...)
}

func identitySteps() []step {
	return []step{
		{attest.Link{ID: attest.LinkRoot,
			Claim:     "Something vouches for the maker of the TPM.",
			Rule:      "No EK certificate is checked in this release, so at most \"software\" is concluded.",
			NotProven: "That a TPM chip exists. Whoever controls the machine could forge all of this."}, (*trial).root},
		{attest.Link{ID: attest.LinkEK,
			Claim:     "The endorsement key has a certificate of a TPM maker.",
			Rule:      "Not built: no EK certificate is asked for.",
			NotProven: "Who made this TPM."}, nil},
		{attest.Link{ID: attest.LinkEnrol,
			Claim:     "The AK lives in the TPM that the certificate names.",
			Rule:      "Not built: credential activation is not run.",
			NotProven: "That the AK and a certified EK are in one chip."}, nil},
		{attest.Link{ID: attest.LinkAK,
			Claim:     "The AK signs only what its TPM wrote, and cannot leave it.",
			Rule:      "Attributes equal 00050472; ECDSA P-256 with SHA-256; name recomputed.",
			NotProven: "That a real TPM enforces these attributes: see root."}, (*trial).ak},
		{attest.Link{ID: attest.LinkSignature,
			Claim:     "The quote is signed by this AK.",
			Rule:      "Strict parse, TPM magic, type quote, signer's qualified name, ECDSA verify.",
			NotProven: "When it was signed: see quote.binding."}, (*trial).signature},
		{attest.Link{ID: attest.LinkNonce,
			Claim:     "The quote was made for this connection, now.",
			Rule:      "Qualifying data equals our hash of nonce, TLS key and exporter, job key, manifest and log.",
			NotProven: "That the TPM is in the same machine as the TLS key: root there can ask it anything."}, (*trial).binding},
		{attest.Link{ID: attest.LinkPCR,
			Claim:     "The PCR values shown are the ones quoted.",
			Rule:      "SHA-256 bank only, exactly the PCRs asked for, digest recomputed.",
			NotProven: "What the values mean: see the log and boot.state."}, (*trial).pcrs},
	}
}

func contentSteps() []step {
	return []step{
		{attest.Link{ID: attest.LinkReplay,
			Claim:     "The application log is the one that was measured.",
			Rule:      "Each event's bytes are hashed into PCR 14 again; the end value is compared.",
			NotProven: "That the program which wrote the log told the truth."}, (*trial).replay},
		{attest.Link{ID: attest.LinkManifest,
			Claim:     "The manifest is signed by people you accepted.",
			Rule:      "Ed25519 signatures by different keys of the policy, at least its threshold.",
			NotProven: "That the signers built or read the program."}, (*trial).manifest},
		{attest.Link{ID: attest.LinkValidity,
			Claim:     "The manifest is for this product, current and not rolled back.",
			Rule:      "Product, version at least the highest seen, dates against this machine's clock.",
			NotProven: "That no newer manifest exists."}, (*trial).validity},
		{attest.Link{ID: attest.LinkDeny,
			Claim:     "Nothing here is on the manifest's deny list.",
			Rule:      "EK certificate serials, AK name, manifest version and measured program are looked up; the list is not older than one seen.",
			NotProven: "That everything bad is on the list."}, (*trial).deny},
		{attest.Link{ID: attest.LinkLogProof,
			Claim:     "The manifest is in a public log, the same for everyone.",
			Rule:      "Not built: no inclusion proof is asked for.",
			NotProven: "That you were shown the same manifest as others."}, nil},
		{attest.Link{ID: attest.LinkBoot,
			Claim:     "Firmware, boot loader and kernel are the accepted ones.",
			Rule:      "Each register that the baseline names has one of its values, or only events that it lists.",
			NotProven: "What was running before the server started."}, (*trial).boot},
		{attest.Link{ID: attest.LinkEvents,
			Claim:     "Every event is one the manifest accepts, in its order.",
			Rule:      "Names and digests are compared one by one; bound events against this connection.",
			NotProven: "Free text in the log, and that a program is free of faults."}, (*trial).events},
	}
}
