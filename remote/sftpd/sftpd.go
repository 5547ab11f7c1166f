// Package sftpd is a door to a server's blobs for stock SFTP clients:
//
//	/PROJECT            a folder for each project in which one has a role
//	/PROJECT/BLOB       ciphertext, named by its id
//
// put, get, ls and stat, and nothing else. A file is taken when its bytes are
// what its name says, so nothing but what a project could name gets in; the
// rights are those of the HTTPS routes.
//
// Nobody has a password or a key of his own here. A person comes with an SSH
// certificate that his device key signed, for himself (the user name is his
// user id) and for hours: the device key, which signs links and logins, never
// leaves the vault, and no agent or file holds it.
package sftpd

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/store"
)

// House is what the door belongs to. Devices is asked by strangers, who come from
// an address; the others by guests, whose device may have been revoked and whose
// time may be over since they came in. Blobs fails with ErrDenied for what the
// guest may not do, and for a project that does not exist.
type House interface {
	Devices(ctx context.Context, from net.Addr, u chain.UID) (doc.KeyFunc, error)
	Projects(ctx context.Context, g Guest) ([]id.ID, error)
	Blobs(ctx context.Context, g Guest, pid id.ID, write bool) (store.Blobs, error)
}

// Guest is who was let in: whose certificate it was, which device signed it, and
// until when it is good.
type Guest struct {
	UID    chain.UID
	Device doc.KeyID
	Until  time.Time
}

// ErrDenied answers alike for what is not allowed and what is not there.
var ErrDenied = errors.New("not allowed, or there is no such project")

// Bounds of a door.
const (
	maxConns = 64               // open at a time
	maxOpen  = 32               // files open at a time, all connections together: each is in memory
	maxMine  = 8                // of one of them
	greeting = 15 * time.Second // to log in
	idle     = 5 * time.Minute
	maxLife  = 8 * 24 * 3600 // seconds of a certificate
)

