package app

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"cipherdeck/attest"
	"cipherdeck/attest/channel"
	"cipherdeck/attest/dcap"
	"cipherdeck/attest/device"
	"cipherdeck/attest/ek"
	"cipherdeck/attest/manifest"
	"cipherdeck/attest/softtpm"
	"cipherdeck/crypto/agefile"
	"cipherdeck/crypto/archive"
	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/cobblestone"
	"cipherdeck/crypto/coretex"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/keys"
	"cipherdeck/crypto/seal"
	typed "cipherdeck/crypto/secret"
	"cipherdeck/crypto/sshsig"
	"cipherdeck/crypto/tlog"
	"cipherdeck/crypto/words"
	"cipherdeck/fhe"
	"cipherdeck/fhe/job"
	"cipherdeck/fhe/onnx"
	"cipherdeck/fhe/score"
	"cipherdeck/remote/api"
	"cipherdeck/remote/backup"
	"cipherdeck/remote/journal"
	"cipherdeck/remote/server"
	"cipherdeck/remote/store"
	"cipherdeck/remote/store/jetstream"
	"cipherdeck/remote/store/rooms"
	"cipherdeck/remote/store/space"
	"cipherdeck/remote/witness"
	"cipherdeck/ui/clip"
	"cipherdeck/vault"
	"cipherdeck/vault/account"
	"cipherdeck/vault/agent"
	"cipherdeck/vault/ageplugin"
	"cipherdeck/vault/dataset"
	"cipherdeck/vault/dataset/parquet"
	"cipherdeck/vault/dataset/risk"
	"cipherdeck/vault/dataset/rules"
	"cipherdeck/vault/pkcs11"
	"cipherdeck/vault/private"
	"cipherdeck/vault/project"
	"cipherdeck/vault/project/bundle"
	"cipherdeck/vault/sealedlog"
	"cipherdeck/vault/secret"
	"cipherdeck/vault/shamir"
	"cipherdeck/vault/tpm"
)

// The errors of a face that asks for arguments and passphrases.
var (
	ErrUsage        = errors.New("usage")
	ErrNoPassphrase = errors.New("no passphrase")
)

// faultRule maps a promised error to its fault.
type faultRule struct {
	is   error
	code string
	exit int
	cure string
}

// Cures that several errors share.
const (
	cureOtherName = "choose another name"
	cureSealAgain = "get the file again from whoever sealed it"
	cureOtherNode = "do not use the result; run on another node with new keys"
	cureStored    = "the server or its disk changed stored data; nothing wrong was shown"
	cureBackup    = "restore the .bak file beside the vault"
	cureAsk       = "ask the operator by another channel whether this change is meant"
	cureKeyFile   = "give one RSA key of 2048 to 8192 bits in PEM, without a passphrase"
	cureOwner     = "ask an owner of the project for the right"
	cureTryAgain  = "wait a moment and try again"
	cureNewer     = "use a newer version of this program"
	failedCure    = "see the cause; if it says nothing to you, report it with the command line"
)

// faultRules is searched in order: the first error that matches decides.
// docs/exit-codes.md is made from it.
func faultRules() []faultRule {
	out := []faultRule{
		{ErrUsage, "usage", ExitUsage, "see: cipherdeck help COMMAND"},
		{context.Canceled, "interrupted", ExitInterrupted, "run it again"},
	}
	for _, more := range [][]faultRule{keyFaults(), trustFaults(), rightFaults(), resultFaults(), inputFaults(), storedFaults(), wayFaults(), systemFaults()} {
		out = append(out, more...)
	}
	return out
}

