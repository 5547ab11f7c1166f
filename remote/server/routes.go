package server

import (
	"net/http"

	"cipherdeck/crypto/chain"
	"cipherdeck/crypto/secret"
	"cipherdeck/fhe/job"
	"cipherdeck/remote/api"
)

// right is who may use a route at all. What is in no row is refused.
type right uint8

const (
	anybody right = iota // before login
	someone              // any account that is enrolled
	person               // an account of kind person
	member               // whose role in the project allows the operation
	worker               // the same; or a node that holds a lease of the project
	node                 // an account of kind node
)

// route is one row of the table of rights.
type route struct {
	method, pattern string
	right           right
	op              chain.Op // of member and worker
	max             int64    // bytes of the body; 0: it has none
	slow            bool     // may wait on purpose: see maxWait
	handle          func(*Server, *call) error
}

// Bounds of JSON bodies.
const (
	maxSmall  = 16 << 10
	maxHave   = api.MaxHave*64 + 1024
	maxAnswer = (api.MaxNodeAnswer+2)/3*4 + 1024
)

// routes is the table of everything the server does, and for whom.
func routes(c Config) []route {
	const p = "/v1/projects/{pid}"
	return []route{
		{"GET", "/v1/meta", anybody, 0, 0, false, (*Server).meta},
		{"POST", "/v1/attest", anybody, 0, maxSmall, false, (*Server).attest},
		{"POST", "/v1/attest/enrol", anybody, 0, maxSmall, false, (*Server).attest},
		{"POST", "/v1/auth/challenge", anybody, 0, maxSmall, false, (*Server).challenge},
		{"POST", "/v1/auth/login", anybody, 0, maxSmall, false, (*Server).login},
		{"PUT", "/v1/accounts/{uid}", anybody, 0, chain.MaxGenesis, false, (*Server).enrol},
		{"POST", "/v1/accounts/{uid}/links", anybody, 0, chain.MaxAccountLink, false, (*Server).putAccountLink},
		{"GET", "/v1/accounts/{uid}/after/{head}", anybody, 0, 0, false, (*Server).linksAfter}, // who knows the head
		{"GET", "/v1/checks/{name}", anybody, 0, 0, false, (*Server).getChecks},

		{"GET", "/v1/journal/checkpoint", anybody, 0, 0, false, (*Server).checkpoint},
		{"GET", "/v1/journal/proof/inclusion", anybody, 0, 0, false, (*Server).inclusion},
		{"GET", "/v1/journal/proof/consistency", anybody, 0, 0, false, (*Server).consistency},
		{"POST", "/v1/journal/cosignature", someone, 0, maxSmall, false, (*Server).cosignature},
		{"GET", "/v1/journal/entries", someone, 0, 0, false, (*Server).entries},
		{"GET", "/v1/journal/tile/{level}/{rest...}", someone, 0, 0, false, (*Server).tile},
		{"GET", "/v1/journal/object/{tag}", someone, 0, 0, false, (*Server).object},

		{"POST", "/v1/auth/logout", someone, 0, maxSmall, false, (*Server).logout},
		{"GET", "/v1/sessions", someone, 0, 0, false, (*Server).listSessions},
		{"DELETE", "/v1/sessions", someone, 0, 0, false, (*Server).revokeSessions},
		{"POST", "/v1/keys", person, 0, maxSmall, false, (*Server).newKey},
		{"GET", "/v1/keys", person, 0, 0, false, (*Server).listKeys},
		{"DELETE", "/v1/keys/{id}", person, 0, 0, false, (*Server).revokeKey},
		{"POST", "/v1/keys/{id}/rotate", person, 0, maxSmall, false, (*Server).rotateKey},
		{"GET", "/v1/accounts/{uid}", someone, 0, 0, false, (*Server).account},
		{"GET", "/v1/accounts/{uid}/links", someone, 0, 0, false, (*Server).accountLinks},
		{"PUT", "/v1/checks/{name}", person, 0, secret.MaxCheck, false, (*Server).putCheck}, // its own keys only
		{"GET", "/v1/projects", someone, 0, 0, false, (*Server).listProjects},
		{"POST", "/v1/projects", person, 0, chain.MaxLink, false, (*Server).createProject},

		{"GET", p + "/head", member, chain.OpAudit, 0, false, (*Server).getHead},
		{"PUT", p + "/head", member, chain.OpAudit, chain.MaxLink, false, (*Server).putHead}, // the link's own rules decide
		{"POST", p + "/blobs/have", worker, chain.OpAudit, maxHave, false, (*Server).have},
		{"GET", p + "/blobs/{id}", worker, chain.OpAudit, 0, false, (*Server).getBlob},
		{"PUT", p + "/blobs/{id}", worker, chain.OpWrite, c.MaxBlobBytes, false, (*Server).putBlob},
		{"POST", p + "/blobs/{id}/presign-get", worker, chain.OpAudit, maxSmall, false, (*Server).presignGet},
		{"POST", p + "/blobs/{id}/presign-put", worker, chain.OpWrite, maxSmall, false, (*Server).presignPut},
		{"GET", p + "/links", member, chain.OpAudit, 0, false, (*Server).getLinks},
		{"GET", p + "/seen", member, chain.OpAudit, 0, false, (*Server).listSeen},
		{"PUT", p + "/seen", member, chain.OpAudit, api.MaxSeen, false, (*Server).putSeen},
		{"GET", p + "/accepts", member, chain.OpManage, 0, false, (*Server).listAccepts},
		{"PUT", p + "/accepts/{invite}", person, 0, api.MaxAnswer, false, (*Server).putAccept}, // for open invitations only
		{"POST", p + "/collect", member, chain.OpOwn, chain.MaxLive, true, (*Server).collect},
		{"POST", p + "/jobs", member, chain.OpJob, job.MaxDoc, false, (*Server).submitJob},
		{"GET", p + "/jobs", member, chain.OpRead, 0, false, (*Server).listJobs},
		{"GET", p + "/jobs/{id}", member, chain.OpRead, 0, true, (*Server).getJob},

		{"POST", p + "/nodes/{uid}/ask", member, chain.OpAudit, maxSmall, true, (*Server).askNode}, // askNode asks for more
		{"POST", "/v1/node/asked", node, 0, maxSmall, true, (*Server).nodeAsked},
		{"POST", "/v1/node/answer", node, 0, maxAnswer, false, (*Server).nodeAnswer},
		{"POST", "/v1/node/lease", node, 0, maxSmall, true, (*Server).nodeLease},
		{"POST", "/v1/node/extend", node, 0, maxSmall, false, (*Server).nodeExtend},
		{"POST", "/v1/node/complete", node, 0, maxSmall, false, (*Server).nodeComplete},
		{"POST", "/v1/node/fail", node, 0, maxSmall, false, (*Server).nodeFail},
	}
}

// handler is the mux of the table.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range routes(s.cfg) {
		mux.Handle(r.method+" "+r.pattern, s.guard(r))
	}
	mux.Handle("/", s.guard(route{"", "/", anybody, 0, 0, false, func(*Server, *call) error {
		return &api.Error{Code: api.CodeNotFound, Cause: "no such route"}
	}}))
	return mux
}