// Door is a listening server.
type Door struct {
	house House
	max   int64
	log   *slog.Logger
	ssh   *ssh.ServerConfig
	ln    net.Listener
	slots chan struct{}
	files chan struct{}
	ctx   context.Context
	stop  context.CancelFunc
	work  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// Listen opens the door at addr; blobs have at most max bytes.
func Listen(ctx context.Context, addr string, host ed25519.PrivateKey, house House, max int64, log *slog.Logger) (*Door, error) {
	key, err := ssh.NewSignerFromKey(host)
	if err != nil {
		return nil, err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	d := &Door{house: house, max: max, log: log, ln: ln, slots: make(chan struct{}, maxConns), files: make(chan struct{}, maxOpen), conns: map[net.Conn]struct{}{}}
	d.ctx, d.stop = context.WithCancel(context.WithoutCancel(ctx))
	d.ssh = &ssh.ServerConfig{MaxAuthTries: 3, PublicKeyCallback: d.admit, ServerVersion: "SSH-2.0-cipherdeck"}
	d.ssh.AddHostKey(key)
	d.work.Go(d.accept)
	return d, nil
}

// Addr is where the door is.
func (d *Door) Addr() string { return d.ln.Addr().String() }

// Close shuts the door and ends what goes on behind it.
func (d *Door) Close() error {
	d.stop()
	err := d.ln.Close()
	d.mu.Lock()
	for c := range d.conns {
		_ = c.Close()
	}
	d.mu.Unlock()
	d.work.Wait()
	return err
}

func (d *Door) accept() {
	for {
		c, err := d.ln.Accept()
		if err != nil {
			if d.ctx.Err() == nil {
				d.log.Error("sftp: accept", "err", err)
			}
			return
		}
		select {
		case d.slots <- struct{}{}:
		default:
			_ = c.Close() // too many: who comes again later is served
			continue
		}
		d.work.Go(func() {
			defer func() { <-d.slots }()
			d.serve(c)
		})
	}
}

// admit lets in who has a certificate of one of his devices.
func (d *Door) admit(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return nil, errors.New("want a certificate")
	}
	u, err := chain.ParseUID(conn.User())
	if err != nil {
		return nil, err
	}
	// Without names a certificate would be good for everybody, and one without an
	// end could not be lost safely.
	if !slices.Equal(cert.ValidPrincipals, []string{u.String()}) || cert.ValidBefore-cert.ValidAfter > maxLife {
		return nil, errors.New("certificate is not for this user alone, or for too long")
	}
	signer, ok := cert.SignatureKey.(ssh.CryptoPublicKey)
	if !ok {
		return nil, errors.New("signed by a key of another kind")
	}
	devices, err := d.house.Devices(d.ctx, conn.RemoteAddr(), u)
	if err != nil {
		return nil, err
	}
	name, err := doc.KeyIDOf(signer.CryptoPublicKey())
	if err != nil {
		return nil, err
	}
	known, err := devices(name, nil)
	if err != nil || known == nil {
		return nil, fmt.Errorf("not signed by a device of %s: %w", u.Short(), err)
	}
	check := ssh.CertChecker{IsUserAuthority: func(a ssh.PublicKey) bool {
		pub, err := ssh.NewPublicKey(known)
		return err == nil && string(pub.Marshal()) == string(a.Marshal())
	}}
	perms, err := check.Authenticate(conn, key)
	if err != nil {
		return nil, err
	}
	// Its options come along, so that a limit to some addresses holds.
	g := Guest{UID: u, Device: name, Until: time.Unix(int64(cert.ValidBefore), 0)}
	return &ssh.Permissions{CriticalOptions: perms.CriticalOptions, ExtraData: map[any]any{guestKey{}: g}}, nil
}

// guestKey is where a connection keeps its Guest.
type guestKey struct{}

// patient ends a connection on which nothing comes.
type patient struct {
	net.Conn
	mu    sync.Mutex
	limit time.Duration
}

// Read reads on, for a while.
func (p *patient) Read(b []byte) (int, error) {
	p.mu.Lock()
	limit := p.limit
	p.mu.Unlock()
	if limit > 0 {
		if err := p.SetReadDeadline(time.Now().Add(limit)); err != nil {
			return 0, err
		}
	}
	return p.Conn.Read(b)
}

func (d *Door) serve(c net.Conn) {
	d.mu.Lock()
	d.conns[c] = struct{}{}
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		delete(d.conns, c)
		d.mu.Unlock()
		_ = c.Close()
	}()
	if d.ctx.Err() != nil {
		return
	}
	if err := c.SetDeadline(time.Now().Add(greeting)); err != nil {
		return
	}
	p := &patient{Conn: c}
	conn, chans, reqs, err := ssh.NewServerConn(p, d.ssh)
	if err != nil {
		d.log.Debug("sftp: refused", "err", err)
		return
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		return
	}
	p.mu.Lock()
	p.limit = idle
	p.mu.Unlock()
	go ssh.DiscardRequests(reqs)
	g, ok := conn.Permissions.ExtraData[guestKey{}].(Guest)
	if !ok {
		return
	}
	one := make(chan struct{}, 1) // a connection has one session
	for ch := range chans {
		select {
		case one <- struct{}{}:
		default:
			_ = ch.Reject(ssh.ResourceShortage, "one session a connection")
			continue
		}
		if ch.ChannelType() != "session" {
			_ = ch.Reject(ssh.UnknownChannelType, "sftp only")
			<-one
			continue
		}
		stream, reqs, err := ch.Accept()
		if err != nil {
			return
		}
		d.work.Go(func() {
			defer func() { <-one }()
			d.session(g, stream, reqs)
		})
	}
}

// session waits for the one subsystem there is: no shell, no command, no
// environment, no forwarding.
func (d *Door) session(g Guest, stream ssh.Channel, reqs <-chan *ssh.Request) {
	defer stream.Close()
	for q := range reqs {
		ok := q.Type == "subsystem" && string(q.Payload) == "\x00\x00\x00\x04sftp"
		if err := q.Reply(ok, nil); err != nil {
			return
		}
		if !ok {
			continue
		}
		go ssh.DiscardRequests(reqs)
		h := &visit{d: d, guest: g, files: make(chan struct{}, maxMine)}
		srv := sftp.NewRequestServer(stream, sftp.Handlers{FileGet: h, FilePut: h, FileCmd: h, FileList: h})
		if err := srv.Serve(); err != nil && !errors.Is(err, io.EOF) {
			d.log.Debug("sftp: session", "err", err)
		}
		_, _ = stream.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
		return
	}
}
