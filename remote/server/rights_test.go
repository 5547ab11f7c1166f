package server_test

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/api"
	"cipherdeck/remote/auth"
	rt "cipherdeck/remote/remotetest"
	"cipherdeck/remote/server"
)

// The columns of the table: who asks.
const (
	cNobody   = iota // not logged in
	cWrong           // a token that was never given
	cExpired         // the owner's token, after its time
	cStranger        // an enrolled person who is no member
	cAuditor
	cReader
	cWriter
	cAdmin
	cOwner
	cIdle   // a node without a lease
	cBusy   // a node that holds a lease of the project
	cOther  // a node that holds a lease of another project
	cKey    // an API key of the owner with every scope
	cKeyOne // one that may read heads of this project only
	cKeyOff // one that may do everything in another project
	cKeyLow // one of the reader with every scope: no more than his role
	cKeyBad // one with a wrong secret
	columns
)

// TestRights asks for every route as everybody. One letter a cell: . allowed,
// u 401, f 403, n no such route. Allowed means that the guard let it through: what the handler
// then says of an empty request is another matter.
func TestRights(t *testing.T) {
	s, clients, extra := cast(t)
	defer extra()
	p := s.p.ID().String()
	blob := id.Of([]byte("plan")).String()
	links := "/v1/accounts/" + s.owner.UID.String() + "/links"
	one := "/v1/projects/" + p + "/blobs/" + blob
	accept := "/v1/projects/" + p + "/accepts/" + strings.Repeat("0a", 16)
	ask := "POST /v1/projects/" + p + "/nodes/" + s.node.UID.String() + "/ask"
	table := map[string]string{
		//                                                  nobody wrong expired stranger auditor reader writer admin owner idle busy other  key one off low bad
		"GET /v1/meta":                             ". . . . . . . . . . . .  . . . . .",
		"POST /v1/attest":                          ". . . . . . . . . . . .  . . . . .",
		"POST /v1/attest/enrol":                    ". . . . . . . . . . . .  . . . . .",
		"POST /v1/auth/challenge":                  ". . . . . . . . . . . .  . . . . .",
		"POST /v1/auth/login":                      ". . . . . . . . . . . .  . . . . .",
		"PUT /v1/accounts/" + s.owner.UID.String(): ". . . . . . . . . . . .  . . . . .",
		"GET /v1/accounts/" + s.owner.UID.String(): "u u u . . . . . . . . .  f f f f u",
		"GET " + links:                             "u u u . . . . . . . . .  f f f f u",
		"GET " + strings.TrimSuffix(links, "links") + "after/" + blob: ". . . . . . . . . . . .  . . . . .", // by an id that nobody guesses
		"POST " + links: ". . . . . . . . . . . .  . . . . .", // its own keys sign it
		"GET /v1/checks/" + strings.Repeat("0f", 32):  ". . . . . . . . . . . .  . . . . .",
		"PUT /v1/checks/" + strings.Repeat("0f", 32):  "u u u . . . . . . f f f  f f f f u",
		"GET /v1/journal/checkpoint":                  ". . . . . . . . . . . .  . . . . .",
		"GET /v1/journal/proof/inclusion":             ". . . . . . . . . . . .  . . . . .",
		"GET /v1/journal/proof/consistency":           ". . . . . . . . . . . .  . . . . .",
		"POST /v1/journal/cosignature":                "u u u . . . . . . . . .  f f f f u",
		"GET /v1/journal/entries":                     "u u u . . . . . . . . .  f f f f u",
		"GET /v1/journal/tile/0/000":                  "u u u . . . . . . . . .  f f f f u",
		"GET /v1/journal/object/" + blob:              "u u u . . . . . . . . .  f f f f u",
		"GET /v1/projects":                            "u u u . . . . . . . . .  . f f . u",
		"POST /v1/projects":                           "u u u . . . . . . f f f  f f f f u",
		"GET /v1/projects/" + p + "/head":             "u u u f . . . . . f f f  . . f . u",
		"PUT /v1/projects/" + p + "/head":             "u u u f . . . . . f f f  f f f f u",
		"POST /v1/projects/" + p + "/blobs/have":      "u u u f . . . . . f . f  . f f . u",
		"GET /v1/projects/" + p + "/blobs/" + blob:    "u u u f . . . . . f . f  . f f . u",
		"PUT /v1/projects/" + p + "/blobs/" + blob:    "u u u f f f . . . f . f  . f f f u",
		"POST /v1/projects/" + p + "/collect":         "u u u f f f f f . f f f  f f f f u",
		"POST " + one + "/presign-get":                "u u u f . . . . . f . f  f f f f u",
		"POST " + one + "/presign-put":                "u u u f f f . . . f . f  f f f f u",
		"POST /v1/projects/" + p + "/jobs":            "u u u f f f . . . f f f  . f f f u",
		"GET /v1/projects/" + p + "/jobs":             "u u u f f . . . . f f f  . f f . u",
		"GET /v1/projects/" + p + "/jobs/" + blob:     "u u u f f . . . . f f f  . f f . u",
		"GET /v1/projects/" + blob + "/head":          "u u u f f f f f f f f f  f f f f u", // no such project
		"GET /v1/projects/not-an-id/head":             "u u u f f f f f f f f f  f f f f u",
		"POST /v1/projects/" + blob + "/blobs/have":   "u u u f f f f f f f f f  f f f f u",
		"PUT /v1/projects/" + blob + "/blobs/" + blob: "u u u f f f f f f f f f  f f f f u",
		"POST /v1/projects/" + blob + "/jobs":         "u u u f f f f f f f f f  f f f f u",
		ask:                                           "u u u f f f . . . f f f  . f f f u",
		"POST /v1/node/asked":                         "u u u f f f f f f . . .  f f f f u",
		"POST /v1/node/answer":                        "u u u f f f f f f . . .  f f f f u",
		"POST /v1/node/lease":                         "u u u f f f f f f . . .  f f f f u",
		"POST /v1/node/extend":                        "u u u f f f f f f . . .  f f f f u",
		"POST /v1/node/complete":                      "u u u f f f f f f . . .  f f f f u",
		"POST /v1/node/fail":                          "u u u f f f f f f . . .  f f f f u",
		"GET /v1/sessions":                            "u u u . . . . . . . . .  f f f f u",
		"DELETE /v1/sessions?device=none":             "u u u . . . . . . . . .  f f f f u",
		"POST /v1/keys":                               "u u u . . . . . . f f f  f f f f u",
		"GET /v1/keys":                                "u u u . . . . . . f f f  f f f f u",
		"DELETE /v1/keys/none":                        "u u u . . . . . . f f f  f f f f u",
		"POST /v1/keys/none/rotate":                   "u u u . . . . . . f f f  f f f f u",
		"GET /v1/nothing":                             "n n n n n n n n n n n n  n n n n n", // no such route
		"GET /v1/projects/" + p + "/links":            "u u u f . . . . . f f f  f f f f u",
		"GET /v1/projects/" + p + "/seen":             "u u u f . . . . . f f f  f f f f u",
		"PUT /v1/projects/" + p + "/seen":             "u u u f . . . . . f f f  f f f f u",
		"GET /v1/projects/" + p + "/accepts":          "u u u f f f f . . f f f  f f f f u",
		"PUT " + accept:                               "u u u f f f f f f f f f  f f f f u", // there is no such invitation
		"PATCH /v1/projects/" + p + "/head":           "n n n n n n n n n n n n  n n n n n",
		"POST /v1/auth/logout":                        "u u u . . . . . . . . .  f f f f u", // last: it ends the login
	}
	last := "POST /v1/auth/logout"
	order := slices.DeleteFunc(slices.Sorted(maps.Keys(table)), func(r string) bool { return r == last })
	for _, route := range append(order, last) {
		cells := strings.Fields(table[route])
		if len(cells) != columns {
			t.Fatalf("%s: %d cells", route, len(cells))
		}
		method, path, _ := strings.Cut(route, " ")
		for who, want := range cells {
			if got := cell(t, clients[who], method, path); got != want {
				t.Errorf("%s as column %d: got %s, want %s", route, who, got, want)
			}
		}
	}
	covered(t, table)
}

