// Package server keeps projects for people it does not know, and hands their
// jobs to nodes. It sees ciphertext, sizes, times and who talks to whom; it
// cannot read anything and is not asked to be believed.
//
// At start it measures what is about to run into PCR 14 of a TPM (the program,
// the configuration, the TLS key), writes "ready" and only then listens. A
// client asks for evidence on every connection and holds it against a signed
// manifest before it sends anything.
//
// Everything is refused that the table in routes.go does not allow. Bodies are
// never logged.
//
// Not built: sealed jobs, so the job key is empty; quotas.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/go-tpm/tpm2/transport"
	"golang.org/x/time/rate"

	"cipherdeck/attest/channel"
	"cipherdeck/attest/host"
	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/api"
	"cipherdeck/remote/auth"
	"cipherdeck/remote/journal"
	"cipherdeck/remote/sftpd"
	"cipherdeck/remote/store/jetstream"
	"cipherdeck/remote/store/rooms"
)

// Options is what a start needs besides the configuration.
type Options struct {
	Config  Config
	DataDir string           // "": Config.DataDir
	TPM     transport.TPM    // nil: the software TPM, which is a demonstration
	Log     *slog.Logger     // nil: silent
	Now     func() time.Time // nil: time.Now

	// Wrap stands between TLS and the routes; nil: nothing does. Tests make a liar of
	// the server with it.
	Wrap func(http.Handler) http.Handler

	Checkpoints time.Duration // how often the journal signs, when there is something new; 0: a second
}

// Server is a running server.
type Server struct {
	cfg       Config
	log       *slog.Logger
	now       func() time.Time
	pin       [32]byte
	format    int // of the data directory
	engine    *jetstream.Engine
	accounts  *accounts
	projects  *projects
	checks    checks
	blobs     *blobs
	door      *sftpd.Door // nil without one
	sshKey    string      // of the door
	jobs      *jobs
	mail      *mailbox
	tokens    auth.Tokens
	keys      auth.Keys
	verifier  auth.Verifier
	limits    *limits
	journal   *journal.Log
	alerts    alerts
	events    *rate.Limiter
	alarms    *rate.Limiter // of those that the server raises itself
	responder *channel.Responder
	host      *host.Host
	manifest  []byte
	http      *http.Server
	ln        net.Listener
	control   *http.Server

	stopping context.Context // ends first: no more waiting, no more leases
	stop     context.CancelFunc
	work     sync.WaitGroup
	served   chan error
	closed   sync.Once
}

// drain is how long requests may take to end when the server stops.
const drain = 10 * time.Second

// Start measures, opens the store and listens. The server runs until Close; ctx
// is for the start only.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.DataDir == "" {
		o.DataDir = o.Config.DataDir
	}
	o.Config.DataDir = o.DataDir
	if err := o.Config.Check(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = discard()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{cfg: o.Config, format: Format, log: o.Log, now: o.Now, served: make(chan error, 1)}
	s.stopping, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("start server: %w", err), s.Close())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, o Options) error {
	if err := os.MkdirAll(o.DataDir, 0o700); err != nil {
		return err
	}
	if err := checkFormat(o.DataDir); err != nil {
		return err
	}
	// The store's lock comes first: a second server on this directory must not
	// count a start of the TPM or clear uploads of the first.
	if err := s.openStore(ctx, o.DataDir); err != nil {
		return err
	}
	cert, err := s.identity(o)
	if err != nil {
		return err
	}
	if err := checkStore(ctx, s.engine.Docs(), s.pin); err != nil {
		return err
	}
	if err := s.openJournal(ctx, o); err != nil {
		return err
	}
	if err := s.recordManifest(ctx); err != nil {
		return err
	}
	if _, err := s.Reconcile(ctx, false); err != nil {
		return err
	}
	if err := s.jobs.recover(ctx); err != nil {
		return err
	}
	s.verifier = auth.Verifier{SPKI: s.pin, Challenges: auth.NewChallenges(auth.MaxChallenges, s.now), Now: s.now}
	s.limits = newLimits(s.cfg.RatePerSecond, s.cfg.RateBurst)
	s.listenControl(o.DataDir)
	if s.ln, err = (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Listen); err != nil {
		return err
	}
	if err := s.openDoor(ctx, o.DataDir); err != nil {
		return err
	}
	handler := s.handler()
	if o.Wrap != nil {
		handler = o.Wrap(handler)
	}
	s.serve(cert, handler)
	return nil
}

