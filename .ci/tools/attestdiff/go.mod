// What others say of the same quotes and logs. It is a module of its own, so
// that nothing of them gets into cipherdeck.
module cipherdeck/tools/attestdiff

go 1.26.8

replace cipherdeck => ../../..

require (
	cipherdeck v0.0.0
	github.com/google/go-attestation v0.6.1
	github.com/google/go-eventlog v0.0.2
	github.com/google/go-tpm v0.9.8
)

require (
	filippo.io/mldsa v1.0.0 // indirect
	github.com/fxamacker/cbor/v2 v2.9.6 // indirect
	github.com/x448/float16 v0.8.4 // indirect
	golang.org/x/mod v0.43.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
