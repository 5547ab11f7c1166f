package jetstream

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	js "github.com/nats-io/nats.go/jetstream"
)

// ErrSettings is wrapped when a stream exists with other settings than the
// ones that are needed. Nothing is changed then: which of the two is right is
// for the operator to say.
var ErrSettings = errors.New("the stream has other settings")

// ensure makes a stream, or holds the one there is against what it should be.
func ensure(ctx context.Context, j js.JetStream, want js.StreamConfig) (js.Stream, error) {
	s, err := j.Stream(ctx, want.Name)
	if errors.Is(err, js.ErrStreamNotFound) {
		s, err = j.CreateStream(ctx, want)
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", want.Name, err)
	}
	if off := differences(s.CachedInfo().Config, want); len(off) > 0 {
		return nil, fmt.Errorf("stream %s: %w: %s", want.Name, ErrSettings, strings.Join(off, "; "))
	}
	return s, nil
}

// differences names each setting that decides whether something is lost, or
// read old, or refused.
func differences(have, want js.StreamConfig) (off []string) {
	for _, f := range []struct {
		name       string
		have, want any
	}{
		{"subjects", have.Subjects, want.Subjects},
		{"storage", have.Storage, want.Storage},
		{"persist_mode", have.PersistMode, want.PersistMode}, // async would undo what the servers promise
		{"num_replicas", have.Replicas, want.Replicas},
		{"retention", have.Retention, want.Retention},
		{"discard", have.Discard, want.Discard},
		{"discard_new_per_subject", have.DiscardNewPerSubject, want.DiscardNewPerSubject},
		{"max_msgs", limit(have.MaxMsgs), limit(want.MaxMsgs)},
		{"max_bytes", limit(have.MaxBytes), limit(want.MaxBytes)},
		{"max_msgs_per_subject", limit(have.MaxMsgsPerSubject), limit(want.MaxMsgsPerSubject)},
		{"max_msg_size", limit(int64(have.MaxMsgSize)), limit(int64(want.MaxMsgSize))},
		{"max_consumers", limit(int64(have.MaxConsumers)), limit(int64(want.MaxConsumers))},
		{"max_age", have.MaxAge, want.MaxAge},
		{"no_ack", have.NoAck, want.NoAck},
		{"sealed", have.Sealed, want.Sealed},
		{"allow_direct", have.AllowDirect, want.AllowDirect},
		{"mirror_direct", have.MirrorDirect, want.MirrorDirect},
		{"deny_delete", have.DenyDelete, want.DenyDelete},
		{"allow_rollup_hdrs", have.AllowRollup, want.AllowRollup},
		{"allow_msg_ttl", have.AllowMsgTTL, want.AllowMsgTTL},
		{"mirror", have.Mirror != nil, false},
		{"sources", len(have.Sources) > 0, false},
		{"subject_transform", have.SubjectTransform != nil, false},
	} {
		if !reflect.DeepEqual(f.have, f.want) {
			off = append(off, fmt.Sprintf("%s is %v, want %v", f.name, f.have, f.want))
		}
	}
	return off
}

// limit makes one of the two ways to say "none".
func limit(n int64) int64 { return max(n, 0) }