// cell is what the server answers a request without a useful body: n when there
// is no such route, which is said to everybody alike.
func cell(t *testing.T, c *raw, method, path string) string {
	t.Helper()
	rsp := c.do(t, method, path, nil)
	switch rsp.StatusCode {
	case 401:
		return "u"
	case 403:
		return "f"
	case 404:
		var e api.Envelope
		decode(t, rsp, &e)
		if e.Error.Cause == "no such route" {
			return "n"
		}
	case 429, 500, 503:
		t.Errorf("%s %s: status %d", method, path, rsp.StatusCode)
	}
	return "."
}

// covered fails when the server has a route that the table does not test.
func covered(t *testing.T, table map[string]string) {
	t.Helper()
	for _, r := range server.Patterns() {
		method, pattern, _ := strings.Cut(r, " ")
		if !slices.ContainsFunc(slices.Collect(maps.Keys(table)), func(row string) bool {
			m, path, _ := strings.Cut(row, " ")
			path, _, _ = strings.Cut(path, "?")
			return m == method && matches(pattern, path)
		}) {
			t.Errorf("no row for %s", r)
		}
	}
}

func matches(pattern, path string) bool {
	a, b := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] && !strings.HasPrefix(a[i], "{") {
			return false
		}
	}
	return true
}

