package broker_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"castad/events"
	"castad/internal/broker"
	"castad/internal/testkit"
)

// A program's node is cut off from the other two, or stands still, and keeps its connection: the program finds its way to
// one that serves.
func TestBroker_LeavesNodeThatDoesNotServe(t *testing.T) {
	t.Parallel()
	nodes := testkit.StartBrokers(t, testkit.BrokerSettings{Nodes: 3, Links: true})
	for _, fault := range []struct {
		name       string
		do, undone func(node int)
	}{
		{"cut off", nodes.Cut, nodes.Mend},
		{"paused", nodes.Pause, nodes.Continue},
	} {
		t.Run(fault.name, func(t *testing.T) {
			b, err := broker.Connect(broker.Settings{URL: nodes.URL(), Name: t.Name(), Names: events.DefaultNames, Replicas: 3, Log: zerolog.Nop()})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			testkit.Eventually(t, "the streams are there", func() bool { return b.Ensure(t.Context()) == nil })
			node := nodeOf(t, nodes, b.JetStream())
			fault.do(node)
			testkit.Eventually(t, "the broker is asked and answers", func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := b.JetStream().AccountInfo(ctx)
				return err == nil && nodeOf(t, nodes, b.JetStream()) != node
			})
			fault.undone(node)
			nodes.Ready()
		})
	}
}

// nodeOf returns the number of the node that a client is connected to, or -1 for none.
func nodeOf(t *testing.T, nodes *testkit.Brokers, js jetstream.JetStream) int {
	t.Helper()
	at := js.Conn().ConnectedUrl()
	for i, url := range strings.Split(nodes.URL(), ",") {
		if url[strings.LastIndex(url, ":"):] == at[max(strings.LastIndex(at, ":"), 0):] {
			return i
		}
	}
	return -1
}
