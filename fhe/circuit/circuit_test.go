package circuit_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"cipherdeck/crypto/doc"
	"cipherdeck/crypto/id"
	"cipherdeck/crypto/progress"
	"cipherdeck/fhe"
	"cipherdeck/fhe/circuit"
	"cipherdeck/fhe/codec"
	"cipherdeck/fhe/holder"
	"cipherdeck/fhe/job"
	"cipherdeck/fhe/plan"
)

// blobs is a content-addressed store in memory.
type blobs struct {
	mu   sync.Mutex
	data map[id.ID][]byte
}

var errMissing = errors.New("no such blob")

func (s *blobs) Get(_ context.Context, i id.ID, limit int64) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.data[i]
	if !ok || int64(len(b)) > limit {
		return nil, errMissing
	}
	return b, nil
}

func (s *blobs) Put(_ context.Context, b []byte) (id.ID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data[id.Of(b)] = b
	return id.Of(b), nil
}

func (s *blobs) doc(t *testing.T, v any) id.ID {
	t.Helper()
	raw, err := doc.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	i, err := s.Put(context.Background(), raw)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// count sums what a runner reports.
type count struct {
	progress.Discard
	mu    sync.Mutex
	n     int64
	notes []string
}

func (c *count) Note(code string, kv ...any) { c.notes = append(c.notes, fmt.Sprint(code, kv)) }

func (c *count) Add(n int64) { c.mu.Lock(); c.n += n; c.mu.Unlock() }

// order is a job as the holder of the data prepares it.
type order struct {
	plan  *fhe.Plan
	hold  *holder.Holder
	sets  []*holder.CanarySet
	job   job.JobDoc
	store *blobs
	rows  [][]float64
	aff   fhe.Affine
}

func prepare(t *testing.T, rows int, opt plan.Options) *order {
	t.Helper()
	o := &order{store: &blobs{data: map[id.ID][]byte{}}, aff: fhe.Affine{Weights: []float64{2, -0.5, 30}, Bias: 1}}
	for i := range rows {
		x := float64(i)
		o.rows = append(o.rows, []float64{math.Sin(x), 10 * math.Cos(3*x), 0.1 * math.Sin(7*x)})
	}
	p, model, err := plan.Make(o.aff, fhe.FinalSigmoid, o.rows, opt)
	if err != nil {
		t.Fatal(err)
	}
	o.plan = p
	if o.hold, err = holder.New(p); err != nil {
		t.Fatal(err)
	}
	names, sets, err := o.hold.EncryptAll(context.Background(), o.rows, o.aff, 16, holder.Run{Workers: 2}, o.store.Put)
	if err != nil {
		t.Fatal(err)
	}
	o.sets = sets
	raw, name, err := codec.EncodeCore(p.Core)
	if err != nil {
		t.Fatal(err)
	}
	o.store.data[name], o.store.data[id.Of(model)] = raw, model
	o.job = job.JobDoc{V: 1, Plan: name, Model: id.Of(model), Inputs: o.store.doc(t, job.BatchSet{V: 1, Batches: names})}
	return o
}

// open decrypts what a runner answered.
func (o *order) open(t *testing.T, r job.Result) ([]float64, error) {
	t.Helper()
	raw, err := o.store.Get(context.Background(), r.Outputs, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var set job.BatchSet
	if err := doc.Decode(raw, &set); err != nil {
		t.Fatal(err)
	}
	get := func(ctx context.Context, name id.ID) ([]byte, error) {
		return o.store.Get(ctx, name, o.hold.ResultSize())
	}
	var said count
	z, err := o.hold.DecryptAll(context.Background(), set.Batches, o.sets, holder.Run{Workers: 2, Progress: &said}, get)
	want := fmt.Sprintf("canaries[count %d worst", len(o.sets)*o.plan.Core.BatchRows()-len(o.rows))
	if err == nil && (len(said.notes) != 1 || !strings.HasPrefix(said.notes[0], want) || said.n != int64(len(o.rows))) {
		t.Errorf("said %q and %d rows, want %q", said.notes, said.n, want)
	}
	return z, err
}

func TestRunnerFromRowsToLogits(t *testing.T) {
	for _, opt := range []plan.Options{{}, {MaxError: 1e-8}} {
		o := prepare(t, 9000, opt) // three batches, the last one short
		var seen count
		r, err := circuit.Runner{Workers: 2}.Run(context.Background(), o.job, o.store, &seen)
		if err != nil {
			t.Fatal(err)
		}
		if r.V != 1 || r.Plan != o.job.Plan || r.Model != o.job.Model || r.Inputs != o.job.Inputs ||
			r.Isolation != job.IsolationProcess || r.Engine == "" || !r.Job.IsZero() || seen.n != 3 {
			t.Fatalf("result %+v, %d batches reported", r, seen.n)
		}
		got, err := o.open(t, r)
		if err != nil || len(got) != len(o.rows) {
			t.Fatalf("%d logits, %v", len(got), err)
		}
		for i, row := range o.rows {
			want := o.aff.Bias + 2*row[0] - 0.5*row[1] + 30*row[2]
			if math.Abs(got[i]-want) > o.plan.Forecast.MaxError {
				t.Fatalf("row %d: %v, want %v", i, got[i], want)
			}
		}
		if up := int64(3 * o.batchSize(t)); o.plan.Forecast.Batches != 3 || o.plan.Forecast.BytesUp < up || o.plan.Forecast.BytesUp > up+4096 ||
			o.plan.Forecast.BytesDown != 3*o.hold.ResultSize() {
			t.Errorf("forecast %+v", o.plan.Forecast)
		}
	}
}

func (o *order) batchSize(t *testing.T) int {
	t.Helper()
	f, err := codec.New(o.plan.Core)
	if err != nil {
		t.Fatal(err)
	}
	return f.BatchSize()
}

func TestResultsAreTheSameBytes(t *testing.T) {
	for _, opt := range []plan.Options{{}, {MaxError: 1e-8}} {
		o := prepare(t, 20000, opt)
		var outputs id.ID
		for _, workers := range []int{1, 2, 7} {
			r, err := circuit.Runner{Workers: workers}.Run(context.Background(), o.job, o.store, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !outputs.IsZero() && r.Outputs != outputs {
				t.Errorf("%d workers: other results", workers)
			}
			outputs = r.Outputs
		}
	}
}

// A fixed model on fixed bytes gives fixed bytes on every architecture.
func TestResultIsPinned(t *testing.T) {
	for _, c := range []struct {
		maxError float64
		want     string
	}{{1e-3, "bafkreiewom24vmeskfohsfqbgwpwt4vor7hxnbhqdudo5joewwvslf3kyi"}, {1e-8, "bafkreieyjfs2hj2rfbtmfoypz27s62mpdzyciof4gkob7kiq5hd5pwzhwa"}} {
		p, model, err := plan.Make(fhe.Affine{Weights: []float64{0.5, -3}, Bias: 0.25}, fhe.FinalNone,
			[][]float64{{-1, -2}, {1, 2}}, plan.Options{MaxError: c.maxError})
		if err != nil {
			t.Fatal(err)
		}
		f, err := codec.New(p.Core)
		if err != nil {
			t.Fatal(err)
		}
		batch := f.NewBatch()
		c0 := make([][]uint64, len(p.Core.Params.Q))
		for j := range byte(2) {
			for i, q := range p.Core.Params.Q {
				c0[i] = make([]uint64, p.Core.Params.N())
				codec.Uniform(c0[i], &[32]byte{100 + j}, i, q)
			}
			f.PutSeeded(batch, int(j), &[32]byte{j}, c0)
		}
		circ, err := circuit.Load(p.Core, model)
		if err != nil {
			t.Fatal(err)
		}
		out, err := circ.Evaluate(context.Background(), batch)
		if err != nil {
			t.Fatal(err)
		}
		if got := id.ID(sha256.Sum256(out)).String(); got != c.want {
			t.Errorf("error %g: result %s, want %s", c.maxError, got, c.want)
		}
	}
}

// dishonest changes one weight and says that it ran what was asked.
type dishonest struct{ circuit.Runner }

func (d dishonest) Run(ctx context.Context, j job.JobDoc, in job.Blobs, p progress.Sink) (job.Result, error) {
	raw, err := in.Get(ctx, j.Plan, codec.MaxCore)
	if err != nil {
		return job.Result{}, err
	}
	core, err := codec.DecodeCore(raw)
	if err != nil {
		return job.Result{}, err
	}
	f, err := codec.New(core)
	if err != nil {
		return job.Result{}, err
	}
	if raw, err = in.Get(ctx, j.Model, codec.MaxModel); err != nil {
		return job.Result{}, err
	}
	m, err := f.DecodeModel(raw)
	if err != nil {
		return job.Result{}, err
	}
	m.Weights[1][0] = 0 // with two primes: of the first residue only
	if raw, err = f.EncodeModel(m); err != nil {
		return job.Result{}, err
	}
	lie := j
	if lie.Model, err = in.Put(ctx, raw); err != nil {
		return job.Result{}, err
	}
	core.Model = lie.Model
	if raw, _, err = codec.EncodeCore(core); err != nil {
		return job.Result{}, err
	}
	if lie.Plan, err = in.Put(ctx, raw); err != nil {
		return job.Result{}, err
	}
	r, err := d.Runner.Run(ctx, lie, in, p)
	r.Plan, r.Model = j.Plan, j.Model
	return r, err
}

func TestDishonestRunnerIsCaught(t *testing.T) {
	o := prepare(t, 100, plan.Options{})
	r, err := dishonest{}.Run(context.Background(), o.job, o.store, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.open(t, r); !errors.Is(err, fhe.ErrCanary) {
		t.Fatal(err)
	}
}

func TestRunnerRefuses(t *testing.T) {
	o := prepare(t, 100, plan.Options{})
	junk, err := o.store.Put(context.Background(), []byte("junk"))
	if err != nil {
		t.Fatal(err)
	}
	swapped := o.plan.Core
	swapped.Model = junk
	_, model, err := plan.Make(fhe.Affine{Weights: []float64{2, -0.5, 31}, Bias: 1}, fhe.FinalSigmoid, o.rows, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := circuit.Load(o.plan.Core, model); !errors.Is(err, fhe.ErrMalformed) {
		t.Error("a model that the plan does not name was loaded:", err)
	}
	other, err := o.store.Put(context.Background(), model)
	if err != nil {
		t.Fatal(err)
	}
	weak := o.plan.Core
	weak.Params.LogN = 11
	for _, c := range []struct {
		name   string
		change func(*job.JobDoc)
		want   error
	}{
		{"no such plan", func(j *job.JobDoc) { j.Plan = id.ID{1} }, errMissing},
		{"plan of junk", func(j *job.JobDoc) { j.Plan = junk }, fhe.ErrMalformed},
		{"weak plan", func(j *job.JobDoc) { j.Plan = o.store.doc(t, weak) }, fhe.ErrInsecure},
		{"another model", func(j *job.JobDoc) { j.Model = other }, fhe.ErrMalformed},
		{"model of junk", func(j *job.JobDoc) { j.Model, j.Plan = junk, o.store.doc(t, swapped) }, fhe.ErrMalformed},
		{"inputs of junk", func(j *job.JobDoc) { j.Inputs = junk }, fhe.ErrMalformed},
		{"no batches", func(j *job.JobDoc) { j.Inputs = o.store.doc(t, job.BatchSet{V: 1}) }, fhe.ErrMalformed},
		{"a batch of junk", func(j *job.JobDoc) { j.Inputs = o.store.doc(t, job.BatchSet{V: 1, Batches: []id.ID{junk}}) }, fhe.ErrMalformed},
		{"evaluation keys", func(j *job.JobDoc) { j.Keys = junk }, fhe.ErrUnsupported},
		{"version", func(j *job.JobDoc) { j.V = 2 }, fhe.ErrUnsupported},
		{"more isolation", func(j *job.JobDoc) { j.MinIsolation = 2 }, fhe.ErrUnsupported},
	} {
		j := o.job
		c.change(&j)
		if _, err := (circuit.Runner{}).Run(context.Background(), j, o.store, nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := (circuit.Runner{}).Run(ctx, o.job, o.store, nil); !errors.Is(err, context.Canceled) {
		t.Error("cancelled:", err)
	}
}
