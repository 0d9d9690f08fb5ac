// Package watermill carries tasks through six durable stages with Watermill, a Go library for message-driven programs, on
// NATS JetStream and MariaDB, the way that its documentation recommends: a router and a handler in each stage's program.
// A status and its hand-over are two steps, with no outbox between them.
package watermill

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"castad/bench/system"
)

// System is Watermill.
type System struct{}

// Roles are its programs.
var Roles = map[string]system.Role{"watermill/api": serveAPI, "watermill/stage": serveStage}

const envNATS = "CASTAD_BENCH_NATS"

// Start starts MariaDB, NATS, six stages, and the accepting program.
func (System) Start(ctx context.Context, dir string) (system.Running, error) {
	site, err := system.OpenSite(ctx, dir)
	if err != nil {
		return nil, err
	}
	if err := start(ctx, site, dir); err != nil {
		site.Stop()
		return nil, err
	}
	return site, nil
}

func start(ctx context.Context, site *system.Site, dir string) error {
	if err := system.Apply(ctx, site.Admin, system.Schema); err != nil {
		return err
	}
	at, err := system.StartBroker(ctx, site.Programs, dir)
	if err != nil {
		return err
	}
	if err := provision(ctx, at); err != nil {
		return err
	}
	site.Door, err = site.PlayAll(ctx, "watermill", map[string]string{system.EnvDSN: site.DSN, envNATS: at})
	return err
}

const (
	stream = "BENCH"
	group  = "stages" // the queue group of a stage's subscribers
)

func topic(stage string) string { return "bench.work." + stage }

// provision makes the stream and the stages' durable consumers, on file, beforehand. Watermill could make streams itself
// (AutoProvision), but then it asks the broker for the stream before every publish; and a consumer that a subscription
// has made is deleted with that subscription, durable or not. The subscribers of pkg/nats need push consumers that
// deliver to a queue group.
func provision(ctx context.Context, at string) error {
	nc, err := nats.Connect(at)
	if err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: stream, Subjects: []string{topic("*")},
		Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage})
	if err != nil {
		return fmt.Errorf("make the stream: %w", err)
	}
	for _, stage := range system.Stages {
		_, err := js.CreatePushConsumer(ctx, stream, jetstream.ConsumerConfig{Durable: stage, FilterSubject: topic(stage),
			AckPolicy: jetstream.AckExplicitPolicy, DeliverSubject: "bench.deliver." + stage, DeliverGroup: group})
		if err != nil {
			return fmt.Errorf("make the consumer of %s: %w", stage, err)
		}
	}
	return nil
}