// keyFaults are about passphrases and keys.
func keyFaults() []faultRule {
	const again = "try again; the passphrase is case-sensitive and nothing was changed"
	return []faultRule{
		{ErrNoPassphrase, "no-passphrase", ExitLocked, "type it on a terminal, or hand it over as the cause says"},
		{vault.ErrWrongPassphrase, "wrong-passphrase", ExitLocked, again},
		{account.ErrWaiting, "waiting", ExitLocked, "on a machine that has the account: cipherdeck device approve FILE; then here: cipherdeck device finish ANSWER; device show has the words"},
		{account.ErrRevoked, "device-revoked", ExitForbidden, "if you did not revoke this machine, somebody has the keys of your account; what is in this vault still opens, nothing can be sent in your name from here"},
		{account.ErrElsewhere, "keys-elsewhere", ExitConflict, "on that device: cipherdeck device keys THIS -o FILE; then here: cipherdeck device finish FILE"},
		{account.ErrDiverged, "account-diverged", ExitConflict, "two of your devices acted at the same time, or somebody has your keys: go on with a device whose account the server has, and revoke this one there"},
		{account.ErrStale, "nothing-new", ExitConflict, "it was taken before; have a newer one made: device keys"},
		{account.ErrAnswer, "wrong-answer", ExitDamaged, "have the answer made for this machine's own request, and bring it again"},
		{account.ErrMember, "not-waiting", ExitConflict, "nothing is to be done: device list shows the machines of the account"},
		{account.ErrTyped, "typed-identity", ExitInput, "make a new identity and share your projects with it; who knows the secret has the old keys for ever"},
		{account.ErrHint, "hint", ExitInput, "give OpenSSH public keys, allowed_signers or age recipients"},
		{sshsig.ErrSignature, "ssh-signature", ExitDamaged, "let the person sign her user id: printf '%s\\n' UID | ssh-keygen -Y sign -f KEY -n cipherdeck"},
		{seal.ErrPassphrase, "wrong-passphrase", ExitLocked, again},
		{ErrLocked, "locked", ExitLocked, "give the passphrase on the terminal, by --passphrase-fd or CIPHERDECK_PASSPHRASE"},
		{vault.ErrClosed, "locked", ExitLocked, "unlock the vault again"},
		{vault.ErrNotFound, "no-vault", ExitLocked, "create one: cipherdeck vault init NAME"},
		{vault.ErrKeyring, "keyring", ExitLocked, "use the passphrase: --no-keyring"},
		{vault.ErrKeyringMismatch, "keyring", ExitLocked, "use the passphrase: --no-keyring"},
		{tpm.ErrNoTPM, "no-device", ExitLocked, "say which with --tpm PATH; who may use /dev/tpmrm0 is in the group tss on most systems; or open it in another way: --by"},
		{tpm.ErrPIN, "wrong-pin", ExitLocked, "try again, but not often: the TPM counts"},
		{tpm.ErrLockout, "pin-locked", ExitLocked, "wait as long as the TPM says, or open the vault in another way: --by"},
		{tpm.ErrBoot, "device-changed", ExitLocked, "open the vault in another way (--by) and replace the slot: vault tpm --replace ID"},
		{tpm.ErrOther, "device-changed", ExitLocked, "open the vault in another way: --by"},
		{tpm.ErrShort, "weak-passphrase", ExitInput, "use a longer PIN"},
		{tpm.ErrData, "damaged", ExitDamaged, cureBackup},
		{pkcs11.ErrNoHelper, "no-device", ExitLocked, "build and install it (make pkcs11 install), or open the vault in another way: --by"},
		{pkcs11.ErrHelper, "device-protocol", ExitFailed, "the token's library or the helper is broken: try another version of it"},
		{pkcs11.ErrModule, "no-device", ExitLocked, "give the absolute path of the library (.so) that came with the token"},
		{pkcs11.ErrNoToken, "no-device", ExitLocked, "put the token in, or open the vault in another way: --by"},
		{pkcs11.ErrNoKey, "device-changed", ExitLocked, "name a key that the token has, let it make one, or open the vault in another way: --by"},
		{pkcs11.ErrOther, "device-changed", ExitLocked, "use the token that the slot was made with, or open the vault in another way (--by) and replace the slot"},
		{pkcs11.ErrChoose, "input", ExitInput, "name the token and the key by their labels"},
		{pkcs11.ErrExists, "exists", ExitConflict, "use the key that is there, or choose another label"},
		{pkcs11.ErrPIN, "wrong-pin", ExitLocked, "try again, but not often: tokens count"},
		{pkcs11.ErrLocked, "pin-locked", ExitLocked, "unblock the token with its own tools, or open the vault in another way: --by"},
		{pkcs11.ErrRefused, "device", ExitLocked, "use an RSA key of 2048 bits or more that may decrypt with OAEP"},
		{pkcs11.ErrToken, "device", ExitLocked, "see the cause; take the token out and put it in again"},
		{pkcs11.ErrData, "damaged", ExitDamaged, cureBackup},
		{ageplugin.ErrNoPlugin, "no-device", ExitLocked, "install the program that the cause names, or open the vault in another way: --by"},
		{ageplugin.ErrPlugin, "device", ExitLocked, "do what the plugin says, then try again"},
		{ageplugin.ErrProtocol, "device-protocol", ExitFailed, "the plugin is broken or hostile: use another version of it"},
		{ageplugin.ErrName, "input", ExitInput, "give what the plugin itself printed: age1NAME1… or AGE-PLUGIN-NAME-1…"},
		{ageplugin.ErrIdentity, "device-changed", ExitLocked, "give the identity that the slot was made with: --identity FILE"},
		{ageplugin.ErrData, "damaged", ExitDamaged, cureBackup},
		{vault.ErrWeak, "weak-passphrase", ExitInput, "use eight random words: cipherdeck words"},
		{keys.ErrEmptyPassphrase, "weak-passphrase", ExitInput, "use eight random words: cipherdeck words"},
		{vault.ErrExists, "exists", ExitConflict, "use another --home, or unlock the vault that is there"},
		{typed.ErrOther, "other-secret", ExitLocked, "type it again, each space and capital counts; nothing was created. If this identity is meant to be new, take another name"},
		{typed.ErrWeak, "weak-secret", ExitInput, "use eight random words (cipherdeck words); --weak takes it all the same, and everybody who knows your public key can guess it"},
		{typed.ErrAccount, "account-name", ExitInput, "choose a name of 1 to 64 bytes"},
		{typed.ErrCheck, "check-value", ExitDamaged, "do not trust where it came from; get the .check file from a place that only you write to, or leave it out and compare the words of account show"},
		{keys.ErrBits, "rsa-size", ExitInput, "choose --rsa 3072, 4096 or 8192"},
		{coretex.ErrSecret, "coretex-secret", ExitLocked, "give the key that Coretex encrypted it for, and the value as Coretex gives it"},
		{coretex.ErrKey, "coretex-key", ExitInput, "give the private key in PEM, or what CTX_PRIVATE_KEY has"},
		{coretex.ErrBits, "rsa-size", ExitInput, "choose --bits 2048, 3072 or 4096"},
		{coretex.ErrFile, "damaged", ExitDamaged, "get the file again from Coretex"},
		{seal.ErrByPassphrase, "needs-passphrase", ExitLocked, "say --passphrase"},
		{seal.ErrNotRecipient, "foreign-key", ExitLocked, "ask whoever sealed it to add you as a recipient"},
		{project.ErrNoKey, "no-key", ExitLocked, "ask an owner of the project to share it again"},
	}
}

