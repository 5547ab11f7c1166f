package holder_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"cipherdeck/crypto/id"
	"cipherdeck/fhe"
	"cipherdeck/fhe/holder"
	"cipherdeck/fhe/plan"
)

// TestRefusalLooksLikeSuccess spoils one result after the other. The server
// that gives them out must see all of them fetched, in the same order, whether
// and where the holder finds one wrong.
func TestRefusalLooksLikeSuccess(t *testing.T) {
	aff, rows := random(380, 3, 25)
	w := build(t, aff, rows, plan.Options{})
	blobs := map[id.ID][]byte{}
	var mu sync.Mutex
	put := func(_ context.Context, b []byte) (id.ID, error) {
		mu.Lock()
		defer mu.Unlock()
		blobs[id.Of(b)] = b
		return id.Of(b), nil
	}
	names, sets, err := w.hold.EncryptAll(t.Context(), rows, aff, w.plan.Core.BatchRows()-100, holder.Run{}, put)
	if err != nil || len(names) != 4 {
		t.Fatalf("%d batches, %v", len(names), err)
	}
	outs := make([]id.ID, len(names))
	for i, n := range names {
		raw, err := w.circ.Evaluate(t.Context(), blobs[n])
		if err != nil {
			t.Fatal(err)
		}
		outs[i], _ = put(t.Context(), raw)
	}
	junk, _ := put(t.Context(), []byte("not a result"))
	spoil := func(at ...int) []id.ID { // the results of other batches, or junk
		all := slices.Clone(outs)
		for _, i := range at {
			all[i] = outs[(i+1)%len(outs)]
		}
		return all
	}
	for name, c := range map[string]struct {
		outs []id.ID
		want error
	}{
		"honest":       {outs, nil},
		"first":        {spoil(0), fhe.ErrCanary},
		"third":        {spoil(2), fhe.ErrCanary},
		"all":          {spoil(0, 1, 2, 3), fhe.ErrCanary},
		"junk":         {[]id.ID{junk, outs[1], outs[2], outs[3]}, fhe.ErrMalformed},
		"junk and bad": {[]id.ID{junk, outs[1], outs[2], outs[1]}, fhe.ErrCanary},
	} {
		var asked []id.ID
		got, err := w.hold.DecryptAll(t.Context(), c.outs, sets, holder.Run{Workers: 1}, func(_ context.Context, n id.ID) ([]byte, error) {
			asked = append(asked, n)
			return blobs[n], nil
		})
		if !errors.Is(err, c.want) || err != nil && got != nil {
			t.Errorf("%s: %d logits, %v; want %v", name, len(got), err, c.want)
		}
		if errors.Is(err, fhe.ErrCanary) && err.Error() != fhe.ErrCanary.Error() {
			t.Errorf("%s: the refusal has detail: %v", name, err)
		}
		if !slices.Equal(asked, c.outs) {
			t.Errorf("%s: %d of %d results were fetched", name, len(asked), len(c.outs))
		}
	}
	lost := errors.New("lost")
	if _, err := w.hold.DecryptAll(t.Context(), outs, sets, holder.Run{}, func(context.Context, id.ID) ([]byte, error) { return nil, lost }); !errors.Is(err, lost) {
		t.Errorf("nothing could be fetched: %v", err)
	}
}
