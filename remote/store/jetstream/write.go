package jetstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"cipherdeck/remote/store"
)

// The header in which a bucket notes what a message does, unless it puts.
const (
	operation = "KV-Operation"
	purge     = "PURGE"
)

// write puts a message over revision prev of a key; 0 means that there is no
// document, be there a marker or not. What a server refuses may have been taken
// by another one, and may lose only against a write that is under way and comes
// to nothing. So each try has an id, and what was refused is looked for.
func (q *quorum) write(ctx context.Context, key string, prev uint64, message func() *nats.Msg) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	over := prev
	for range movedTries {
		id, begin := rand.Text(), time.Now()
		m := message()
		m.Subject = q.prefix + toNATS(key)
		m.Header.Set(js.MsgIDHeader, id)
		m.Header.Set(js.ExpectedLastSubjSeqHeader, strconv.FormatUint(over, 10))
		ack, err := q.js.PublishMsg(ctx, m)
		q.steer.note(classify(err))
		var refused *js.APIError
		switch {
		case err == nil:
			return ack.Sequence, nil
		case !errors.As(err, &refused):
			return 0, classify(err)
		}
		mine, e, lookedFor := q.fate(ctx, key, id)
		switch {
		case lookedFor != nil:
			return 0, fmt.Errorf("%w: refused, and then: %w", store.ErrUnknown, lookedFor)
		case mine:
			return e.rev, nil
		case time.Since(begin) > remembered:
			return 0, fmt.Errorf("%w: it took too long to find out", store.ErrUnknown)
		case e.rev != over && prev == 0 && e.gone:
			over = e.rev // a marker
			continue
		case e.rev != over || !errors.Is(classify(err), store.ErrConflict):
			return 0, classify(err)
		}
		if err := wait(ctx, movedAgain); err != nil {
			return 0, fmt.Errorf("%w: %w: %w", store.ErrUnavailable, errMoved, err)
		}
	}
	return 0, fmt.Errorf("%w: %w and does not end", store.ErrUnavailable, errMoved)
}

// remembered is less than for how long servers know the ids of messages, which
// is two minutes.
const remembered = time.Minute

// errOverwritten means that a message may have been taken and replaced.
var errOverwritten = errors.New("there may have been another write since")

// fate says whether the message with an id is what a key holds. When it says
// no, it was not taken, and never will be: the barrier has its id now.
//
// A server that was started again knows the ids of those messages only that
// were not replaced. That a write was refused by one server, taken by another,
// replaced, and asked for after a new start, all within seconds, is not seen.
func (q *quorum) fate(ctx context.Context, key, id string) (mine bool, e entry, err error) {
	for range movedTries {
		if e, err = q.look(ctx, key); err != nil {
			return false, e, err
		}
		ack, err := q.confirm(ctx, key, e.rev, id)
		switch {
		case err == nil && !ack.Duplicate:
			return false, e, nil
		case err == nil && ack.Sequence == e.rev:
			return true, e, nil
		case err == nil:
			return false, e, errOverwritten // or it is a barrier of before
		case !errors.Is(err, errMoved):
			return false, e, err
		}
		if err := wait(ctx, movedAgain); err != nil {
			return false, e, err
		}
	}
	return false, e, errMoved
}