// trustFaults are about servers and people that are not who they should be.
func trustFaults() []faultRule {
	return []faultRule{
		{ErrIdentity, "identity-changed", ExitRefused, "send nothing; ask the operator by another channel whether the TPM was replaced. If it was, compare the new words with him, and only then: server forget-machine NAME, or node forget-machine UID"},
		{ErrHeld, "suspended", ExitRefused, "look at what changed (server machine NAME, or node machine UID), ask the operator, and then: server resume NAME, or node resume UID"},
		{ErrNodeKey, "node-key", ExitRefused, "nothing was sent; look at the node (node machine UID, node attest PROJECT UID), and if its restart is meant: grant PROJECT UID --attested"},
		{ErrUnnoticed, "unnoticed", ExitDamaged, "this is a fault of this program: report it with the file"},
		{device.ErrSpec, "no-tpm", ExitInput, "say which TPM: soft, swtpm, or the path of a device such as /dev/tpmrm0; for swtpm install packages swtpm and swtpm-tools"},
		{device.ErrDead, "tpm-silent", ExitUnreachable, "end other programs that hold the TPM, or give it the path of its resource manager: /dev/tpmrm0"},
		{softtpm.ErrState, "tpm-state", ExitDamaged, "restore the file from a backup; without one move it away: the machine then has another identity, which everybody must accept anew"},
		{dcap.ErrCollateral, "no-collateral", ExitInput, "give files as https://api.trustedservices.intel.com publishes them: TCB info, QE identity, the chain of their signer, the lists of the PCK CA and of the root"},
		{ek.ErrCertificate, "not-a-tpm-maker", ExitInput, "give the certificate of the authority that the maker of the TPM publishes, and its kind: hardware or vtpm"},
		{channel.ErrTranscript, "not-evidence", ExitInput, "give a file that attest export wrote"},
		{attest.ErrRefused, "refused", ExitRefused, "run no job there until its operator explains the broken link; a project that is stored there stays unreadable to it"},
		{attest.ErrNotAttested, "refused", ExitRefused, "do not send anything to this server until it proves what it runs"},
		{ErrPin, "pin-changed", ExitRefused, cureAsk},
		{channel.ErrPin, "pin-changed", ExitRefused, cureAsk},
		{channel.ErrResponse, "no-evidence", ExitRefused, "what came is no evidence; send nothing and ask the operator"},
		{api.ErrNodeRefused, "node-refused", ExitRefused, "the node's operator finds the reason in its log; send nothing until it answers"},
		{chain.ErrKeysChanged, "keys-changed", ExitRefused, "ask the person by voice; if the keys are really new, compare the new words and give them: people add UID --words"},
		{account.ErrOlder, "account-older", ExitDamaged, "the server holds back what the person signed: do not use what it shows; ask its operator"},
		{ErrWords, "words-differ", ExitRefused, "compare again by voice; if they still differ, somebody is between you"},
		{ErrMine, "keys-not-mine", ExitRefused, "somebody made keys in your name: tell your teammates to compare words again, by voice, before they share anything more"},
		{ErrNotWitness, "not-witnessed", ExitRefused, "wait until the witnesses answer again, or change whom you count on: server witness"},
		{ErrHeldBack, "held-back", ExitRefused, "do not use these keys: some of them may be revoked; ask the server's operator, and the person by another channel"},
		{ErrNotRecorded, "not-in-journal", ExitRefused, "do not use these keys: a server that shows them to you alone has not written them down; ask its operator"},
		{ErrVerify, "not-verified", ExitRefused, "compare the words first, or say --unverified"},
	}
}

