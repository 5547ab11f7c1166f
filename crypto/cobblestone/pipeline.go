package cobblestone

import (
	"runtime"
	"slices"
	"sync/atomic"
)

// batchChunks is how many chunks travel together: enough to make a goroutine
// and a system call worth while, few enough that input and output stay in the
// second-level cache of a core.
const batchChunks = 16

// batch is a run of whole chunks, and the rest if it is the last.
type batch struct {
	in, out []byte
	first   int64 // number of the first chunk
	last    bool
	err     error // of the work, after which out is still good
}

// pipeline works on batches in parallel and emits them in order. Filling is
// the caller's, so one goroutine reads, several encrypt and one at a time
// writes. No goroutine outlives its batch: an abandoned pipeline ends by itself.
type pipeline struct {
	work func(*batch)
	emit func([]byte) error

	free  chan *batch
	made  int
	limit int
	prev  chan struct{} // closed when the newest batch has been emitted
	err   error         // owned by the batch whose turn it is
	dead  atomic.Bool   // err is set: filling more is in vain
}

func newPipeline(work func(*batch), emit func([]byte) error) *pipeline {
	limit := 2*runtime.GOMAXPROCS(0) + 2
	p := &pipeline{work: work, emit: emit, limit: limit, free: make(chan *batch, limit), prev: make(chan struct{})}
	close(p.prev)
	return p
}

// get returns an empty batch, waiting when all are at work.
func (p *pipeline) get() *batch {
	select {
	case b := <-p.free:
		return b
	default:
	}
	if p.made < p.limit {
		p.made++
		return &batch{}
	}
	return <-p.free
}

// submit sends b on its way and takes it from the caller.
func (p *pipeline) submit(b *batch) {
	before, done := p.prev, make(chan struct{})
	p.prev = done
	go func() {
		p.work(b)
		<-before
		if p.err == nil && len(b.out) > 0 {
			p.err = p.emit(b.out)
		}
		if p.err == nil {
			p.err = b.err
		}
		p.dead.Store(p.err != nil)
		*b = batch{in: b.in[:0], out: b.out[:0]}
		p.free <- b
		close(done)
	}()
}

// wait returns when everything submitted has been emitted, with the first error.
func (p *pipeline) wait() error {
	<-p.prev
	return p.err
}

// room makes b large enough for at least one more byte, up to limit bytes. It
// doubles, so that short messages do not pay for long ones.
func room(in []byte, limit int) []byte {
	if len(in) < cap(in) {
		return in
	}
	want := min(limit, max(2*cap(in), 2*sealedSize))
	return slices.Grow(in, want-len(in))[:len(in):want]
}
