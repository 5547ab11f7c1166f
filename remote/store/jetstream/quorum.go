package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"cipherdeck/remote/store"
)

// quorum asks a stream that several servers keep.
//
// One server alone proves nothing. A leader that was cut off goes on answering
// reads for some ten seconds while the others have a new one, and once it is
// joined again both answer the same question, for up to a second: it also
// refuses, by what it knew, a write that the new leader takes. An answer does
// not say who gave it. So nothing that is read or refused counts until the
// majority has written down, after the question, that the key is at the
// revision which was read: a small message, the barrier, that is taken only
// then. It has one subject and replaces the one before.
//
// A read costs one question and one write of the cluster; those who ask for the
// same key at the same time share them. Only the server's clock-free rules are
// relied upon: the log of a majority, and that it compares revisions in it.
type quorum struct {
	js     js.JetStream
	stream js.Stream
	conn   *nats.Conn
	steer  *steer
	prefix string // of the subjects of keys
	rounds rounds
}

// barrier is the subject, below the prefix, of the barrier. No key of a
// document has this form, and who watches is not told of it.
const barrier = "=read"

// entry is what the last message of a key says. A key that was deleted keeps
// the revision of its marker; one that never was has none.
type entry struct {
	rev  uint64
	body []byte
	gone bool
}

// errMoved means that a key was not at the revision that was read, or that a
// write of it was under way.
var errMoved = errors.New("another write is under way")

// Answers that were lost are asked for again; in an election all are.
const (
	lookLimit  = 2 * time.Second
	lostAgain  = 50 * time.Millisecond
	movedAgain = 2 * time.Millisecond
	movedTries = 500
)

// read is what a key holds at one time between the call and the return.
func (q *quorum) read(ctx context.Context, key string) (entry, error) {
	e, err := q.rounds.join(ctx, key, func() (entry, error) {
		ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
		defer cancel()
		return q.round(ctx, key)
	})
	if err != nil {
		return entry{}, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return e, nil
}

// round looks and confirms until both are of one revision.
func (q *quorum) round(ctx context.Context, key string) (entry, error) {
	for tries := 0; ; {
		e, err := q.look(ctx, key)
		if err == nil {
			_, err = q.confirm(ctx, key, e.rev, "")
		}
		if !errors.Is(err, errMoved) {
			q.steer.note(classify(err))
		}
		pause := lostAgain
		switch {
		case err == nil:
			return e, nil
		case q.conn.IsClosed():
			return entry{}, err
		case errors.Is(err, errMoved):
			if tries++; tries == movedTries {
				return entry{}, fmt.Errorf("%w and does not end", err)
			}
			pause = movedAgain
		}
		if waited := wait(ctx, pause); waited != nil {
			return entry{}, fmt.Errorf("%w: %w", waited, err)
		}
	}
}

// look asks whoever thinks that he leads; the answer may be old.
func (q *quorum) look(ctx context.Context, key string) (entry, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	m, err := q.stream.GetLastMsgForSubject(ctx, q.prefix+toNATS(key))
	if errors.Is(err, js.ErrMsgNotFound) {
		return entry{gone: true}, nil
	}
	if err != nil {
		return entry{}, err
	}
	gone := m.Header.Get(operation) != "" || m.Header.Get(js.MarkerReasonHeader) != ""
	return entry{rev: m.Sequence, body: m.Data, gone: gone}, nil
}

// confirm has a majority write down that the last message of a key is rev; an
// id makes the answer say also whether a message with it was taken before.
func (q *quorum) confirm(ctx context.Context, key string, rev uint64, id string) (*js.PubAck, error) {
	ctx, cancel := context.WithTimeout(ctx, questionLimit)
	defer cancel()
	m := nats.NewMsg(q.prefix + barrier)
	m.Header.Set(js.ExpectedLastSubjSeqHeader, strconv.FormatUint(rev, 10))
	m.Header.Set(js.ExpectedLastSubjSeqSubjHeader, q.prefix+toNATS(key))
	if id != "" {
		m.Header.Set(js.MsgIDHeader, id)
	}
	ack, err := q.js.PublishMsg(ctx, m)
	if errors.Is(classify(err), store.ErrConflict) || underWay(err) {
		return nil, errMoved
	}
	return ack, err
}

// last is a revision that the stream has come to.
func (q *quorum) last(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, questionLimit)
	defer cancel()
	ack, err := q.js.PublishMsg(ctx, nats.NewMsg(q.prefix+barrier))
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// underWay reports whether a message with the same id was proposed and is not
// decided yet.
func underWay(err error) bool {
	var api *js.APIError
	return errors.As(err, &api) && api.ErrorCode == duplicateUnderWay
}

// duplicateUnderWay is the server's JSStreamDuplicateMessageConflict.
const duplicateUnderWay = 10158

func wait(ctx context.Context, pause time.Duration) error {
	over := time.NewTimer(pause)
	defer over.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-over.C:
		return nil
	}
}
