package store

import (
	"errors"
	"sync"

	"cipherdeck/crypto/id"
)

// HasEach answers Has by one question for each id, parallel of them at a time:
// there is nil for a blob that is there and ErrNotFound for one that is not.
func HasEach(ids []id.ID, parallel int, there func(id.ID) error) ([]bool, error) {
	out, errs := make([]bool, len(ids)), make([]error, len(ids))
	var all sync.WaitGroup
	free := make(chan struct{}, parallel)
	for n, i := range ids {
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			err := there(i)
			out[n] = err == nil
			if !errors.Is(err, ErrNotFound) {
				errs[n] = err
			}
		})
	}
	all.Wait()
	return out, errors.Join(errs...)
}