// rightFaults are about what one may do.
func rightFaults() []faultRule {
	return []faultRule{
		{project.ErrRollback, "rollback", ExitDamaged, "the server is not honest or was restored from an old backup: ask a teammate for her head"},
		{project.ErrFork, "fork", ExitDamaged, "the server shows different histories: compare heads with a teammate"},
		{ErrSplit, "journal-split", ExitDamaged, "keep this message and compare it with a teammate's: the server shows different people different histories, or its journal was put back from a backup"},
		{ErrOldJournal, "journal-rollback", ExitDamaged, "the server was put back to an earlier day, or hides what happened since: ask its operator, and compare with a teammate"},
		{ErrBroken, "promise-broken", ExitDamaged, "show the signed promise (journal promises) to the operator and to your teammates: it proves that the server accepted what it now leaves out"},
		{ErrOtherLog, "pin-changed", ExitRefused, cureAsk},
		{api.ErrUnauthorized, "unauthorized", ExitForbidden, "enrol your account on this server, or log in again"},
		{api.ErrForbidden, "forbidden", ExitForbidden, cureOwner},
		{project.ErrNotMember, "not-member", ExitForbidden, "ask an owner of the project to share it with you"},
		{chain.ErrRight, "no-right", ExitForbidden, cureOwner},
		{chain.ErrGrant, "no-grant", ExitForbidden, "let an admin of the project grant the node: cipherdeck grant PROJECT NODE"},
		{chain.ErrInvite, "invitation-closed", ExitConflict, "ask for a new invitation: each is good once and for a time"},
		{project.ErrToken, "invitation-token", ExitInput, "copy the whole token as project invite wrote it"},
		{project.ErrAnswer, "invitation-answer", ExitRefused, "ask who was invited to answer again; somebody without the token may have answered"},
		{chain.ErrOwners, "last-owner", ExitConflict, "share the project with another owner first"},
	}
}

// resultFaults are about answers of a node.
func resultFaults() []faultRule {
	return []faultRule{
		{fhe.ErrCanary, "canary", ExitRejected, cureOtherNode},
		{ErrRejected, "rejected", ExitRejected, cureOtherNode},
		{job.ErrMismatch, "wrong-result", ExitRejected, cureOtherNode},
		{job.ErrProof, "not-proven", ExitRejected, "take nothing from it: somebody answered in the node's name from another machine, or the node's program is too old; attest the node and grant it again"},
	}
}

