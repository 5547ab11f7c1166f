package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"cipherdeck/crypto/progress"
	"cipherdeck/ui/plain"
)

// noteSink prints the notes of a program that runs until it is interrupted: a
// line each, so that whoever started it can read its address from a pipe.
type noteSink struct {
	progress.Sink
	w    io.Writer
	json bool
}

// Note prints one fact: "code key=value", or an object with --json.
func (s noteSink) Note(code string, kv ...any) {
	fields := map[string]any{"v": 1, "note": code}
	words := []string{code}
	for i := 0; i+1 < len(kv); i += 2 {
		fields[fmt.Sprint(kv[i])] = kv[i+1]
		words = append(words, fmt.Sprintf("%v=%v", kv[i], kv[i+1]))
	}
	if s.json {
		json.NewEncoder(s.w).Encode(fields)
		return
	}
	fmt.Fprintln(s.w, plain.Text(strings.Join(words, " ")))
}
