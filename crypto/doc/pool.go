package doc

import (
	"runtime"
	"sync"
)

// Pool checks signatures on all processors while whoever reads the documents
// goes on to the next one.
type Pool struct {
	work chan func() error
	done sync.WaitGroup
	mu   sync.Mutex
	err  error
}

// NewPool starts a Pool. Wait ends it.
func NewPool() *Pool {
	p := &Pool{work: make(chan func() error, 256)}
	for range runtime.GOMAXPROCS(0) {
		p.done.Go(func() {
			for f := range p.work {
				if err := f(); err != nil {
					p.fail(err)
				}
			}
		})
	}
	return p
}

// Check queues f, and gives the first failure so far.
func (p *Pool) Check(f func() error) error {
	p.mu.Lock()
	err := p.err
	p.mu.Unlock()
	if err == nil {
		p.work <- f
	}
	return err
}

// Wait is the first failure of all, when every check is done. The Pool cannot
// be used after it.
func (p *Pool) Wait() error {
	close(p.work)
	p.done.Wait()
	return p.err
}

func (p *Pool) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
}
