package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"castad/events"
)

// clusterUnavailable is nats-server's code for "whoever should answer has no leader" (v2.15, errors.json).
const clusterUnavailable jetstream.ErrorCode = 10008

// Leaderless returns a stage whose consumer has no leader in a cluster that has one and whose work stream has one; "" when
// all is well, and for one broker. An election is over within seconds. What lasts longer is that most of the nodes can't
// open what their disks hold of the consumer, which they tell nobody but their log and health page.
func (b *Broker) Leaderless(ctx context.Context) (events.Stage, error) {
	if b.settings.Replicas < 2 {
		return "", nil
	}
	stream, err := b.js.Stream(ctx, b.settings.Names.WorkStream())
	if err != nil {
		return "", fmt.Errorf("look at the work stream: %w", err)
	}
	if !led(stream.CachedInfo().Cluster) {
		return "", nil
	}
	for _, stage := range events.Stages {
		consumer, err := b.Consumer(ctx, stage)
		var answer *jetstream.APIError
		switch {
		case err == nil && !led(consumer.CachedInfo().Cluster), errors.As(err, &answer) && answer.ErrorCode == clusterUnavailable:
			return stage, nil
		case err != nil && !Missing(err):
			return "", fmt.Errorf("look at the consumer of %s: %w", stage, err)
		}
	}
	return "", nil
}

func led(cluster *jetstream.ClusterInfo) bool { return cluster != nil && cluster.Leader != "" }
