package tpm2

import (
	"cipherdeck/attest"
	"cipherdeck/attest/links"
)

type step = links.Step[*trial]

// steps is the chain, in the order of attest's link constants.
func steps() []step {
	return append(append(identitySteps(), quoteSteps()...), contentSteps()...)
}

func identitySteps() []step {
	return []step{
		links.New(attest.LinkEK,
			"A maker of TPMs certified the endorsement key.",
			"X.509 chain to a pinned root, TCG key usage, dates; the certificate is for the key shown.",
			"That the maker built the TPM well, or that it is in this machine.",
			"Without it, the TPM may be a program that says whatever it is told.", (*trial).certificate),
		links.New(attest.LinkRoot,
			"What vouches is of the kind that you demand.",
			"Decided by the root that the chain ends in, never by what the machine says of itself.",
			"That a chip cannot be opened, or that who runs a hypervisor is honest.",
			"A verdict is never worth more than what stands at its root.", (*trial).root),
		links.New(attest.LinkEnrol,
			"The attestation key lives in the TPM that was certified, and both are those seen first.",
			"Credential activation (TPM2_MakeCredential), at most 30 days ago; pinned identity compared.",
			"That the TPM is in the machine you believe it is in.",
			"A certificate of one TPM could be shown beside quotes of another.", (*trial).enrolled),
		links.New(attest.LinkAK,
			"The attestation key signs only what its TPM wrote, and cannot leave it.",
			"Attributes equal 00050472; ECDSA or RSASSA with SHA-256 or more; name recomputed.",
			"That a real TPM enforces these attributes: see root.",
			"A key that signs anything would sign a forged quote.", (*trial).ak),
	}
}

func quoteSteps() []step {
	return []step{
		links.New(attest.LinkSignature,
			"The quote is signed by this key.",
			"Strict parse, TPM magic, type quote, signer's qualified name, signature.",
			"When it was signed: see quote.binding.",
			"Everything below is in the signed bytes.", (*trial).signature),
		links.New(attest.LinkNonce,
			"The quote was made for this connection, now.",
			"Qualifying data equals our hash of nonce, TLS key and exporter, job key, manifest and logs.",
			"That the TPM is in the same machine as the TLS key: root there can ask it anything.",
			"An older quote, or one of another connection, would prove nothing about this one.", (*trial).binding),
		links.New(attest.LinkPCR,
			"The register values shown are the ones quoted.",
			"One bank, exactly the PCRs asked for, digest recomputed.",
			"What the values mean: see the logs and boot.state.",
			"Values that were not quoted are only claimed.", (*trial).pcrs),
		links.New(attest.LinkClock,
			"The TPM's own past goes on from the last verdict.",
			"Reset and restart count, clock and firmware are compared with the last good verdict.",
			"That nothing happened between two verdicts.",
			"A reboot may have started something else.", (*trial).clock),
		links.New(attest.LinkReplay,
			"The application log is the one that was measured.",
			"Each event's bytes are hashed into PCR 14 again; the end value is compared.",
			"That the program which wrote the log told the truth.",
			"The log names program, configuration and keys.", (*trial).replay),
		links.New(attest.LinkFirmware,
			"The firmware's log is the one that was measured.",
			"Each event is hashed into its register again; registers that no log explains are named.",
			"Event types, and text that no digest covers.",
			"The values alone do not say what was booted.", (*trial).firmware),
		links.New(attest.LinkSecureBoot,
			"Secure Boot was on.",
			"The variable as measured into PCR 7 before the separator.",
			"Whose keys are enrolled: they are in the table of PCR 7.",
			"With it off, any kernel may start.", (*trial).secureBoot),
		links.New(attest.LinkIMA,
			"The kernel's list of opened files is the one that was measured.",
			"Each entry is hashed into PCR 10 again.",
			"That the files are good: they are shown and demanded by no baseline.",
			"It shows what ran beside the server.", (*trial).imaLog),
	}
}

func contentSteps() []step {
	return []step{
		links.New(attest.LinkManifest,
			"The manifest is signed by people you accepted.",
			"Ed25519 signatures by different keys of the policy, at least its threshold.",
			"That the signers built or read the program.",
			"It says what the measurements should be.", (*trial).Manifest),
		links.New(attest.LinkValidity,
			"The manifest is for this product, current and not rolled back.",
			"Product, version at least the highest seen, dates against this machine's clock.",
			"That no newer manifest exists.",
			"An old release may have a known fault.", (*trial).Validity),
		links.New(attest.LinkDeny,
			"Nothing here is on the manifest's deny list.",
			"Certificate serials, AK name, manifest version and program are looked up; the list is not older than one seen.",
			"That everything bad is on the list.",
			"A stolen key or a faulty release must be refusable at once.", (*trial).deny),
		links.New(attest.LinkLogProof,
			"The manifest is in the server's journal, the same for everyone.",
			"Inclusion proof to a signed checkpoint, cosigned by the witnesses of your policy.",
			"With no witnesses: that others are shown the same journal.",
			"A manifest made for you alone would be seen by nobody else.", (*trial).LogProof),
		links.New(attest.LinkBoot,
			"Firmware, boot loader and kernel are those of one baseline.",
			"Each register that the baseline names has one of its values, or only events that it lists.",
			"Anything about registers that the baseline does not name.",
			"The program's own log counts only if what started it is known.", (*trial).state),
		links.New(attest.LinkEvents,
			"Every event of the application log is one that the same baseline accepts, in its order.",
			"Names and digests are compared one by one; bound events against this connection.",
			"Free text in the log, and that a program is free of faults.",
			"It is the program that will see your job.", (*trial).events),
		links.New(attest.LinkJobKey,
			"The key that jobs are sealed to is in this TPM and opens in this state only.",
			"Certified by the attestation key; attributes and policy (PCRs) recomputed.",
			"What the machine does with a job after it opened it.",
			"After a reboot into something else the key is of no use.", (*trial).jobKey),
	}
}