// cast is everybody, each on a connection of his own.
func cast(t *testing.T) (*setup, [columns]*raw, func()) {
	t.Helper()
	s, clk := startFrozen(t)
	var all [columns]*raw
	enrol := func(column int, w rt.Who) {
		rt.Enrolled(t, s.srv, w)
		all[column] = connect(t, s.srv, w)
	}
	for column, role := range map[int]chain.Role{cAuditor: chain.Auditor, cReader: chain.Reader, cWriter: chain.Writer, cAdmin: chain.Admin} {
		w := rt.Person(t, role.String())
		s.p.Add(t, w, role)
		enrol(column, w)
	}
	enrol(cStranger, rt.Person(t, "stranger"))
	enrol(cOwner, s.owner)
	enrol(cBusy, s.node)
	s.submit(t)
	s.lease(t)
	idle, other := rt.Node(t, "idle"), rt.Node(t, "other")
	s.p.GrantTo(t, idle)
	enrol(cIdle, idle)
	p2 := rt.NewProject(t, s.client, s.owner)
	p2.GrantTo(t, other)
	enrol(cOther, other)
	doc, _ := p2.NewJob(t)
	if _, err := p2.SubmitJob(t.Context(), doc); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := rt.Client(t, s.srv, other).Lease(t.Context(), 0); !ok || err != nil {
		t.Fatalf("lease of the other node: %v", err)
	}
	all[cNobody], all[cWrong] = open(t, s.srv), open(t, s.srv)
	all[cWrong].token = strings.Repeat("A", 43)
	clk.Add(-int64(2 * time.Minute)) // longer than a login lasts here
	all[cExpired] = connect(t, s.srv, s.owner)
	all[cExpired].who = nil
	clk.Add(int64(2 * time.Minute))
	reader := rt.Person(t, "reader with a key")
	s.p.Add(t, reader, chain.Reader)
	every := auth.Scopes()
	mine, hers := s.client, rt.Enrolled(t, s.srv, reader)
	all[cKey] = withKey(t, s.srv, mine, every)
	all[cKeyOne] = withKey(t, s.srv, mine, []string{auth.ScopeHead + "@" + s.p.ID().String()})
	var off []string
	for _, op := range every {
		if op != auth.ScopeProjects {
			off = append(off, op+"@"+p2.ID().String())
		}
	}
	all[cKeyOff] = withKey(t, s.srv, mine, off)
	all[cKeyLow] = withKey(t, s.srv, hers, every)
	all[cKeyBad] = withKey(t, s.srv, mine, every)
	all[cKeyBad].token = all[cKeyBad].token[:len(all[cKeyBad].token)-1] + "0"
	return s, all, func() {
		for _, c := range all {
			_ = c.conn.Close()
		}
	}
}

