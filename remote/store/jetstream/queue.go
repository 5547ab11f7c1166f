package jetstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"cipherdeck/remote/store"
)

// queue is a work-queue stream with one subject a job, jobs.CLASS.JOB, and one
// durable consumer a class. A message is expected to be the first of its
// subject, which makes Enqueue idempotent for as long as the job waits or is
// leased; the server's duplicate window would forget after two minutes.
//
// JetStream takes an acknowledgement from a worker whose lease has gone to
// another one. So who holds a job is written down beside the stream, in a
// record that names one token; the last to be handed the job is the holder.
//
// A class has a consumer only once it has a job: a consumer is kept on disk and
// costs memory, and whoever may ask for work can name a class of his own.
type queue struct {
	js      js.JetStream
	conn    *nats.Conn
	stream  js.Stream
	records *docs
	length  time.Duration
	now     func() time.Time

	mu      sync.Mutex
	classes map[string]js.Consumer
	bells   map[string]*bell // of classes without a consumer that somebody waits for
	closed  chan struct{}
}

var _ store.Queue = (*queue)(nil)

func openQueue(ctx context.Context, j js.JetStream, e *Engine, c Config) (*queue, error) {
	records, err := openDocs(ctx, j, e, "leases", c.replicas())
	if err != nil {
		return nil, err
	}
	s, err := ensure(ctx, j, js.StreamConfig{
		Name:      "JOBS",
		Subjects:  []string{"jobs.>"},
		Storage:   js.FileStorage,
		Retention: js.WorkQueuePolicy,
		Discard:   js.DiscardNew,
		Replicas:  c.replicas(),
	})
	if err != nil {
		return nil, err
	}
	q := &queue{js: j, conn: e.conn, stream: s, records: records, length: c.Lease, now: c.Now,
		classes: map[string]js.Consumer{}, bells: map[string]*bell{}, closed: make(chan struct{})}
	return q, q.prune(ctx)
}

// prune deletes the consumers of classes that have no job left.
func (q *queue) prune(ctx context.Context) error {
	names := q.stream.ConsumerNames(ctx)
	for class := range names.Name() {
		if has, err := q.any(ctx, class); err != nil {
			return err
		} else if has {
			continue
		}
		if err := q.stream.DeleteConsumer(ctx, class); err != nil {
			return fmt.Errorf("consumer %s: %w", class, err)
		}
	}
	return names.Err()
}

func (q *queue) Enqueue(ctx context.Context, class, job string) error {
	if err := checkName(class, job); err != nil {
		return err
	}
	if err := q.records.writable(ctx, job); err != nil {
		return err
	}
	_, err := q.js.Publish(ctx, "jobs."+class+"."+job, nil, js.WithExpectLastSequencePerSubject(0))
	if err == nil {
		q.ring(class)
		return q.revive(ctx, class, job)
	}
	if err = classify(err); errors.Is(err, store.ErrConflict) {
		return nil // it is there
	}
	return fmt.Errorf("enqueue %s: %w", job, err)
}

func (q *queue) Lease(ctx context.Context, class string, wait time.Duration) (store.Lease, error) {
	if err := checkName(class); err != nil {
		return store.Lease{}, err
	}
	msg, err := q.next(ctx, class, wait)
	if err != nil {
		return store.Lease{}, err
	}
	job := msg.Subject()[strings.LastIndexByte(msg.Subject(), '.')+1:]
	token := rand.Text()
	rec, err := q.change(ctx, job, func(r *record) error {
		r.Token, r.Reply, r.Class = token, msg.Reply(), class
		r.Attempt++
		return nil
	})
	if err != nil {
		return store.Lease{}, errors.Join(fmt.Errorf("lease %s: %w", job, err), msg.Nak())
	}
	return store.Lease{Job: job, Token: token, Until: q.now().Add(q.length), Attempt: rec.Attempt}, nil
}

func (q *queue) Extend(ctx context.Context, l store.Lease) (store.Lease, error) {
	rec, _, err := q.held(ctx, l)
	if err != nil {
		return store.Lease{}, err
	}
	if err := q.tell(ctx, rec.Reply, "+WPI"); err != nil {
		return store.Lease{}, fmt.Errorf("extend %s: %w", l.Job, err)
	}
	return store.Lease{Job: l.Job, Token: l.Token, Until: q.now().Add(q.length), Attempt: rec.Attempt}, nil
}

