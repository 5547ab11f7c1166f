package report

import (
	"cipherdeck/attest"
	"cipherdeck/attest/links"
)

type step = links.Step[*Trial]

// steps is the chain, in the order in which it is checked.
func (t *Trial) steps() []step {
	rest := manifestSteps()
	for i, s := range rest {
		if t.X.Look && len(t.E.Manifest) == 0 && s.ID != attest.LinkTCB {
			rest[i].Check = (*Trial).unknown
		}
	}
	return append(reportSteps(), rest...)
}

func reportSteps() []step {
	return []step{
		links.New(attest.LinkChain,
			"The maker of the chip certified the key that signs its reports.",
			"X.509 chain to a pinned root, dates, the maker's extensions.",
			"That the chip cannot be opened, or that it is in the machine you believe it is in.",
			"Without it, anybody could sign a report.", (*Trial).chain),
		links.New(attest.LinkRoot,
			"What vouches is of the kind that you demand, and is what was seen first.",
			"Decided by the root that the chain ends in; a pinned identity is compared.",
			"That the maker is honest and its keys are safe.",
			"A verdict is never worth more than what stands at its root.", (*Trial).root),
		links.New(attest.LinkReport,
			"The report is signed by this key.",
			"Strict parse, one encoding, signature over all fields.",
			"When it was signed: see quote.binding.",
			"Everything below is in the signed bytes.", (*Trial).report),
		links.New(attest.LinkNonce,
			"The report was made for this connection, now.",
			"Its first 32 bytes of free data equal our hash of nonce, TLS key and exporter, job key and manifest; the rest is zero.",
			"That nothing else runs in the same environment.",
			"An older report, or one of another connection, would prove nothing about this one.", (*Trial).binding),
		links.New(attest.LinkDebug,
			"The environment is not open to a debugger or to a migration agent.",
			"The attributes in the signed report.",
			"That the program inside gives nothing away by itself.",
			"With debugging on, the host reads all memory.", (*Trial).debug),
	}
}

func manifestSteps() []step {
	return []step{
		links.New(attest.LinkManifest,
			"The manifest is signed by people you accepted.",
			"Ed25519 signatures by different keys of the policy, at least its threshold.",
			"That the signers built or read the program.",
			"It says what the measurements should be.", (*Trial).Manifest),
		links.New(attest.LinkValidity,
			"The manifest is for this product, current and not rolled back.",
			"Product, version at least the highest seen, dates against this machine's clock.",
			"That no newer manifest exists.",
			"An old release may have a known fault.", (*Trial).Validity),
		links.New(attest.LinkDeny,
			"Nothing here is on the manifest's deny list.",
			"Certificate serials and manifest version are looked up; the list is not older than one seen.",
			"That everything bad is on the list.",
			"A stolen key or a faulty release must be refusable at once.", (*Trial).deny),
		links.New(attest.LinkTCB,
			"The chip's firmware is not older than the manifest's floors.",
			"Each part of the version is compared with each floor of this type.",
			"That the newest firmware is free of faults, or that the floor is high enough.",
			"Old firmware has faults that let the host read what it should not.", (*Trial).tcb),
		links.New(attest.LinkLogProof,
			"The manifest is in the server's journal, the same for everyone.",
			"Inclusion proof to a signed checkpoint, cosigned by the witnesses of your policy.",
			"With no witnesses: that others are shown the same journal.",
			"A manifest made for you alone would be seen by nobody else.", (*Trial).LogProof),
		links.New(attest.LinkMeasure,
			"What was loaded is what a baseline says.",
			"The launch measurement equals one of the baseline's, whole.",
			"What happened after the launch, and that the program is free of faults.",
			"It is the program that will see your job.", (*Trial).measurement),
	}
}
