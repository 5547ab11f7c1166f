package progress

import (
	"context"
	"io"
)

// Reader is src, stopping when ctx does and reporting every byte to sink.
func Reader(ctx context.Context, src io.Reader, sink Sink) io.Reader {
	return watched{ctx: ctx, src: src, sink: sink}
}

type watched struct {
	ctx  context.Context
	src  io.Reader
	sink Sink
}

func (w watched) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.src.Read(p)
	w.sink.Add(int64(n))
	return n, err
}
