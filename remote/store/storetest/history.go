package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"cipherdeck/remote/store"
)

// History is what several clients asked of one store, and what it answered.
type History struct {
	begin time.Time
	names atomic.Int64

	mu  sync.Mutex
	ops []porcupine.Operation
	at  map[store.Rev]string // what each revision holds
	bad []string
}

// NewHistory is an empty one.
func NewHistory() *History { return &History{begin: time.Now(), at: map[store.Rev]string{}} }

// input is a question. Every value is written once, so a value names the
// state of a document; "" is none.
type input struct {
	key        string
	kind       kind
	prev, next string // of a write: what the writer saw, what he writes
}

type kind int

const (
	read kind = iota
	write
)

// output is an answer.
type output struct {
	value   string // of a read
	lost    bool   // a write that came too late
	unknown bool   // a write of which nobody knows whether it happened
}

// model is a register for each key that changes by compare-and-swap. A write
// whose outcome is not known may happen at any later time, or never.
func model() porcupine.Model {
	return porcupine.Model{
		Partition: byKey,
		Init:      func() any { return "" },
		Step: func(state, in, out any) (bool, any) {
			have, i, o := state.(string), in.(input), out.(output)
			switch {
			case i.kind == read:
				return o.value == have, have
			case o.lost:
				return i.prev != have, have
			case i.prev == have:
				return true, i.next
			default:
				return o.unknown, have
			}
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
	}
}

func byKey(all []porcupine.Operation) [][]porcupine.Operation {
	keys := map[string][]porcupine.Operation{}
	for _, o := range all {
		k := o.Input.(input).key
		keys[k] = append(keys[k], o)
	}
	var parts [][]porcupine.Operation
	for _, p := range keys {
		parts = append(parts, p)
	}
	return parts
}

// Client asks at random until ctx ends or it has asked n times. It keeps to
// three keys, so that clients meet.
func (h *History) Client(ctx context.Context, id, n int, docs store.Docs) {
	rnd := rand.New(rand.NewPCG(uint64(id), 1))
	seen := map[string]store.Doc{}
	for range n {
		if ctx.Err() != nil {
			return
		}
		key := fmt.Sprintf("history/%d", rnd.IntN(3))
		if rnd.IntN(2) == 0 {
			h.read(ctx, id, docs, key, seen)
		} else {
			h.write(ctx, id, docs, key, seen, rnd.IntN(8) == 0)
		}
	}
}

// askLimit is how long a client waits for one answer.
const askLimit = 5 * time.Second

func (h *History) read(ctx context.Context, id int, docs store.Docs, key string, seen map[string]store.Doc) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	call := time.Since(h.begin)
	d, err := docs.Get(ctx, key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return // who was told nothing learnt nothing
	}
	seen[key] = d
	h.note(id, call, time.Since(h.begin), input{key: key}, output{value: string(d.Body)}, d.Rev)
}

func (h *History) write(ctx context.Context, id int, docs store.Docs, key string, seen map[string]store.Doc, remove bool) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	old := seen[key]
	in := input{key: key, kind: write, prev: string(old.Body)}
	var rev store.Rev
	var err error
	call := time.Since(h.begin)
	if remove && old.Rev != 0 {
		err = docs.Delete(ctx, key, old.Rev)
	} else {
		in.next = fmt.Sprintf("%d.%d", id, h.names.Add(1))
		rev, err = docs.Put(ctx, key, []byte(in.next), old.Rev)
	}
	end := time.Since(h.begin)
	switch {
	case err == nil:
		seen[key] = store.Doc{Key: key, Rev: rev, Body: []byte(in.next)}
		h.note(id, call, end, in, output{}, rev)
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrNotFound):
		h.note(id, call, end, in, output{lost: true}, 0)
	case errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrUnknown):
		// it did not happen, and never will
	default:
		h.note(id, call, math.MaxInt64, in, output{unknown: true}, 0)
	}
}

func (h *History) note(id int, call, end time.Duration, in input, out output, rev store.Rev) {
	h.mu.Lock()
	defer h.mu.Unlock()
	value := out.value + in.next // a read has one of them, a write the other
	if have, ok := h.at[rev]; rev != 0 && ok && have != in.key+"="+value {
		h.bad = append(h.bad, fmt.Sprintf("revision %d is %s and %s=%s", rev, have, in.key, value))
	}
	h.at[rev] = in.key + "=" + value
	h.ops = append(h.ops, porcupine.Operation{ClientId: id, Input: in, Output: out, Call: int64(call), Return: int64(end)})
}

// Verdict is what is wrong with the history; nil when there is one order of
// all that was asked in which each answer is right.
func (h *History) Verdict() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.bad != nil {
		return errors.New(h.bad[0])
	}
	switch porcupine.CheckOperationsTimeout(model(), h.ops, time.Minute) {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return errors.New("a minute was not enough to find an order")
	}
	return errors.New("the history is not linearizable")
}

// Counts is how many of the answers were of which kind.
func (h *History) Counts() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := map[string]int{}
	for _, o := range h.ops {
		out := o.Output.(output)
		switch {
		case o.Input.(input).kind == read:
			n["reads"]++
		case out.lost:
			n["lost races"]++
		case out.unknown:
			n["unknown"]++
		default:
			n["writes"]++
		}
	}
	return fmt.Sprintf("%d asked: %d reads, %d writes, %d lost races, %d unknown", len(h.ops), n["reads"], n["writes"], n["lost races"], n["unknown"])
}

// Together lets one client a handle ask n times, and checks the history.
func Together(t *testing.T, n int, handles ...store.Docs) {
	t.Helper()
	h := NewHistory()
	var all sync.WaitGroup
	for id, d := range handles {
		all.Go(func() { h.Client(t.Context(), id, n, d) })
	}
	all.Wait()
	if err := h.Verdict(); err != nil {
		t.Error(err)
	}
	t.Log(h.Counts())
}

// Stale is documents that now and then answer a read with what was there
// before, as a replica may that lags: what Verdict must find.
func Stale(d store.Docs) store.Docs { return &stale{Docs: d, old: map[string][]store.Doc{}} }

type stale struct {
	store.Docs
	mu    sync.Mutex
	old   map[string][]store.Doc
	reads int
}

func (s *stale) Get(ctx context.Context, key string) (store.Doc, error) {
	d, err := s.Docs.Get(ctx, key)
	if err != nil {
		return d, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	before := s.old[key]
	if i := slices.IndexFunc(before, func(o store.Doc) bool { return o.Rev == d.Rev }); i < 0 {
		before = append(before, d)
		slices.SortFunc(before, func(a, b store.Doc) int { return cmp.Compare(a.Rev, b.Rev) })
		s.old[key] = before
	}
	if len(before) > 1 && s.reads%20 == 0 {
		return before[len(before)-2], nil
	}
	return d, nil
}
