package api

import (
	"context"
	"net/http"
	"net/url"
)

// Collect hands in a signed chain.Live, whose lists are there already: the
// server marks what it does not name, and deletes what earlier ones did not
// name either. With dry it only says what it would do. It may be repeated.
func (p *Project) Collect(ctx context.Context, live []byte, dry bool) (CollectReply, error) {
	v := url.Values{}
	if dry {
		v.Set("dry", "1")
	}
	var r CollectReply
	err := p.c.do(ctx, request{method: http.MethodPost, path: withQuery(p.path("collect"), v), body: live, typ: TypeCBOR, again: true, wait: collectWait}, &r)
	return r, err
}
