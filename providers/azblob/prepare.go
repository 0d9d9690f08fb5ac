package azblob

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"castad/internal/fault"
)

// Prepare makes the container, trying until the store answers; it is for a program's start, beside its work. A refusal
// is logged and left: the container may be there, made by somebody with more rights than ours.
func (c *Client) Prepare(ctx context.Context) {
	for {
		err := c.EnsureContainer(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		if fault.Of(err).Kind == fault.Permanent {
			zerolog.Ctx(ctx).Warn().Err(err).Msg("container not made; it has to be there")
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(2 * time.Second):
		}
	}
}
