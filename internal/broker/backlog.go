package broker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"castad/events"
)

// Stranded returns how many work messages no consumer will deliver: those of the stream that are neither waiting for a
// consumer nor in work. While messages come and go the number is a little off, in both directions; what is stranded
// stays, so the least of several looks is right. ahead needs one look only: a consumer believes that it has delivered
// messages which the stream hasn't reached yet, and would pass over all that come until then. That is what a power cut
// leaves when the broker's disk has kept a consumer's state and not the messages.
func (b *Broker) Stranded(ctx context.Context) (n int, ahead bool, err error) {
	known, err := b.consumers(ctx)
	if err != nil {
		return 0, false, err
	}
	stream, err := b.js.Stream(ctx, b.settings.Names.WorkStream())
	if err != nil {
		return 0, false, fmt.Errorf("look at the work stream: %w", err)
	}
	state := stream.CachedInfo().State
	n = int(state.Msgs)
	for _, info := range known {
		n -= int(info.NumPending) + info.NumAckPending
		ahead = ahead || info.Delivered.Stream > state.LastSeq
	}
	return n, ahead, nil
}

// consumers returns the stages' consumers as the broker has them.
func (b *Broker) consumers(ctx context.Context) ([]*jetstream.ConsumerInfo, error) {
	stream, err := b.js.Stream(ctx, b.settings.Names.WorkStream())
	if err != nil {
		return nil, fmt.Errorf("look at the work stream: %w", err)
	}
	var known []*jetstream.ConsumerInfo
	list := stream.ListConsumers(ctx)
	for info := range list.Info() {
		known = append(known, info)
	}
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("look at the consumers: %w", err)
	}
	return known, nil
}

// Free makes the consumers of those stages anew that have messages which they won't deliver, and returns the stages. All
// that is queued there is delivered again, also what is in work: the rows make that harmless. A pause and the limit of
// runs in work stay as they are.
func (b *Broker) Free(ctx context.Context) ([]events.Stage, error) {
	known, err := b.consumers(ctx)
	if err != nil {
		return nil, err
	}
	var freed []events.Stage
	for _, info := range known {
		stage := events.Stage(info.Name)
		if !slices.Contains(events.Stages, stage) {
			continue
		}
		stranded, err := b.strands(ctx, info)
		if err != nil {
			return freed, err
		}
		if !stranded {
			continue
		}
		if err := b.renew(ctx, stage, info.Config); err != nil {
			return freed, err
		}
		freed = append(freed, stage)
	}
	return freed, nil
}

// strands reports whether a stage's consumer is ahead of the stream, or has less than there are messages for the stage.
func (b *Broker) strands(ctx context.Context, info *jetstream.ConsumerInfo) (bool, error) {
	stream, err := b.js.Stream(ctx, b.settings.Names.WorkStream())
	if err != nil {
		return false, fmt.Errorf("look at the work stream: %w", err)
	}
	there, err := stream.Info(ctx, jetstream.WithSubjectFilter(info.Config.FilterSubject))
	if err != nil {
		return false, fmt.Errorf("count the messages of %s: %w", info.Name, err)
	}
	n := 0
	for _, messages := range there.State.Subjects {
		n += int(messages)
	}
	return n > int(info.NumPending)+info.NumAckPending || info.Delivered.Stream > there.State.LastSeq, nil
}

// renew removes a consumer and makes it again.
func (b *Broker) renew(ctx context.Context, stage events.Stage, was jetstream.ConsumerConfig) error {
	stream := b.settings.Names.WorkStream()
	if err := b.js.DeleteConsumer(ctx, stream, string(stage)); err != nil && !Missing(err) {
		return fmt.Errorf("remove the consumer of %s: %w", stage, err)
	}
	cfg := b.consumer(stage)
	cfg.MaxAckPending, cfg.AckWait = was.MaxAckPending, was.AckWait
	if was.PauseUntil != nil && was.PauseUntil.After(time.Now()) {
		cfg.PauseUntil = was.PauseUntil
	}
	if _, err := b.js.CreateOrUpdateConsumer(ctx, stream, cfg); err != nil {
		return fmt.Errorf("make the consumer of %s again: %w", stage, err)
	}
	return nil
}
