package node

import (
	"context"

	"cipherdeck/remote/api"
)

// RunLease runs one lease as if the server had given it.
func RunLease(n Node, ctx context.Context, l api.Lease) ([]byte, error) {
	return n.run(ctx, l, &meter{})
}
