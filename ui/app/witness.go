package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"cipherdeck/crypto/progress"
	"cipherdeck/crypto/tlog"
	"cipherdeck/remote/server"
	"cipherdeck/remote/witness"
)

// WitnessSpec says which logs a witness knows, and where it is and listens.
type WitnessSpec struct {
	Dir    string
	Listen string
	Name   string
	Logs   []tlog.Key
}

// RunWitness cosigns what the logs send until ctx ends. It notes its key and
// its address as soon as it listens.
func RunWitness(ctx context.Context, spec WitnessSpec, log *slog.Logger, sink progress.Sink) error {
	w, err := witness.Open(ctx, spec.Dir, spec.Name, spec.Logs, nil)
	if err != nil {
		return err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", spec.Listen)
	if err != nil {
		return errors.Join(err, w.Close())
	}
	s := &http.Server{Handler: w.Handler(log), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 15 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	sink.Note("witnessing", "key", w.Key().String(), "url", "http://"+ln.Addr().String())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	select {
	case err = <-served:
	case <-ctx.Done():
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = s.Shutdown(end)
	}
	return errors.Join(err, w.Close())
}

// Rebuild replays the journal of a data folder into an empty store.
func Rebuild(ctx context.Context, cfg server.Config, log *slog.Logger) (server.Report, error) {
	return server.Rebuild(ctx, cfg, log)
}
