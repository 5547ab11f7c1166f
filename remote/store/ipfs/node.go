package ipfs

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"cipherdeck/remote/store"
)

// ErrEndpoint is wrapped for an address that no daemon should have.
var ErrEndpoint = errors.New("not the RPC address of an IPFS daemon: want http://127.0.0.1:5001, or https://")

// Node is a daemon, spoken to by its RPC.
type Node struct {
	base  string
	token string
	http  *http.Client
}

// Open prepares to use the daemon at endpoint; it sends nothing. Whoever
// reaches the RPC of a daemon controls it, so it is on this machine or behind
// TLS; token is the bearer token that it may want, or "".
func Open(endpoint, token string) (*Node, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.Scheme != "https" && (u.Scheme != "http" || !isLocal(u.Hostname())) {
		return nil, ErrEndpoint // not what was given: it may hold a password
	}
	return &Node{base: strings.TrimSuffix(u.String(), "/") + "/api/v0/", token: token, http: &http.Client{
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
			MaxIdleConnsPerHost:   parallel,
			ResponseHeaderTimeout: time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// maxReply bounds an answer in JSON: a list of some hundred thousand names.
const maxReply = 128 << 20

// call runs a command of the daemon, offline: a blob that is not here is not
// looked for in the network. file is what it reads, or nil; into is nil, a
// *bytes.Buffer of at most max bytes, or JSON.
func (n *Node) call(ctx context.Context, command string, q url.Values, file []byte, max int64, into any) error {
	q.Set("offline", "true")
	body, typ := io.Reader(nil), ""
	if file != nil {
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		part, err := w.CreateFormFile("data", "data")
		if err != nil {
			return err
		}
		if _, err := part.Write(file); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		body, typ = &form, w.FormDataContentType()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, n.base+command+"?"+q.Encode(), body)
	if err != nil {
		return err
	}
	if typ != "" {
		r.Header.Set("Content-Type", typ)
	}
	if n.token != "" {
		r.Header.Set("Authorization", "Bearer "+n.token)
	}
	rsp, err := n.http.Do(r)
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	defer rsp.Body.Close()
	if rsp.StatusCode != http.StatusOK {
		return refusal(command, rsp)
	}
	return take(rsp.Body, max, into)
}

func take(r io.Reader, max int64, into any) error {
	var err error
	switch into := into.(type) {
	case nil:
		_, err = io.Copy(io.Discard, io.LimitReader(r, maxReply))
	case *bytes.Buffer:
		_, err = into.ReadFrom(io.LimitReader(r, max+1))
	default:
		err = json.NewDecoder(io.LimitReader(r, maxReply)).Decode(into)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return nil
}

// refusal is what the daemon says was wrong. It has no code for "not there".
func refusal(command string, rsp *http.Response) error {
	var e struct{ Message string }
	_ = json.NewDecoder(io.LimitReader(rsp.Body, 64<<10)).Decode(&e) // without it there is the status
	switch {
	case strings.Contains(e.Message, "file does not exist"), strings.Contains(e.Message, "not found"):
		return fmt.Errorf("%w: %s: %.200q", store.ErrNotFound, command, e.Message)
	case strings.Contains(e.Message, "already has entry"):
		return fmt.Errorf("%w: %s", errThere, command)
	}
	return fmt.Errorf("%w: %s: the daemon answers %d %.200q", store.ErrUnavailable, command, rsp.StatusCode, e.Message)
}

// errThere says that a directory has such an entry.
var errThere = errors.New("there already")
