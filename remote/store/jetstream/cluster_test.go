package jetstream_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"cipherdeck/remote/store/faulttest"
	"cipherdeck/remote/store/jetstream"
)

// serveNATS is a server of a cluster, in a process of its own, until it is
// killed.
func serveNATS(settings string) error {
	o, err := server.ProcessConfigFile(settings)
	if err != nil {
		return err
	}
	o.NoSigs = true
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	s.ConfigureLogger()
	s.Start()
	s.WaitForShutdown()
	return nil
}

// cluster is three server processes on this machine, joined by links that can
// be cut.
type cluster struct {
	t      *testing.T // with which its servers end; a part of a test that restarts one ends earlier
	dir    string
	nodes  []*natsNode
	links  map[[2]int]*faulttest.Link // from, to
	app    string                     // file with the seed of the user
	system string                     // the same of the system account
	keys   [2]string                  // their public keys
}

type natsNode struct {
	name   string
	client string // host:port
	route  string
	cmd    *exec.Cmd
	lax    bool
}

const size = 3

// newCluster starts one; it ends with the test.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir(), links: map[[2]int]*faulttest.Link{}}
	c.app, c.keys[0] = seed(t, c.dir, "app.nk")
	c.system, c.keys[1] = seed(t, c.dir, "system.nk")
	for n := range size {
		c.nodes = append(c.nodes, &natsNode{name: fmt.Sprintf("n%d", n+1), client: freeAddr(t), route: freeAddr(t)})
	}
	for a := range size {
		for b := range size {
			if a != b {
				c.links[[2]int{a, b}] = faulttest.NewLink(t, c.nodes[b].route)
			}
		}
	}
	t.Cleanup(func() {
		for n := range size {
			c.kill(t, n)
		}
	})
	for n := range size {
		c.start(t, n)
	}
	return c
}

func seed(t *testing.T, dir, name string) (file, public string) {
	t.Helper()
	kp, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	s, err1 := kp.Seed()
	public, err2 := kp.PublicKey()
	file = filepath.Join(dir, name)
	if err := errors.Join(err1, err2, os.WriteFile(file, s, 0o600)); err != nil {
		t.Fatal(err)
	}
	return file, public
}

// freeAddr is an address below the ports that the system gives away by itself,
// or a link or a client could have it before the server does.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		if ln, err := net.Listen("tcp", addr); err == nil {
			_ = ln.Close()
			return addr
		}
	}
	t.Fatal("no free port between 20000 and 32000")
	return ""
}

// settings is the file of one server. Its routes go through the links, and it
// tells nobody of another way to it.
func (c *cluster) settings(n int) string {
	sync := "always"
	if c.nodes[n].lax {
		sync = "2m"
	}
	var routes []string
	for to := range size {
		if to != n {
			routes = append(routes, "nats://"+c.links[[2]int{n, to}].Addr())
		}
	}
	return fmt.Sprintf(`server_name: %s
listen: %q
jetstream { store_dir: %q, sync_interval: %s, max_file: 1GB }
cluster { name: test, listen: %q, advertise: "127.0.0.1:1", no_advertise: true, pool_size: 1, routes: ["%s"] }
accounts { APP { jetstream: enabled, users: [{nkey: %s}] }, SYS { users: [{nkey: %s}] } }
system_account: SYS
log_file: %q
`, c.nodes[n].name, c.nodes[n].client, filepath.Join(c.dir, c.nodes[n].name), sync, c.nodes[n].route,
		strings.Join(routes, `", "`), c.keys[0], c.keys[1], filepath.Join(c.dir, c.nodes[n].name+".log"))
}

func (c *cluster) start(t *testing.T, n int) {
	t.Helper()
	file := filepath.Join(c.dir, c.nodes[n].name+".conf")
	if err := os.WriteFile(file, []byte(c.settings(n)), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := child(c.t, "nats", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.nodes[n].cmd = cmd
}

// kill is kill -9.
func (c *cluster) kill(t *testing.T, n int) {
	t.Helper()
	cmd := c.nodes[n].cmd
	if cmd == nil {
		return
	}
	c.nodes[n].cmd = nil
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	_ = cmd.Wait()
}

// part cuts a server off from the others; heal joins it again.
func (c *cluster) part(n int) { c.each(n, (*faulttest.Link).Cut) }
func (c *cluster) heal(n int) { c.each(n, (*faulttest.Link).Heal) }

func (c *cluster) each(n int, do func(*faulttest.Link)) {
	for ends, l := range c.links {
		if ends[0] == n || ends[1] == n {
			do(l)
		}
	}
}

// external is how the engine reaches the cluster, by servers or by all.
func (c *cluster) external(servers ...int) *jetstream.External {
	x := &jetstream.External{Credentials: c.app, System: c.system, Replicas: size}
	if servers == nil {
		servers = []int{0, 1, 2}
	}
	for _, n := range servers {
		x.Servers = append(x.Servers, "nats://"+c.nodes[n].client)
	}
	return x
}

// patience is how long a cluster may take to elect its leaders.
const patience = 60 * time.Second

// open connects as soon as the cluster has leaders.
func (c *cluster) open(t *testing.T, lease time.Duration, servers ...int) *jetstream.Engine {
	t.Helper()
	over, tick := time.After(patience), time.Tick(200*time.Millisecond)
	for {
		e, err := jetstream.Open(t.Context(), jetstream.Config{External: c.external(servers...), Lease: lease})
		if err == nil {
			t.Cleanup(func() { closed(t, e) })
			return e
		}
		if errors.Is(err, jetstream.ErrSettings) {
			t.Fatal(err)
		}
		select {
		case <-over:
			t.Fatalf("the cluster is not ready: %v", err)
		case <-tick:
		}
	}
}

// raw is the documents as one server tells them.
func (c *cluster) raw(t *testing.T, n int) js.Stream {
	t.Helper()
	s, err := c.admin(t, n).Stream(t.Context(), "KV_docs")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// admin is a raw connection.
func (c *cluster) admin(t *testing.T, servers ...int) js.JetStream {
	t.Helper()
	auth, err := nats.NkeyOptionFromSeed(c.app)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect(strings.Join(c.external(servers...).Servers, ","), auth, nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	j, err := js.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// wipe makes the cluster empty.
func (c *cluster) wipe(t *testing.T) {
	t.Helper()
	j := c.admin(t)
	for _, name := range []string{"KV_docs", "KV_leases", "JOBS"} {
		if err := j.DeleteStream(t.Context(), name); err != nil && !errors.Is(err, js.ErrStreamNotFound) {
			t.Fatalf("delete %s: %v", name, err)
		}
	}
}
