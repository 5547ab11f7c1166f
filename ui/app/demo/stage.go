package demo

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"cipherdeck/attest"
	"cipherdeck/crypto/words"
	cryptorand "crypto/rand"

	"cipherdeck/remote/api"
	"cipherdeck/remote/server"
	"cipherdeck/ui/app"
	"cipherdeck/vault/project"
)

// ServerName is what the demonstration calls its server in the vaults.
const ServerName = "main"

// ProjectName is the project of the story.
const ProjectName = "tumour-board"

// Options say how the demonstration runs.
type Options struct {
	Exe     string // this program
	Home    string // where the scratch home is made; "" means the system's place
	Keep    bool   // leave the scratch home behind
	Keyring bool   // let the OS keyring open the vault too
}

// Stage is the scratch home and the processes of one demonstration.
type Stage struct {
	Home  string
	Alice *app.App // the analyst
	Bob   *app.App // her colleague

	opt     Options
	cheater string // command of the cheating node; a test puts an honest one here
	pass    string // of both vaults; random, and gone with the scratch home
	config  server.Config
	signer  ed25519.PrivateKey
	version uint64 // of the newest manifest
	code    api.Code
	server  *child
	node    *child
	cheats  []*child // servers and nodes of act 5
	nodeUID string
	project *project.Project
	truth   []byte // the dataset as it was, to compare with what comes back
}

// envFile sets home and passphrase of the scratch vault in a shell, so that the
// acts can be repeated by hand. A real passphrase is written nowhere.
const envFile = "env"

// ErrDemo is wrapped by everything that did not do what it should.
var ErrDemo = errors.New("demo")

// Open prepares the scratch home. No process is started yet.
func Open(o Options) (*Stage, error) {
	if o.Home != "" {
		if err := os.MkdirAll(o.Home, 0o700); err != nil {
			return nil, err
		}
	}
	// Always a new folder: Close removes it with everything in it.
	home, err := os.MkdirTemp(o.Home, "cipherdeck-demo-")
	if err != nil {
		return nil, err
	}
	s := &Stage{opt: o, Home: home, cheater: "demo-node"}
	pass, err := words.Passphrase(cryptorand.Reader, 8)
	if err != nil {
		return nil, err
	}
	s.pass = pass
	env := fmt.Sprintf("export CIPHERDECK_HOME='%s' CIPHERDECK_PASSPHRASE='%s'\n", s.path("alice"), pass)
	if err := os.WriteFile(s.path(envFile), []byte(env), 0o600); err != nil {
		return nil, err
	}
	ask := func(context.Context, string, bool) ([]byte, error) { return []byte(s.pass), nil }
	s.Alice = app.New(app.Config{Home: s.path("alice"), Ask: ask, NoKeyring: !o.Keyring})
	s.Bob = app.New(app.Config{Home: s.path("bob"), Ask: ask, NoKeyring: true})
	return s, nil
}

// Close ends all processes and removes the scratch home and the keyring entry.
func (s *Stage) Close() error {
	var errs []error
	if s.opt.Keyring {
		errs = append(errs, s.forgetKeyring())
	}
	s.Alice.Close()
	s.Bob.Close()
	for _, c := range append(s.cheats, s.node, s.server) {
		c.stop()
	}
	if !s.opt.Keep {
		errs = append(errs, os.RemoveAll(s.Home))
	}
	return errors.Join(errs...)
}

func (s *Stage) forgetKeyring() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if !s.Alice.Facts().Unlocked {
		return nil
	}
	return s.Alice.ForgetKeyring(ctx)
}

func (s *Stage) path(parts ...string) string {
	return filepath.Join(append([]string{s.Home}, parts...)...)
}

// passphrase is what unlocks both vaults.
func (s *Stage) passphrase(context.Context) ([]byte, error) { return []byte(s.pass), nil }

// setUp writes the server's configuration and a golden manifest made for
// exactly this program, then starts the server and the node. It does nothing
// when they run.
func (s *Stage) setUp(ctx context.Context) error {
	if s.server != nil {
		return nil
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	s.config = server.DefaultConfig()
	s.config.Listen, s.config.DataDir = port, s.path("server")
	s.config.RatePerSecond, s.config.RateBurst = 5000, 10000
	if err := os.MkdirAll(s.config.DataDir, 0o700); err != nil {
		return err
	}
	if s.signer, err = app.LoadSigner(s.path("demo-signer.key")); err != nil {
		return err
	}
	if err := s.publish(); err != nil {
		return err
	}
	if s.server, s.code, err = s.startServer(ctx, "server", s.opt.Exe, s.config); err != nil {
		return err
	}
	s.node, s.nodeUID, err = s.startNode(ctx, "node", "node", "node")
	return err
}

// publish signs the golden manifest of this program and configuration and
// hands it to the server's operator.
func (s *Stage) publish() error {
	s.version++
	raw, err := app.MakeManifest(app.ManifestSpec{Binary: s.opt.Exe, Config: s.config, Version: s.version, Life: 24 * time.Hour, Note: "demo signer", Key: s.signer}, time.Now())
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.config.DataDir, server.ManifestFile), raw, 0o644)
}

// startServer runs program exe as a server with configuration c, and reads its
// pairing code.
func (s *Stage) startServer(ctx context.Context, name, exe string, c server.Config) (*child, api.Code, error) {
	raw, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return nil, api.Code{}, err
	}
	path := s.path(name + ".json")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		return nil, api.Code{}, err
	}
	p, note, err := start(ctx, s.path(name+".log"), exe, "serve", "--json", "--config", path)
	if err != nil {
		return nil, api.Code{}, fmt.Errorf("%w: %s: %w", ErrDemo, name, err)
	}
	code, err := api.ParseCode(note["code"])
	return p, code, err
}

// startNode runs a node and reads its user id. command is "node", or the
// cheating one.
func (s *Stage) startNode(ctx context.Context, command, dir, name string) (*child, string, error) {
	p, note, err := start(ctx, s.path(dir+".log"), s.opt.Exe, command, "--json", "--dir", s.path(dir), "--name", name, s.code.String())
	if err != nil {
		return nil, "", fmt.Errorf("%w: %s: %w", ErrDemo, name, err)
	}
	return p, note["node"], nil
}

// signers is whose manifests Alice accepts.
func (s *Stage) signers() []ed25519.PublicKey {
	return []ed25519.PublicKey{s.signer.Public().(ed25519.PublicKey)}
}

// pin makes a the client of the stage's server; with trust, jobs may go there
// once it has attested.
func (s *Stage) pin(a *app.App, trust bool) error {
	if !trust {
		_, err := a.AddServer(ServerName, s.code, nil, 0, 0)
		return err
	}
	_, err := a.AddServer(ServerName, s.code, s.signers(), 0, attest.RootSoftware)
	return err
}

// freePort picks a loopback address that is free now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
