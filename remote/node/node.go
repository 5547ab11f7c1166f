// Package node is a compute node: it leases jobs from a server, runs them and
// signs what came out.
//
// A node needs no trust and is not asked for any. It holds ciphertexts, public
// keys and one signing key of its own; whoever asked for the job checks the
// signature, the agreement of the ids and the canaries.
//
// In turn the node takes from the server what it can check: a job document that
// is the one named, of the project named, in time and signed by the account
// that comes with it, and blobs that match their ids. It cannot check who that
// account is. The server hands out the accounts as well, and the node does not
// read the project's chain, so a server can make somebody up and have the node
// work for him. The signature shows that a document is as it was signed, not
// that a member of the project asked for it. What a made-up job costs is time:
// there is nothing on a node to take, and its results name the job that they
// answer, so that none can pass for that of another.
//
// A job may be for the key of a machine that was granted (attest/grant). Then the
// node opens the job's key first, and its result is proven with it; before that it
// sees that the grant is for this node, this key and the job's model. Who signed
// that grant it does not see, as it does not see who the author is.
//
// The node connects to the server, never the other way round, so it works from
// behind any firewall. It keeps nothing on disk and logs no payload. Jobs run
// in the node's own process (job.IsolationProcess); a sandbox is not built.
package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"sync"
	"time"

	"cipherdeck/fhe/job"
	"cipherdeck/remote/api"
)

// Node runs jobs until its context ends.
type Node struct {
	Client   *api.Client
	Runner   job.Runner
	Identity ed25519.PrivateKey // the device key of the node's account
	Keys     Keys               // the machine's key in its TPM, a *grant.Key; nil: it has none
	Answer   Answer             // of what clients ask about the machine; nil: nothing is answered
	Log      *slog.Logger       // nil: silent
	Now      func() time.Time   // nil: time.Now
}

const (
	poll       = 30 * time.Second // one long poll
	firstPause = 100 * time.Millisecond
	lastPause  = 15 * time.Second
	goodbye    = 5 * time.Second // to give a lease back when the node stops
)

// Run leases and runs one job after the other until ctx ends, which is no
// error. A server that is away is asked again, ever more slowly.
func (n Node) Run(ctx context.Context) error {
	if n.Log == nil {
		n.Log = slog.New(slog.DiscardHandler)
	}
	if n.Now == nil {
		n.Now = time.Now
	}
	if n.Answer != nil {
		var asked sync.WaitGroup
		defer asked.Wait()
		asked.Go(func() { n.answers(ctx) })
	}
	pause := firstPause
	for ctx.Err() == nil {
		l, ok, err := n.Client.Lease(ctx, poll)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			n.Log.Warn("no lease", "err", err, "again_in", pause)
			rest(ctx, pause)
			pause = min(2*pause, lastPause)
		case ok:
			pause = firstPause
			n.work(ctx, l)
		default:
			pause = firstPause
			rest(ctx, pause) // a server that says "nothing" at once must not make this spin
		}
	}
	return nil
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// errLost is the cause when a job is stopped because its lease is gone.
var errLost = errors.New("the lease is gone")

// work runs one leased job to its end, whatever that is.
func (n Node) work(ctx context.Context, l api.Lease) {
	log := n.Log.With("job", l.Job.Short(), "attempt", l.Attempt)
	report := api.LeaseReport{Project: l.Project, Job: l.Job, Token: l.Token}
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	seen := &meter{}
	kept := make(chan struct{})
	go func(report api.LeaseReport) {
		defer close(kept)
		n.keep(running, l, report, seen, stop)
	}(report)
	signed, err := n.run(running, l, seen)
	if err == nil {
		report.Result = signed
		err = n.deliver(running, report)
	}
	lost := errors.Is(context.Cause(running), errLost) || errors.Is(err, api.ErrLease)
	stop(nil)
	<-kept
	switch {
	case err == nil:
		log.Info("job done")
	case lost:
		log.Warn("job dropped: the lease is gone")
	case ctx.Err() != nil:
		n.giveUp(ctx, report, "the node stops", true)
		log.Info("job given back")
	case away(err):
		log.Warn("job dropped: the server is away", "err", err) // the lease ends by itself
	default:
		n.giveUp(ctx, report, err.Error(), false)
		log.Warn("job failed", "err", err)
	}
}

// keep extends the lease every third of its length, with the progress so far,
// and stops the job when the lease is lost.
func (n Node) keep(ctx context.Context, l api.Lease, report api.LeaseReport, seen *meter, stop context.CancelCauseFunc) {
	length := time.Duration(l.Seconds) * time.Second
	end := n.Now().Add(length)
	for {
		rest(ctx, length/3)
		if ctx.Err() != nil {
			return
		}
		report.Phase, report.Done, report.Total = seen.read()
		sent := n.Now()
		call, cancel := context.WithTimeout(ctx, length/3)
		_, err := n.Client.Extend(call, report)
		cancel()
		switch {
		case err == nil:
			end = sent.Add(length)
		case errors.Is(err, api.ErrLease), errors.Is(err, api.ErrForbidden), n.Now().After(end):
			stop(errLost)
			return
		}
	}
}

// deliver hands the result in, again and again while the lease is kept.
func (n Node) deliver(ctx context.Context, report api.LeaseReport) error {
	pause := firstPause
	for {
		err := n.Client.Complete(ctx, report)
		if err == nil || !away(err) || ctx.Err() != nil {
			return err
		}
		rest(ctx, pause)
		pause = min(2*pause, lastPause)
	}
}

func (n Node) giveUp(ctx context.Context, report api.LeaseReport, why string, retry bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	report.Result, report.Reason, report.Retry = nil, why, retry
	if err := n.Client.Fail(ctx, report); err != nil {
		n.Log.Warn("cannot tell the server; the lease ends by itself", "err", err)
	}
}

// away reports an error of the way to the server, not of the job.
func away(err error) bool {
	for _, e := range []error{api.ErrUnreachable, api.ErrServer, api.ErrBusy, api.ErrUnknown, api.ErrUnauthorized} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
