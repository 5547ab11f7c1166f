package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
)

// ControlSocket is where the operator's own commands reach a running server: a
// socket in the data directory, for its owner only, as every file there. Who can
// open it can read the whole directory anyway.
const ControlSocket = "control.sock"

// ErrNotRunning says that no server answers for a data directory.
var ErrNotRunning = errors.New("no server runs on this data directory")

// listenControl opens the socket. A server without it serves all the same: it can
// be backed up when it is stopped.
func (s *Server) listenControl(dir string) {
	path := filepath.Join(dir, ControlSocket)
	_ = os.Remove(path) // of a server that was killed: the store's lock is held here
	ln, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		s.log.Warn("there is no control socket: a backup needs the server stopped", "err", err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /backup", s.controlBackup)
	s.control = &http.Server{Handler: mux, ErrorLog: nil}
	go func() { _ = s.control.Serve(ln) }()
}

func (s *Server) controlBackup(w http.ResponseWriter, r *http.Request) {
	rep, err := s.Backup(r.Context(), w)
	if err != nil {
		s.log.Error("backup failed", "err", err)
		panic(http.ErrAbortHandler) // what was sent is not whole, and must not look so
	}
	s.log.Info("backup made", "documents", rep.Docs, "blobs", rep.Blobs, "bytes", rep.Bytes)
}

// BackupRunning is the bundle of the server that runs on dir. ErrNotRunning when
// none does.
func BackupRunning(ctx context.Context, dir string) (io.ReadCloser, error) {
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, ControlSocket))
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://server/backup", nil)
	if err != nil {
		return nil, err
	}
	rsp, err := t.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", dir, ErrNotRunning, err)
	}
	if rsp.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("backup: the server answered %s", rsp.Status), rsp.Body.Close())
	}
	return rsp.Body, nil
}
