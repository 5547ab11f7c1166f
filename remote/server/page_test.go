package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/remote/api"
	"cipherdeck/remote/store/mem"
)

// TestPages lists more jobs than one answer has, with words that take the most
// room in JSON.
func TestPages(t *testing.T) {
	const n = 2*api.MaxJobs + 5
	s := &Server{cfg: DefaultConfig(), jobs: &jobs{records: records{mem.NewDocs()}, now: time.Now}}
	pid := id.Of(nil)
	words := strings.Repeat("<", 200)
	for i := range n {
		name, err := doc.Encode(i)
		if err != nil {
			t.Fatal(err)
		}
		r := record{V: 1, State: api.JobFailed, Phase: words, Reason: words, Raw: []byte{}, Result: []byte{}, Submitted: int64(i / 3)}
		if err := s.jobs.records.create(t.Context(), jobName{pid, id.Of(name)}, r); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[id.ID]bool{}
	past, pages := "", 0
	for more := true; more; pages++ {
		w := httptest.NewRecorder()
		if err := s.listJobs(&call{w: w, r: httptest.NewRequest(http.MethodGet, "/?past="+past, nil), pid: pid}); err != nil {
			t.Fatal(err)
		}
		if w.Body.Len() > 8<<20 {
			t.Errorf("a page has %d bytes, a client reads 8 MiB", w.Body.Len())
		}
		var r api.JobsReply
		if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil || len(r.Jobs) == 0 {
			t.Fatalf("page %d: %d jobs, %v", pages, len(r.Jobs), err)
		}
		for _, j := range r.Jobs {
			seen[j.ID] = true
		}
		past, more = r.Jobs[len(r.Jobs)-1].ID.String(), r.More
	}
	if len(seen) != n || pages != 3 {
		t.Errorf("%d of %d jobs on %d pages", len(seen), n, pages)
	}
	err := s.listJobs(&call{w: httptest.NewRecorder(), r: httptest.NewRequest(http.MethodGet, "/?past=nowhere", nil), pid: pid})
	if !errors.Is(err, api.ErrInvalid) {
		t.Errorf("past a job that is not there: %v", err)
	}
}