// inputFaults are about what the user gave.
func inputFaults() []faultRule {
	return []faultRule{
		{api.ErrCode, "pairing-code", ExitInput, "copy the whole line that serve prints"},
		{project.ErrExists, "exists", ExitConflict, cureOtherName},
		{project.ErrEpoch, "conflict", ExitConflict, "add it again; it will get a new key"},
		{seal.ErrExists, "exists", ExitConflict, "choose another name; --force replaces a file, never a folder"},
		{account.ErrNodeExists, "exists", ExitConflict, cureOtherName},
		{fs.ErrExist, "exists", ExitConflict, cureOtherName},
		{ErrTaken, "exists", ExitConflict, cureOtherName},
		{seal.ErrSameFile, "same-file", ExitInput, "give the output another name"},
		{seal.ErrNotRegular, "not-a-file", ExitInput, "give a file, or for seal a folder and an output with a name"},
		{seal.ErrNotArchive, "not-a-folder", ExitInput, "it holds one file: open all of it"},
		{seal.ErrChanged, "conflict", ExitConflict, cureTryAgain},
		{agefile.ErrKey, "age-key", ExitInput, "give age or SSH keys as age writes them"},
		{agefile.ErrIdentity, "foreign-key", ExitLocked, "give the private key that the age file was made for"},
		{agefile.ErrPassphrase, "age-key", ExitInput, "take the passphrase off a copy of the SSH key, or use an age key"},
		{agefile.ErrFile, "damaged", ExitDamaged, "get the age file again"},
		{archive.ErrFormat, "damaged", ExitDamaged, cureSealAgain},
		{archive.ErrPath, "archive-path", ExitDamaged, "do not open it: a name in it would be written elsewhere"},
		{archive.ErrLink, "archive-path", ExitDamaged, "in a folder of yours: take the link away, or let it point inside the folder; in a container of somebody else: do not open it"},
		{archive.ErrSpecial, "not-a-file", ExitInput, "a folder may hold files, folders and symbolic links"},
		{archive.ErrChanged, "conflict", ExitConflict, cureTryAgain},
		{archive.ErrExists, "exists", ExitConflict, cureOtherName},
		{seal.ErrRecipients, "recipients", ExitInput, "name each recipient once, at most as many as the cause says"},
		{seal.ErrMeta, "file-name", ExitInput, "rename the file, or seal from standard input"},
		{fhe.ErrUnsupported, "unsupported", ExitInput, "linear models with Sub, Div, Gemm, MatMul, Add and a final Sigmoid can be computed today"},
		{fhe.ErrInsecure, "insecure", ExitInput, "use parameters that this program plans itself"},
		{fhe.ErrRange, "out-of-range", ExitInput, "plan again with rows that span these values"},
		{onnx.ErrNotONNX, "not-onnx", ExitInput, "export the model to ONNX first"},
		{onnx.ErrLimit, "too-large", ExitInput, "use a smaller model"},
		{onnx.ErrInvalid, "damaged-model", ExitInput, "export the model again"},
		{dataset.ErrMalformed, "not-a-table", ExitInput, "correct the line that the cause names, or seal it with --no-profile"},
		{dataset.ErrLimit, "too-large", ExitInput, "split the table, or seal it with --no-profile"},
		{parquet.ErrKey, "column-key", ExitLocked, "give data csv --encrypt, and the key and columns that it was written with"},
		{parquet.ErrParquet, "damaged", ExitDamaged, "get the Parquet file again; to seal it as it is, say --no-profile"},
		{parquet.ErrType, "not-a-table", ExitInput, "change or drop the column that the cause names"},
		{rules.ErrRules, "rules", ExitInput, "correct the file of rules where the cause says"},
		{rules.ErrKey, "column-key", ExitLocked, "give the name of the key that the table was changed under"},
		{rules.ErrCell, "column-key", ExitLocked, "give the rules and the key that the table was changed under"},
		{risk.ErrOptions, "input", ExitInput, "name columns that the table has, and a --k of 2 or more"},
		{risk.ErrReach, "input", ExitInput, "let more rows be left out (--suppress), want a smaller --k, or name fewer columns"},
		{dataset.ErrTable, "not-a-table", ExitInput, "give a CSV with a header line and numbers in every cell"},
		{dataset.ErrColumn, "no-column", ExitInput, "use a column title of the header line, written as it is there"},
		{dataset.ErrRow, "no-row", ExitInput, "count rows from 0, without the header line"},
		{seal.ErrNotContainer, "not-sealed", ExitInput, "give a file made by cipherdeck seal"},
		{chain.ErrLive, "too-large", ExitInput, "the project has more blobs than one list can name; split it"},
		{rooms.ErrConfig, "config", ExitInput, "correct the named field; a file with a key must be readable by its owner only"},
		{jetstream.ErrUnsynced, "store-unsynced", ExitConflict, "set jetstream { sync_interval: always } on each of its servers; or take the risk with --unsafe-nats-sync, which every client is then told"},
		{jetstream.ErrSettings, "store-settings", ExitConflict, "change the stream with the nats program, or correct what serve is told; nothing was changed"},
		{jetstream.ErrExternal, "store-cluster", ExitInput, "correct the named setting; docs/operations.md has an example"},
		{space.ErrFull, "disk-full", ExitConflict, "free space on the disk of that folder; the store goes on by itself then"},
		{server.ErrInTheWay, "exists", ExitConflict, "restore into a new folder; move the old one away if it is to be replaced"},
		{server.ErrOlderData, "older-format", ExitInput, "stop the server and run: cipherdeck migrate --data DIR"},
		{server.ErrConfig, "config", ExitInput, "correct the named field; fields that are left out have their defaults"},
		{account.ErrNodeFile, "not-a-node", ExitInput, "give --dir a folder of its own"},
		{manifest.ErrSigners, "manifest-signers", ExitRefused, "do not use it; get it from the people who sign, or say whose signatures count: --signer"},
		{manifest.ErrExpired, "manifest-ended", ExitRefused, "ask who signs for a newer one"},
		{manifest.ErrEarly, "manifest-early", ExitRefused, "compare your clock; it is not in force yet"},
		{manifest.ErrShape, "manifest", ExitInput, "make it again with manifest make"},
		{chain.ErrAccount, "bad-account", ExitInput, "copy the whole user id, as account show and people list print it"},
		{ErrName, "no-such-name", ExitInput, "see the names: people list, server list, project list"},
		{project.ErrNotFound, "no-such-name", ExitInput, "see the items: project show PROJECT"},
		{project.ErrKind, "input", ExitInput, "correct what the cause names"},
		{project.ErrField, "input", ExitInput, "correct what the cause names"},
		{bundle.ErrBundle, "not-a-bundle", ExitInput, "give a folder or file that project export wrote to its end"},
		{bundle.ErrReadOnly, "read-only", ExitInput, "a bundle can be read and not changed"},
		{project.ErrOffline, "offline", ExitUnreachable, "do it once while the server is there; then it is kept on this machine"},
		{id.ErrSyntax, "input", ExitInput, "copy the whole id"},
		{score.ErrLabels, "labels", ExitInput, "score rows of both classes, or leave out --label"},
		{words.ErrCount, "input", ExitInput, "give a number within the limits"},
		{keys.ErrPEM, "bad-key", ExitInput, cureKeyFile},
		{keys.ErrRSA, "bad-key", ExitInput, cureKeyFile},
		{ErrInput, "input", ExitInput, "correct what the cause names"},
	}
}

