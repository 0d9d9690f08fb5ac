package testkit

import (
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Take takes a message without an answer, and returns its subject; "" if there is none, or err isn't nil.
func Take(consumer jetstream.Consumer, err error) string {
	if err != nil {
		return ""
	}
	batch, err := consumer.FetchNoWait(1)
	if err != nil {
		return ""
	}
	for msg := range batch.Messages() {
		return msg.Subject()
	}
	return ""
}

// Ask connects to the brokers and calls ask with a JetStream client.
func (b *Brokers) Ask(ask func(ctx context.Context, js jetstream.JetStream) error) error {
	conn, err := nats.Connect(b.URL(), nats.Timeout(2*time.Second))
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return ask(ctx, js)
}

// Leader returns the node that leads a stream, waiting until there is one.
func (b *Brokers) Leader(stream string) int {
	b.t.Helper()
	leader := -1
	Eventually(b.t, "the stream "+stream+" has a leader", func() bool {
		err := b.Ask(func(ctx context.Context, js jetstream.JetStream) error {
			s, err := js.Stream(ctx, stream)
			if err == nil && s.CachedInfo().Cluster != nil {
				leader = b.number(s.CachedInfo().Cluster.Leader)
			}
			return err
		})
		return err == nil && leader >= 0
	})
	return leader
}

func (b *Brokers) number(name string) int {
	return slices.IndexFunc(b.nodes, func(n *node) bool { return n.name == name })
}

// StepDown makes another node the leader of a stream.
func (b *Brokers) StepDown(stream string) {
	b.t.Helper()
	Eventually(b.t, "the leader of "+stream+" steps down", func() bool {
		return b.Ask(func(ctx context.Context, js jetstream.JetStream) error {
			_, err := js.Conn().RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil)
			return err
		}) == nil
	})
}
