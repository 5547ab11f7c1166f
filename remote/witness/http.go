package witness

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"cipherdeck/crypto/id"
	"cipherdeck/crypto/tlog"
)

// maxRequest bounds a request: a checkpoint and 63 hashes.
const maxRequest = tlog.MaxCheckpoint + 8<<10

// maxPath is how many hashes a request may have, as the specification says.
const maxPath = 63

// Handler answers POST /add-checkpoint. Who asks need not be known: what is
// signed says only what anybody can check.
func (w *Witness) Handler(log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", func(rw http.ResponseWriter, r *http.Request) {
		line, err := w.answer(http.MaxBytesReader(rw, r.Body, maxRequest))
		if err != nil {
			refuse(rw, err)
			log.Warn("checkpoint refused", "err", err)
			return
		}
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = rw.Write(line)
	})
	return mux
}

func (w *Witness) answer(body io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	old, path, checkpoint, err := parseRequest(string(raw))
	if err != nil {
		return nil, err
	}
	return w.Add(old, path, checkpoint)
}

// parseRequest reads the old size, the proof and the checkpoint.
func parseRequest(raw string) (old uint64, path []id.ID, checkpoint []byte, err error) {
	head, note, ok := strings.Cut(raw, "\n\n")
	lines := strings.Split(head, "\n")
	text, isOld := strings.CutPrefix(lines[0], "old ")
	if !ok || !isOld || len(lines)-1 > maxPath {
		return 0, nil, nil, fmt.Errorf("%w: want a line of the old size, at most %d of hashes, an empty one and a checkpoint", ErrRequest, maxPath)
	}
	if old, err = tlog.ParseSize(text); err != nil {
		return 0, nil, nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	for _, l := range lines[1:] {
		b, err := base64.StdEncoding.Strict().DecodeString(l)
		if err != nil {
			return 0, nil, nil, fmt.Errorf("%w: a hash is not base64", ErrRequest)
		}
		h, err := id.FromBytes(b)
		if err != nil {
			return 0, nil, nil, fmt.Errorf("%w: %w", ErrRequest, err)
		}
		path = append(path, h)
	}
	return old, path, []byte(note), nil
}

// refuse writes the status that the specification has for an error.
func refuse(rw http.ResponseWriter, err error) {
	var c *Conflict
	status := http.StatusInternalServerError
	switch {
	case errors.As(err, &c):
		if !c.Fork {
			rw.Header().Set("Content-Type", "text/x.tlog.size")
			rw.WriteHeader(http.StatusConflict)
			fmt.Fprintf(rw, "%d\n", c.Size)
			return
		}
		status = http.StatusConflict
	case errors.Is(err, ErrRequest):
		status = http.StatusBadRequest
	case errors.Is(err, ErrUnknown):
		status = http.StatusNotFound
	case errors.Is(err, ErrUntrusted):
		status = http.StatusForbidden
	case errors.Is(err, tlog.ErrProof):
		status = http.StatusUnprocessableEntity
	}
	text := err.Error()
	if status == http.StatusInternalServerError {
		text = "the witness failed" // its log says more
	}
	http.Error(rw, text, status)
}