func (s *Server) openStore(ctx context.Context, dir string) (err error) {
	s.engine, err = jetstream.Open(ctx, jetstream.Config{Dir: filepath.Join(dir, storeDir), External: s.cfg.External(), Lease: s.cfg.lease(), Now: s.now, Log: s.log})
	if err != nil {
		return err
	}
	docs := s.engine.Docs()
	s.accounts = &accounts{docs: docs, known: newCache[chain.UID](cacheBytes, sizeOf)}
	s.checks = checks{docs}
	house, err := rooms.Open(s.cfg.rooms(dir, s.now, func(pid, i id.ID, why error) {
		s.log.Warn("blob mended from its other copy", "project", pid.Short(), "blob", i, "why", why)
	}))
	if err != nil {
		return err
	}
	s.blobs = &blobs{house: house, docs: docs, max: s.cfg.MaxBlobBytes, began: s.now(), open: map[id.ID]*shelf{}}
	s.projects = &projects{docs: docs, blobs: s.blobs, known: newCache[id.ID](cacheBytes, sizeOfState)}
	s.tokens = auth.Tokens{Docs: docs, Life: time.Duration(s.cfg.TokenTTLSeconds) * time.Second, Now: s.now}
	s.keys = auth.Keys{Docs: docs, Now: s.now}
	s.mail = newMailbox()
	s.jobs = &jobs{records: records{docs}, queue: s.engine.Queue(), leases: &leases{held: map[jobName]holder{}},
		accounts: s.accounts, projects: s.projects, blobs: s.blobs, hub: newHub(),
		attempts: s.cfg.MaxAttempts, length: s.cfg.lease(), now: s.now}
	return nil
}

// identity loads the TLS key, measures, and prepares to answer challenges.
func (s *Server) identity(o Options) (tls.Certificate, error) {
	key, err := loadTLSKey(o.DataDir)
	if err != nil {
		return tls.Certificate{}, err
	}
	host, _, _ := net.SplitHostPort(s.cfg.Listen)
	var hosts []string
	if host != "" {
		hosts = []string{host}
	}
	cert, err := channel.NewCertificate(key, hosts...)
	if err != nil {
		return cert, err
	}
	s.pin = channel.SPKI(cert.Leaf)
	return cert, s.attestable(o)
}

func (s *Server) serve(cert tls.Certificate, handler http.Handler) {
	s.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: time.Duration(s.cfg.HeaderLimitSeconds) * time.Second,
		IdleTimeout:       2 * time.Minute, // see counted for strangers
		ConnContext:       withConn,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	tl := tls.NewListener(newCapped(s.ln, s.cfg.MaxConnections), channel.ServerTLS(cert))
	s.work.Go(func() { s.jobs.hub.follow(s.stopping, s.engine.Docs(), "jobs", s.log) })
	s.work.Go(s.tidy)
	s.work.Go(s.proveManifest)
	go func() { s.served <- s.http.Serve(tl) }()
}

// tidy ends leases and tokens whose time is over.
func (s *Server) tidy() {
	compare := time.NewTicker(compareEvery)
	defer compare.Stop()
	leases := time.NewTicker(max(s.cfg.lease()/4, 250*time.Millisecond))
	defer leases.Stop()
	tokens := time.NewTicker(time.Minute)
	defer tokens.Stop()
	for {
		var err error
		select {
		case <-s.stopping.Done():
			return
		case <-leases.C:
			err = s.jobs.sweep(s.stopping)
		case <-tokens.C:
			_, err = s.tokens.Sweep(s.stopping)
		case <-compare.C:
			_, err = s.Reconcile(s.stopping, true)
		}
		if err != nil && s.stopping.Err() == nil {
			s.log.Error("tidy", "err", err)
		}
	}
}

// untilStop ends with ctx or when the server stops, so that a long poll does
// not hold the stop up.
func (s *Server) untilStop(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.stopping, cancel)
	return ctx, func() { stop(); cancel() }
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Addr is host:port, with the port that was chosen for port 0.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// SFTP is where the door for SFTP clients is, "" when there is none.
func (s *Server) SFTP() string {
	if s.door == nil {
		return ""
	}
	return s.door.Addr()
}

// Pin is the SHA-256 of the server's SubjectPublicKeyInfo.
func (s *Server) Pin() [32]byte { return s.pin }

// Code is the pairing code, for a person to carry to a client.
func (s *Server) Code() string { return api.Code{Addr: s.Addr(), Pin: s.pin}.String() }

// Wait returns when the server has stopped serving: nil after Close.
func (s *Server) Wait() error {
	err := <-s.served
	s.served <- err
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Close drains: no more leases and no more waiting, then the requests under
// way, then the store. It may be called twice.
func (s *Server) Close() (err error) {
	s.closed.Do(func() { err = s.close() })
	return err
}

func (s *Server) close() error {
	s.stop()
	var all []error
	if s.control != nil { // a backup under way breaks off, and is not whole
		all = append(all, s.control.Close())
	}
	if s.http != nil {
		ctx, cancel := context.WithTimeout(context.Background(), drain)
		defer cancel()
		if err := s.http.Shutdown(ctx); err != nil {
			all = append(all, err, s.http.Close())
		}
	}
	if s.door != nil {
		all = append(all, s.door.Close())
	}
	s.work.Wait()
	if s.host != nil {
		all = append(all, s.host.Close())
	}
	if s.journal != nil {
		all = append(all, s.journal.Close())
	}
	if s.blobs != nil {
		all = append(all, s.blobs.house.Close())
	}
	if s.engine != nil {
		all = append(all, s.engine.Close())
	}
	return errors.Join(all...)
}
