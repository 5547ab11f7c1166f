// Package hostile makes a server lie. It stands between TLS and the routes of a
// real server, where an operator who means harm would stand: with the server's own
// key, the clients' own logins and everything that the store has. Tests put it
// there (server.Options.Wrap); nothing else imports it.
package hostile

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
)

// Lie answers a request in the place of next, the honest server.
type Lie func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Liar is a server that is honest until it is told a lie.
type Liar struct {
	mu  sync.Mutex
	lie Lie
}

// Wrap is for server.Options.
func (l *Liar) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		lie := l.lie
		l.mu.Unlock()
		if lie == nil {
			next.ServeHTTP(w, r)
			return
		}
		lie(w, r, next)
	})
}

// Tell makes the server lie from now on; nil makes it honest.
func (l *Liar) Tell(lie Lie) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lie = lie
}

// On is a lie about some requests only, by their method and a part of their path.
func On(method, part string, lie Lie) Lie {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == method && strings.Contains(r.URL.Path, part) {
			lie(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}
}

// Answer is an answer as a whole.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// ask gets the honest answer.
func ask(r *http.Request, next http.Handler) Answer {
	rec := httptest.NewRecorder()
	next.ServeHTTP(rec, r)
	return Answer{rec.Code, rec.Header(), rec.Body.Bytes()}
}

// give sends an answer, with a length that fits its body.
func (a Answer) give(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.Header)
	w.Header().Set("Content-Length", strconv.Itoa(len(a.Body)))
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body)
}

// Changed sends good answers with another body.
func Changed(edit func([]byte) []byte) Lie {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		a := ask(r, next)
		if a.Status == http.StatusOK {
			a.Body = edit(bytes.Clone(a.Body))
		}
		a.give(w)
	}
}

// Flipped changes one bit in the middle.
func Flipped(b []byte) []byte {
	if len(b) > 0 {
		b[len(b)/2] ^= 1
	}
	return b
}

// Cut keeps the first half.
func Cut(b []byte) []byte { return b[:len(b)/2] }

// Old repeats the first good answer to each path for ever: an old data directory.
func Old() Lie {
	var mu sync.Mutex
	first := map[string]Answer{}
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		a := ask(r, next)
		mu.Lock()
		if have, ok := first[r.URL.Path]; ok {
			a = have
		} else if a.Status == http.StatusOK {
			first[r.URL.Path] = a
		}
		mu.Unlock()
		a.give(w)
	}
}

// Reordered answers each path with what the path before it should have had.
func Reordered() Lie {
	var mu sync.Mutex
	var path string
	var last *Answer
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		a := ask(r, next)
		mu.Lock()
		before := last
		if path != r.URL.Path {
			path, last = r.URL.Path, &a
		}
		mu.Unlock()
		if before != nil {
			a = *before
		}
		a.give(w)
	}
}

// Forked takes a new head without storing it and shows it from then on: who hands
// one in sees his own project, everybody else the honest one, until Wrap's liar
// shows the fork to them too.
type Forked struct {
	mu   sync.Mutex
	head []byte
}

// Take answers PUT …/head.
func (f *Forked) Take(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	f.head = raw
	f.mu.Unlock()
	Answer{http.StatusOK, http.Header{"Etag": {`"9999"`}}, []byte(`{"rev":9999}`)}.give(w)
}

// Show answers GET …/head.
func (f *Forked) Show(w http.ResponseWriter, r *http.Request, next http.Handler) {
	f.mu.Lock()
	head := f.head
	f.mu.Unlock()
	if head == nil {
		next.ServeHTTP(w, r)
		return
	}
	Answer{http.StatusOK, http.Header{"Etag": {`"9999"`}}, head}.give(w)
}

// Dropped breaks the connection before anything is done.
func Dropped(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

// DroppedAfter does what was asked and breaks the connection then.
func DroppedAfter(_ http.ResponseWriter, r *http.Request, next http.Handler) {
	ask(r, next)
	panic(http.ErrAbortHandler)
}

// Gone says that there is no such thing.
func Gone(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	Answer{http.StatusNotFound, nil, []byte(`{"error":{"code":"not_found","cause":"gone"}}`)}.give(w)
}

// Silent never answers, until the client gives up. That is noticed only after the
// body was read.
func Silent(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// Endless begins a good answer and never ends it: with announced set it says that
// it has as many bytes as a blob may, and sends more.
func Endless(announced int64) Lie {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		if announced > 0 {
			w.Header().Set("Content-Length", strconv.FormatInt(announced, 10))
		}
		w.WriteHeader(http.StatusOK)
		junk := bytes.Repeat([]byte("x"), 64<<10)
		for r.Context().Err() == nil {
			if _, err := w.Write(junk); err != nil {
				panic(http.ErrAbortHandler)
			}
		}
	}
}