// storedFaults are about bytes that are not what they were.
func storedFaults() []faultRule {
	return []faultRule{
		{tlog.ErrCheckpoint, "bad-checkpoint", ExitDamaged, "do not rely on it: it was not signed by the log that you pinned"},
		{tlog.ErrProof, "bad-proof", ExitDamaged, "do not rely on it: it does not prove what it says"},
		{tlog.ErrPromise, "bad-promise", ExitDamaged, "the server signs with another key than it did: ask its operator by another channel"},
		{tlog.ErrLeaf, "bad-proof", ExitDamaged, "do not rely on it: it is no entry of such a journal"},
		{tlog.ErrKey, "log-key", ExitInput, "copy the whole key, NAME+HASH+KEY, as journal show or witness prints it"},
		{witness.ErrState, "damaged", ExitDamaged, "restore the file that the cause names from a backup, or start a new witness with another key: one that forgot could sign two histories"},
		{journal.ErrDamaged, "damaged", ExitDamaged, "restore the file that the cause names from a backup; nothing that was signed before is shown differently"},
		{journal.ErrStuck, "no-space", ExitFailed, "free some space on the disk of the data folder"},
		{server.ErrNotEmpty, "exists", ExitConflict, "move the folder that the cause names away; rebuild fills an empty store only"},
		{api.ErrDamaged, "damaged", ExitDamaged, cureStored},
		{seal.ErrTruncated, "truncated", ExitDamaged, "get the file again: its end is missing"},
		{seal.ErrVersion, "newer-format", ExitDamaged, cureNewer},
		{seal.ErrAuth, "damaged", ExitDamaged, cureSealAgain},
		{seal.ErrHeader, "damaged", ExitDamaged, cureSealAgain},
		{agent.ErrNoAgent, "no-agent", ExitUnreachable, "start it: cipherdeck agent &"},
		{agent.ErrRunning, "in-use", ExitConflict, "one agent is enough; agent status shows what it holds"},
		{agent.ErrDenied, "not-confirmed", ExitLocked, "say yes where the agent asks, or open the vault in another way: --no-agent"},
		{agent.ErrNoConfirm, "no-confirm", ExitInput, "start the agent in the foreground of a terminal, or with --confirm-with PROGRAM"},
		{agent.ErrFull, "agent-full", ExitConflict, "make it forget what it holds: agent lock"},
		{agent.ErrPeer, "forbidden", ExitForbidden, "another user's program listens there: look at who made the socket"},
		{agent.ErrUnsupported, "unsupported", ExitInput, "unlock by passphrase or keyring"},
		{vault.ErrCode, "wrong-code", ExitLocked, "read it again from the paper, group by group; capitals and hyphens do not matter"},
		{vault.ErrShares, "wrong-shares", ExitLocked, "bring as many shares of this vault as it needs, one a line"},
		{shamir.ErrShares, "input", ExitInput, "want at least 2 shares, and no more needed than there are"},
		{vault.ErrPending, "conflict", ExitConflict, "finish the rotation that was begun: give the secrets of the slots that are left"},
		{vault.ErrRotated, "locked", ExitLocked, "unlock it again"},
		{secret.ErrNotFound, "no-such-name", ExitInput, "see the names: secret list"},
		{secret.ErrField, "no-such-name", ExitInput, "see the fields: secret list"},
		{secret.ErrKind, "secret-kind", ExitInput, "use a secret of the kind that the cause names"},
		{secret.ErrInvalid, "secret", ExitInput, "give the fields of the kind: help secret put"},
		{secret.ErrRef, "reference", ExitInput, "write cipherdeck://NAME/FIELD"},
		{clip.ErrNone, "no-clipboard", ExitFailed, "use secret show, or a terminal that takes OSC 52"},
		{secret.ErrProtocol, "input", ExitInput, "let git call this command"},
		{ErrUnfinished, "unfinished", ExitFailed, "do what the report says is left, then run the same command again: it goes on where it stopped"},
		{ErrSick, "unhealthy", ExitFailed, "do what stands below each finding that is bad"},
		{ErrCommand, "command", ExitFailed, "check the name of the command"},
		{vault.ErrSlot, "input", ExitInput, "correct what the cause names; vault slots lists the slots and their ids"},
		{vault.ErrNoSlot, "no-slot", ExitInput, "see the ways to unlock: vault slots"},
		{vault.ErrPermissions, "permissions", ExitInput, "make it readable by you only: chmod go= FILE"},
		{vault.ErrNotVault, "not-a-vault", ExitDamaged, cureBackup},
		{vault.ErrVersion, "newer-format", ExitDamaged, cureNewer},
		{vault.ErrRolledBack, "rollback", ExitDamaged, "somebody replaced the vault by an older copy while it was open"},
		{vault.ErrDamaged, "damaged", ExitDamaged, cureBackup},
		{witness.ErrBusy, "in-use", ExitConflict, "end the other process that cosigns with this key, or wait for it"},
		{private.ErrLocked, "in-use", ExitConflict, "end the other process that has it open, or wait for it"},
		{server.ErrNewerData, "newer-format", ExitDamaged, cureNewer},
		{server.ErrOtherData, "other-server", ExitDamaged, "put the files of one server together, or restore a backup of it"},
		{server.ErrNoBlobs, "no-blobs", ExitInput, "make the backup with --config and the file that serve has: it says where the blobs are"},
		{server.ErrMissing, "incomplete", ExitDamaged, "use an older or another backup; nothing was changed"},
		{backup.ErrNewer, "newer-format", ExitDamaged, cureNewer},
		{backup.ErrTruncated, "incomplete", ExitDamaged, "use an older or another backup; nothing was changed"},
		{backup.ErrBundle, "damaged", ExitDamaged, "use another backup, or say how it is sealed; nothing was changed"},
		{store.ErrMismatch, "damaged", ExitDamaged, cureStored},
		{sealedlog.ErrDamaged, "damaged", ExitDamaged, "what was done offline is lost if no copy of the file is left: move the folder named in the cause away"},
		{project.ErrDamaged, "damaged", ExitDamaged, cureStored},
		{cobblestone.ErrAuth, "damaged", ExitDamaged, cureStored},
		{cobblestone.ErrTruncated, "damaged", ExitDamaged, cureStored},
		{fhe.ErrMalformed, "damaged", ExitDamaged, "run again; if it stays so, the server or the node changed the bytes"},
		{chain.ErrLink, "bad-chain", ExitDamaged, "the server shows a project that was not made by its members"},
		{chain.ErrOrder, "bad-chain", ExitDamaged, "the server shows a project that was not made by its members"},
		{account.ErrMismatch, "damaged", ExitDamaged, cureBackup},
		{doc.ErrUnsigned, "bad-signature", ExitDamaged, "do not use it; it was not signed by whom it says"},
		{doc.ErrType, "bad-signature", ExitDamaged, "do not use it; it was not signed by whom it says"},
		{doc.ErrTooLarge, "damaged", ExitDamaged, cureStored},
		{doc.ErrEncoding, "damaged", ExitDamaged, cureStored},
		{doc.ErrSignature, "bad-signature", ExitDamaged, "do not use it; it was not signed by whom it says"},
		{keys.ErrKDF, "kdf-limits", ExitDamaged, "the file asks for more memory or time than is allowed: do not trust it"},
	}
}

