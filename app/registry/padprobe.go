package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/onda-serving/onda/app/batch"
	"github.com/onda-serving/onda/app/scoring"
)

// checkPadding tries what a manifest declares: rows of two lengths that run together, one
// of them padded, must give what each gives alone. The error says what differs. A model
// that does not take drawn numbers is taken at its word.
func checkPadding(ctx context.Context, s Session, config batch.Config) error {
	long := shortestBucket(config.Pad)
	if len(config.Pad) == 0 || long < 3 {
		return nil
	}
	config.MaxRows, config.Delay, config.MaxQueue = 2, time.Minute, 2 // both wait for each other
	b := batch.New(s, config, batch.Parts{})
	var rows, alone [2][]scoring.Tensor
	for i, length := range []int64{long - 2, long} {
		var err error
		if rows[i], err = drawLong(s.Signature(), drawing{1, 2}, i+1, length); err != nil {
			return nil //nolint:nilerr // too large to try
		}
		if alone[i], err = s.Run(ctx, rows[i], nil); err != nil {
			return ctx.Err()
		}
	}
	var together [2][]scoring.Tensor
	group, groupCtx := errgroup.WithContext(ctx)
	for i := range rows {
		group.Go(func() error {
			result, err := b.Run(groupCtx, batch.Request{Inputs: rows[i]})
			together[i] = result.Outputs
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("batching.pad: rows of %d and %d do not run together: %w", long-2, long, err)
	}
	for i := range together {
		if reason := differs(together[i], alone[i]); reason != "" {
			return errors.New("batching.pad: the answer for a row is another when it is padded, so requests of different lengths must not run together: " + reason)
		}
	}
	return nil
}

// shortestBucket is a length that has others in its bucket of every rule.
func shortestBucket(pads []batch.Pad) int64 {
	long := int64(8)
	for _, p := range pads {
		if len(p.Buckets) > 0 {
			long = min(long, int64(p.Buckets[0]))
		}
	}
	return long
}