// startFrozen is start with a clock that moves only when the test says so.
func startFrozen(t *testing.T) (*setup, *atomic.Int64) {
	t.Helper()
	clk := new(atomic.Int64)
	clk.Store(time.Now().UnixNano())
	s := &setup{cfg: rt.Config(t.TempDir()), owner: rt.Person(t, "owner"), node: rt.Node(t, "node")}
	s.cfg.TokenTTLSeconds = 60
	s.srv = rt.Start(t, server.Options{Config: s.cfg, Now: func() time.Time { return time.Unix(0, clk.Load()) }})
	s.client, s.worker = rt.Enrolled(t, s.srv, s.owner), rt.Enrolled(t, s.srv, s.node)
	s.p = rt.NewProject(t, s.client, s.owner)
	s.p.GrantTo(t, s.node)
	return s, clk
}

// withKey is a connection that shows a new API key of the client's account.
func withKey(t *testing.T, s *server.Server, c *api.Client, scopes []string) *raw {
	t.Helper()
	k, err := c.NewKey(t.Context(), api.KeyRequest{Name: "script", Scopes: scopes, NotAfter: time.Now().Add(time.Hour).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	conn := open(t, s)
	conn.token = k.Bearer
	return conn
}

// TestTheft uses what one has at another place.
func TestTheft(t *testing.T) {
	s := start(t)
	mine := connect(t, s.srv, s.owner)
	if got := cell(t, mine, "GET", "/v1/projects"); got != "." {
		t.Fatalf("own token: %s", got)
	}
	thief := open(t, s.srv)
	thief.token = mine.token
	if got := cell(t, thief, "GET", "/v1/projects"); got != "u" {
		t.Errorf("stolen token on another connection: %s", got)
	}
	for _, bad := range []string{"", "x", mine.token[:42], mine.token + "A", strings.Repeat("A", 43)} {
		thief.token = bad
		if got := cell(t, thief, "GET", "/v1/projects"); got != "u" {
			t.Errorf("token %q: %s", bad, got)
		}
	}
	if rsp := mine.do(t, "POST", "/v1/auth/logout", nil); rsp.StatusCode != 200 {
		t.Fatalf("logout: %s", rsp.Status)
	}
	if got := cell(t, mine, "GET", "/v1/projects"); got != "u" {
		t.Errorf("revoked token: %s", got)
	}
}

// TestCrossProject shows that an id known from one project opens nothing in
// another one.
func TestCrossProject(t *testing.T) {
	s := start(t)
	secret := s.p.Put(t, []byte("ciphertext of the first project"))
	other := rt.Person(t, "other")
	c := rt.Enrolled(t, s.srv, other)
	p2 := rt.NewProject(t, c, other)
	have, err := p2.Have(t.Context(), []id.ID{secret})
	if err != nil || have[0] {
		t.Errorf("have: %v, %v", have, err)
	}
	_, err = p2.GetBlob(t.Context(), secret, 0, -1)
	wantErr(t, "get", err, api.ErrNotFound)
	_, err = c.Project(s.p.ID()).GetBlob(t.Context(), secret, 0, -1)
	wantErr(t, "get as a stranger", err, api.ErrForbidden)
}

func TestHeads(t *testing.T) {
	s := start(t)
	ctx := t.Context()
	link, _ := s.p.Sign(t, chain.KindPut, chain.PutBody{Index: s.p.Put(t, []byte("index"))})
	_, err := s.p.CAS(ctx, api.HeadKey, link, s.p.Rev()+1)
	wantErr(t, "another revision", err, api.ErrConflict)
	_, err = s.p.CAS(ctx, api.HeadKey, append(slices.Clone(link), 0), s.p.Rev())
	wantErr(t, "damaged link", err, api.ErrInvalid)
	reader := rt.Person(t, "reader")
	s.p.Add(t, reader, chain.Reader) // advances the head
	_, err = s.p.CAS(ctx, api.HeadKey, link, s.p.Rev())
	wantErr(t, "link that does not follow", err, api.ErrConflict)
	link, _ = s.p.Sign(t, chain.KindPut, chain.PutBody{Index: s.p.Put(t, []byte("index"))})
	_, err = rt.Enrolled(t, s.srv, reader).Project(s.p.ID()).CAS(ctx, api.HeadKey, link, s.p.Rev())
	wantErr(t, "handed in by another member", err, api.ErrForbidden)
	if _, err = s.p.CAS(ctx, api.HeadKey, link, s.p.Rev()); err != nil {
		t.Error(err)
	}
	// Nobody uploaded the link: the server keeps it where others read it.
	if have, err := s.p.Have(ctx, []id.ID{id.Of(link)}); err != nil || !have[0] {
		t.Errorf("the link as a blob: %v, %v", have, err)
	}
	head, _, err := s.p.Head(ctx, api.HeadKey)
	if err != nil || !bytes.Equal(head, link) {
		t.Errorf("head differs: %v", err)
	}
	_, _, err = s.p.Head(ctx, "other")
	wantErr(t, "another key", err, api.ErrNotFound)
}

func TestMembership(t *testing.T) {
	s := start(t)
	w := rt.Person(t, "writer")
	c := rt.Enrolled(t, s.srv, w)
	has := func(what string, want int) {
		t.Helper()
		got, err := c.Projects(t.Context())
		if err != nil || len(got) != want {
			t.Errorf("%s: %d projects, %v; want %d", what, len(got), err, want)
		}
	}
	has("before", 0)
	s.p.Add(t, w, chain.Writer)
	has("as a member", 1)
	s.p.Do(t, chain.KindRemove, chain.RemoveBody{UID: w.UID, Epoch: chain.Epoch{Number: 2, Prev: []byte("sealed"), Wraps: id.Of([]byte("w2"))}})
	has("after removal", 0)
	_, _, err := c.Project(s.p.ID()).Head(t.Context(), api.HeadKey)
	wantErr(t, "head after removal", err, api.ErrForbidden)
	genesis, _ := s.p.GetBlob(t.Context(), s.p.ID(), 0, -1)
	defer genesis.Close()
	var raw bytes.Buffer
	if _, err := raw.ReadFrom(genesis); err != nil {
		t.Fatal(err)
	}
	_, err = c.CreateProject(t.Context(), raw.Bytes())
	wantErr(t, "create with another one's genesis", err, api.ErrForbidden)
	_, err = s.client.CreateProject(t.Context(), raw.Bytes())
	wantErr(t, "create again", err, nil)
	if _, rev, err := s.p.Head(t.Context(), api.HeadKey); err != nil || rev != s.p.Rev() {
		t.Errorf("creating again moved the head: %d, %v", rev, err)
	}
}

func TestEnrolment(t *testing.T) {
	s := start(t, func(c *server.Config) { c.Enrolment = server.EnrolOpen })
	wantErr(t, "enrol again", s.client.Enrol(t.Context()), nil)
	new := rt.Person(t, "new")
	_, err := rt.Client(t, s.srv, new).Projects(t.Context())
	wantErr(t, "unknown key", err, api.ErrUnauthorized)
	liar := rt.Client(t, s.srv, new, func(c *api.Config) { c.Account = s.owner.Raw })
	wantErr(t, "another one's account", liar.Enrol(t.Context()), api.ErrInvalid)
	forged := bytes.Clone(new.Raw)
	forged[len(forged)-1] ^= 1
	wantErr(t, "forged", rt.Client(t, s.srv, new, func(c *api.Config) { c.Account = forged }).Enrol(t.Context()), api.ErrInvalid)
	got, err := s.client.Account(t.Context(), s.node.UID)
	if err != nil || !bytes.Equal(got.Raw, s.node.Raw) {
		t.Errorf("account of the node: %v", err)
	}
	_, err = s.client.Account(t.Context(), new.UID)
	wantErr(t, "account that is not there", err, api.ErrNotFound)
	s.cfg.Enrolment = server.EnrolClosed
	s.restart(t)
	wantErr(t, "closed", rt.Client(t, s.srv, new).Enrol(t.Context()), api.ErrForbidden)
	wantErr(t, "closed, but known", s.client.Enrol(t.Context()), nil)
}