// wayFaults are about the way to a server.
func wayFaults() []faultRule {
	return []faultRule{
		{store.ErrUnavailable, "unavailable", ExitConflict, "another server may have this data_dir open: end it, or give this one another"},
		{api.ErrNotFound, "not-found", ExitInput, "check the id; a person must first have run server add and project join with this server"},
		{api.ErrTooLarge, "too-large", ExitInput, "the server takes no more in one piece"},
		{api.ErrInvalid, "invalid", ExitInput, "this program and the server may be of different versions"},
		{api.ErrConflict, "conflict", ExitConflict, cureTryAgain},
		{project.ErrConflict, "conflict", ExitConflict, cureTryAgain},
		{api.ErrLease, "lease", ExitConflict, "another node has the job now"},
		{api.ErrNodeAway, "node-away", ExitUnreachable, "look whether the node runs (its operator knows); a server can also hold its answer back"},
		{api.ErrBusy, "busy", ExitUnreachable, cureTryAgain},
		{api.ErrUnknown, "outcome-unknown", ExitUnreachable, "look whether it was done, then try again"},
		{api.ErrUnreachable, "unreachable", ExitUnreachable, "check that the server runs and the address is right, then try again; what was cut short was not added"},
		{api.ErrServer, "server-failed", ExitUnreachable, "try again; its operator finds the reason in its log"},
		{context.DeadlineExceeded, "timeout", ExitUnreachable, "try again; nothing was added"},
	}
}

// systemFaults are what the operating system says.
func systemFaults() []faultRule {
	return []faultRule{
		{fs.ErrNotExist, "no-file", ExitInput, "check the name"},
		{fs.ErrPermission, "no-permission", ExitInput, "check the owner and the rights of the file or folder"},
		{syscall.EISDIR, "not-a-file", ExitInput, "give a file, or for seal a folder and an output with a name"},
		{syscall.ENOTDIR, "not-a-folder", ExitInput, "check the path: a part of it is a file"},
		{syscall.ENOSPC, "no-space", ExitFailed, "free some space; nothing half-written was left under its name"},
		{syscall.EADDRINUSE, "address-in-use", ExitConflict, "end the program that listens there, or use another --listen"},
		{syscall.EPIPE, "pipe-closed", ExitFailed, "the program that reads the output ended early"},
	}
}