// Done acknowledges first: a crash before the record goes leaves only a record.
func (q *queue) Done(ctx context.Context, l store.Lease) error {
	rec, rev, err := q.held(ctx, l)
	if err != nil {
		return err
	}
	if err := q.tell(ctx, rec.Reply, "+ACK"); err != nil {
		return fmt.Errorf("finish %s: %w", l.Job, err)
	}
	err = q.records.Delete(ctx, l.Job, rev)
	if errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
		return nil // handed out once more in this moment; it finds the job finished
	}
	return err
}

func (q *queue) Retry(ctx context.Context, l store.Lease, after time.Duration, why string) error {
	rec, err := q.change(ctx, l.Job, func(r *record) error {
		if !same(r.Token, l.Token) {
			return fmt.Errorf("job %s: %w", l.Job, store.ErrLease)
		}
		r.Token, r.Why = "", why
		return nil
	})
	if err != nil {
		return err
	}
	verb := "-NAK"
	if after > 0 {
		verb += fmt.Sprintf(` {"delay":%d}`, after)
	}
	return q.tell(ctx, rec.Reply, verb)
}

// next takes one message of the class, waiting for it.
func (q *queue) next(ctx context.Context, class string, wait time.Duration) (js.Msg, error) {
	end := time.Now().Add(wait)
	if err := q.first(ctx, class, wait); err != nil {
		return nil, fmt.Errorf("class %s: %w", class, err)
	}
	pause := time.NewTicker(leaderless)
	defer pause.Stop()
	for {
		msg, err := q.fetch(ctx, class, time.Until(end))
		if !errors.Is(err, nats.ErrNoResponders) || time.Until(end) <= 0 {
			return msg, err
		}
		select { // its servers elect a leader; that is no reason to send a node away
		case <-pause.C:
		case <-q.closed:
			return nil, fmt.Errorf("class %s: %w: closed", class, store.ErrUnavailable)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// leaderless is how long to wait before a consumer without a leader is asked
// again.
const leaderless = 100 * time.Millisecond

func (q *queue) fetch(ctx context.Context, class string, wait time.Duration) (js.Msg, error) {
	c, err := q.consumer(ctx, class)
	if err != nil {
		return nil, fmt.Errorf("class %s: %w: %w", class, store.ErrUnavailable, err)
	}
	var batch js.MessageBatch
	if wait <= 0 {
		batch, err = c.FetchNoWait(1)
	} else {
		limit, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		batch, err = c.Fetch(1, js.FetchContext(limit))
	}
	if err != nil {
		return nil, fmt.Errorf("class %s: %w: %w", class, store.ErrUnavailable, err)
	}
	for m := range batch.Messages() {
		return m, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if q.conn.IsClosed() {
		return nil, fmt.Errorf("class %s: %w: closed", class, store.ErrUnavailable)
	}
	if err := batch.Error(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		q.forget(class) // it may be gone; and who asks must not be told "nothing" at once, again and again
		return nil, fmt.Errorf("class %s: %w: %w", class, store.ErrUnavailable, err)
	}
	return nil, fmt.Errorf("no job of class %s: %w", class, store.ErrNotFound)
}

// forget drops the handle of a consumer; the next to ask makes a new one.
func (q *queue) forget(class string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.classes, class)
}

// any reports whether the class has a job, waiting or leased.
func (q *queue) any(ctx context.Context, class string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, questionLimit)
	defer cancel()
	_, err := q.stream.GetLastMsgForSubject(ctx, "jobs."+class+".*")
	if errors.Is(err, js.ErrMsgNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (q *queue) consumer(ctx context.Context, class string) (js.Consumer, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if c, ok := q.classes[class]; ok {
		return c, nil
	}
	ctx, cancel := context.WithTimeout(ctx, questionLimit)
	defer cancel()
	c, err := q.stream.CreateOrUpdateConsumer(ctx, js.ConsumerConfig{
		Durable:       class,
		FilterSubject: "jobs." + class + ".*",
		AckPolicy:     js.AckExplicitPolicy,
		AckWait:       q.length,
		MaxAckPending: -1,
		MaxDeliver:    -1,
		MaxWaiting:    4096,
	})
	if err == nil {
		q.classes[class] = c
	}
	return c, err
}

// tell sends an acknowledgement and waits until the stream has taken it.
func (q *queue) tell(ctx context.Context, reply, verb string) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	if _, err := q.conn.RequestWithContext(ctx, reply, []byte(verb)); err != nil {
		return classify(err)
	}
	return nil
}

func checkName(names ...string) error {
	for _, n := range names {
		if err := store.CheckKey(n); err != nil {
			return err
		}
		if strings.Contains(n, "/") {
			return fmt.Errorf("%w: %q has more than one segment", store.ErrKey, n)
		}
	}
	return nil
}
