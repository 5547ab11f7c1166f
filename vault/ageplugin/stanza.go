package ageplugin

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Limits of what a plugin may send.
const (
	maxLine    = 4096
	maxBody    = 12 << 10
	maxArgs    = 32
	maxStanzas = 64 // in one conversation
	columns    = 64 // of base64 in a line
)

// stanza is the one kind of message (c2sp.org/age, "Recipient stanza").
type stanza struct {
	Type string   `cbor:"1,keyasint"`
	Args []string `cbor:"2,keyasint"`
	Body []byte   `cbor:"3,keyasint"`
}

func (s stanza) write(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("-> " + strings.Join(append([]string{s.Type}, s.Args...), " ") + "\n")
	text := base64.RawStdEncoding.EncodeToString(s.Body)
	for ; len(text) >= columns; text = text[columns:] {
		b.WriteString(text[:columns] + "\n")
	}
	b.WriteString(text + "\n") // the last line is short, if need be empty
	defer clear(b.Bytes())
	_, err := w.Write(b.Bytes())
	return err
}

// readStanza reads what write writes, within the limits. Errors wrap
// ErrProtocol or are those of r.
func readStanza(r *bufio.Reader) (stanza, error) {
	line, err := readLine(r)
	if err != nil {
		return stanza{}, err
	}
	head, ok := strings.CutPrefix(line, "-> ")
	parts := strings.Split(head, " ")
	if !ok || len(parts) > maxArgs {
		return stanza{}, fmt.Errorf("%w: not the first line of a stanza", ErrProtocol)
	}
	if err := checkArgs(parts); err != nil {
		return stanza{}, err
	}
	s := stanza{Type: parts[0], Args: parts[1:]}
	for {
		line, err := readLine(r)
		if err != nil {
			return stanza{}, err
		}
		part, err := base64.RawStdEncoding.Strict().DecodeString(line)
		// The decoder skips \r by itself, strict or not.
		if err != nil || len(line) > columns || strings.Contains(line, "\r") {
			return stanza{}, fmt.Errorf("%w: body of stanza %.32q is not base64 in lines of %d", ErrProtocol, s.Type, columns)
		}
		s.Body = append(s.Body, part...)
		if len(s.Body) > maxBody {
			return stanza{}, fmt.Errorf("%w: stanza %.32q has more than %d bytes", ErrProtocol, s.Type, maxBody)
		}
		if len(line) < columns {
			return s, nil
		}
	}
}

// checkArgs: each argument is one or more printable ASCII characters but space.
func checkArgs(args []string) error {
	for _, a := range args {
		if a == "" || strings.ContainsFunc(a, func(r rune) bool { return r < 33 || r > 126 }) {
			return fmt.Errorf("%w: a stanza has an argument that is not ASCII", ErrProtocol)
		}
	}
	return nil
}

func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n') // at most the buffer, which has maxLine
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", fmt.Errorf("%w: line of more than %d bytes", ErrProtocol, maxLine)
	}
	if err != nil {
		return "", err
	}
	return string(line[:len(line)-1]), nil
}
