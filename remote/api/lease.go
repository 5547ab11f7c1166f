package api

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Lease waits for a job that is granted to this node; false when none came.
func (c *Client) Lease(ctx context.Context, wait time.Duration) (Lease, bool, error) {
	v := url.Values{"wait": {wait.String()}}
	var l Lease
	// It may be repeated: a lease whose answer was lost ends by itself.
	err := c.do(ctx, request{method: http.MethodPost, path: withQuery("/v1/node/lease", v), again: true, wait: wait}, &l)
	return l, err == nil && l.Token != "", err
}

// Extend keeps the lease of r alive and reports progress.
func (c *Client) Extend(ctx context.Context, r LeaseReport) (ExtendReply, error) {
	var e ExtendReply
	err := c.report(ctx, "extend", r, &e)
	return e, err
}

// Complete hands in the signed result of r.
func (c *Client) Complete(ctx context.Context, r LeaseReport) error {
	return c.report(ctx, "complete", r, nil)
}

// Fail ends the lease of r without a result.
func (c *Client) Fail(ctx context.Context, r LeaseReport) error {
	return c.report(ctx, "fail", r, nil)
}

func (c *Client) report(ctx context.Context, verb string, r LeaseReport, into any) error {
	q, err := request{method: http.MethodPost, path: "/v1/node/" + verb, again: true}.asJSON(r)
	if err != nil {
		return err
	}
	return c.do(ctx, q, into)
}
