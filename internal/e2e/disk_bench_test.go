package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"castad/events"
	"castad/internal/broker"
	"castad/internal/e2e"
	"castad/internal/relay"
	"castad/internal/testkit"
	"castad/providers"
	"castad/store"
)

// eachDisk measures one broker and three, with the default sync and with `sync_interval: always`. docs/reliability.md
// has the figures and the commands.
func eachDisk(b *testing.B, measure func(b *testing.B, s testkit.BrokerSettings)) {
	for _, nodes := range []int{1, 3} {
		for name, edit := range map[string]map[string]string{"default": nil, "always": syncAlways} {
			b.Run(fmt.Sprintf("R%d/%s", nodes, name), func(b *testing.B) {
				measure(b, testkit.BrokerSettings{Nodes: nodes, Edit: edit})
			})
		}
	}
}

// BenchmarkDisk_Relay lets the relay publish what b.N new tasks want.
func BenchmarkDisk_Relay(b *testing.B) {
	eachDisk(b, func(b *testing.B, s testkit.BrokerSettings) {
		db, err := store.Open(store.Settings{DSN: testkit.Database(b)})
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		submitRows(b, db)
		owed, err := db.Owed(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		nodes := testkit.StartBrokers(b, s)
		to, err := broker.Connect(broker.Settings{URL: nodes.URL(), Name: b.Name(), Names: events.DefaultNames, Replicas: s.Nodes, Log: zerolog.Nop()})
		if err != nil {
			b.Fatal(err)
		}
		defer to.Close()
		testkit.Eventually(b, "the streams are there", func() bool { return to.Ensure(b.Context()) == nil })
		b.ResetTimer()
		published(b, &relay.Relay{DB: db, Broker: to, Lock: "relay", Log: zerolog.Nop()})
		b.StopTimer()
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(owed.Runs+owed.Facts)/b.Elapsed().Seconds(), "messages/s")
	})
}

// submitRows makes b.N tasks in the database.
func submitRows(b *testing.B, db *store.DB) {
	const crew = 8
	var submitting sync.WaitGroup
	for worker := range crew {
		submitting.Go(func() {
			for n := worker; n < b.N; n += crew {
				if _, _, err := db.Submit(context.Background(), store.Submission{UserUUID: "u", Language: providers.Korean, Orientation: "vertical"}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	submitting.Wait()
}

// published runs a relay until nothing is owed.
func published(b *testing.B, r *relay.Relay) {
	ctx, stop := context.WithCancel(b.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	defer func() { stop(); running.Wait() }()
	testkit.Eventually(b, "all is published", func() bool {
		<-time.After(10 * time.Millisecond)
		owed, err := r.DB.Owed(ctx)
		return err == nil && owed.Runs+owed.Facts == 0
	})
}

// BenchmarkDisk_Tasks completes b.N tasks, 64 in flight.
func BenchmarkDisk_Tasks(b *testing.B) {
	eachDisk(b, func(b *testing.B, s testkit.BrokerSettings) {
		p := e2e.Start(b, e2e.Options{Database: true, Env: saturated, Brokers: s})
		p.Login()
		p.Completed(p.Submit("warm-up", order(0, "Korean")))
		b.ResetTimer()
		took := flights(b, p, 64)
		b.StopTimer()
		slices.Sort(took)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
		b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "p50-ms")
	})
}
