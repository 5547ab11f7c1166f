package app

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"cipherdeck/attest"
	"cipherdeck/attest/host"
	"cipherdeck/attest/manifest"
	"cipherdeck/crypto/progress"
	"cipherdeck/fhe/circuit"
	"cipherdeck/fhe/job"
	"cipherdeck/remote/api"
	"cipherdeck/remote/node"
	"cipherdeck/remote/server"
	"cipherdeck/vault/account"
)

// Serve runs a server until ctx ends. It notes its pairing code as soon as it
// listens.
func Serve(ctx context.Context, cfg server.Config, log *slog.Logger, sink progress.Sink) error {
	s, err := server.Start(ctx, server.Options{Config: cfg, Log: log})
	if err != nil {
		return err
	}
	sink.Note("serving", "code", s.Code())
	notifyInit("READY=1")
	<-ctx.Done()
	notifyInit("STOPPING=1")
	return s.Close()
}

// NodeSpec says which server a node works for, and where its identity lies.
type NodeSpec struct {
	Code api.Code
	Dir  string
	Name string

	Witness bool // cosign the server's journal too

	TPM         string // that the node attests with, as device.Open takes it
	FirmwareLog string // see host.Spec
}

// Node runs a compute node until ctx ends: it makes or loads its identity,
// enrols, and works on the jobs that it is granted. runner evaluates; nil means
// the encrypted circuit in this process.
func Node(ctx context.Context, spec NodeSpec, runner job.Runner, log *slog.Logger, sink progress.Sink) error {
	me, err := nodeIdentity(spec)
	if err != nil {
		return err
	}
	if runner == nil {
		runner = circuit.Runner{Workers: runtime.GOMAXPROCS(0)}
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	// Measured before anything is asked for: what comes later is in no quote.
	m, err := node.OpenMachine(host.Spec{TPM: spec.TPM, Dir: spec.Dir, FirmwareLog: spec.FirmwareLog}, me.Account.UID[:], me.Device, log, time.Now())
	if err != nil {
		return err
	}
	defer m.Close()
	c := api.New(api.Config{Addr: spec.Code.Addr, Pin: spec.Code.Pin, UID: me.Account.UID, Device: me.Device, Account: me.Account.Raw})
	defer c.Close()
	if err := c.Enrol(ctx); err != nil {
		return err
	}
	if spec.Witness {
		ctx, stop := context.WithCancel(ctx)
		wait, err := nodeWitness(ctx, c, spec, log, sink)
		if err != nil {
			stop()
			return err
		}
		defer wait()
		defer stop()
	}
	sink.Note("working", "node", me.Account.UID.String(), "tpm", m.Kind) // the first note: who starts a node waits for it
	notifyInit("READY=1")
	return node.Node{Client: c, Runner: runner, Identity: me.Device, Answer: m.Answer, Keys: m.Keys, Log: log}.Run(ctx)
}

// nodeIdentity loads the node's identity, or makes it the first time.
func nodeIdentity(spec NodeSpec) (*account.Node, error) {
	if err := os.MkdirAll(spec.Dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(spec.Dir, "node.key")
	k, err := account.LoadNode(path)
	if errors.Is(err, fs.ErrNotExist) {
		if k, err = account.NewNode(rand.Reader, spec.Name); err == nil {
			err = account.SaveNode(path, k)
		}
	}
	if err != nil {
		return nil, err
	}
	return k.Load()
}

// ManifestSpec says what a golden manifest vouches for.
type ManifestSpec struct {
	Binary  string // file of the program; "" means this very program
	Node    bool   // for nodes, which have no configuration
	Config  server.Config
	Version uint64
	Life    time.Duration
	Note    string
	Key     ed25519.PrivateKey
}

// MakeManifest measures a binary and a configuration as the server or the node
// will measure itself, and signs the result.
func MakeManifest(spec ManifestSpec, now time.Time) ([]byte, error) {
	events, err := golden(spec.Node, spec.Config)
	if err != nil {
		return nil, err
	}
	if spec.Binary != "" {
		sum, err := hashFile(spec.Binary)
		if err != nil {
			return nil, err
		}
		events[0].Any = [][32]byte{sum}
	}
	return manifest.Sign(attest.Manifest{
		V: manifest.Version, Product: Product, Version: spec.Version, Note: spec.Note,
		NotBefore: now.Add(-time.Minute).Unix(), NotAfter: now.Add(spec.Life).Unix(),
		Baselines: []attest.Baseline{{Name: fmt.Sprintf("release %d", spec.Version), Events: events}},
	}, spec.Key)
}

// golden is what a node, or a server with configuration c, measures of itself.
func golden(isNode bool, c server.Config) ([]attest.Golden, error) {
	if isNode {
		return node.Golden()
	}
	return server.Golden(c)
}

func hashFile(path string) ([32]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return [32]byte{}, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return [32]byte{}, err
	}
	return [32]byte(h.Sum(nil)), nil
}

// signerPEM is the type of the PEM block that holds a manifest signer's seed.
const signerPEM = "CIPHERDECK MANIFEST SIGNER"

// LoadSigner reads the key that signs manifests from a file, and makes it the
// first time. The file is as secret as the right to say what servers may run.
func LoadSigner(path string) (ed25519.PrivateKey, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		b := pem.EncodeToMemory(&pem.Block{Type: signerPEM, Bytes: k.Seed()})
		return k, os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		return nil, err
	}
	b, _ := pem.Decode(raw)
	if b == nil || b.Type != signerPEM || len(b.Bytes) != ed25519.SeedSize {
		return nil, fmt.Errorf("%w: %s is not the key of a manifest signer", ErrInput, path)
	}
	return ed25519.NewKeyFromSeed(b.Bytes), nil
}

// SignerText is the public half of a signer, as server add takes it.
func SignerText(k ed25519.PublicKey) string { return base64.RawURLEncoding.EncodeToString(k) }

// ParseSigner reads what SignerText writes.
func ParseSigner(s string) (ed25519.PublicKey, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: a manifest signer is 43 characters of base64url", ErrInput)
	}
	return b, nil
}
