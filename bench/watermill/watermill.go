// Package watermill carries tasks through six durable stages with Watermill, a Go library for message-driven programs, on
// NATS JetStream and MariaDB, the way that its documentation recommends: a router and a handler in each stage's program.
// A status and its hand-over are two steps, with no outbox between them.
package watermill

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"castad/bench/system"
	"castad/internal/servers"
)

// System is Watermill.
type System struct{}

// Roles are its programs.
var Roles = map[string]system.Role{"watermill/api": serveAPI, "watermill/stage": serveStage}

const (
	envDSN   = "CASTAD_BENCH_DSN"
	envNATS  = "CASTAD_BENCH_NATS"
	envStage = "CASTAD_BENCH_STAGE"
	envAddr  = "CASTAD_BENCH_ADDR"
)

type running struct {
	*system.Programs
	database *servers.MariaDB
	pool     *sql.DB
	url      string
	payload  []byte
}

// Start starts MariaDB, NATS, six stages, and the accepting program.
func (System) Start(ctx context.Context, dir string) (system.Running, error) {
	database, dsn, err := system.StartMariaDB(ctx, dir)
	if err != nil {
		return nil, err
	}
	r := &running{Programs: system.NewPrograms(dir), database: database, payload: system.Payload()}
	if err := r.start(ctx, dir, dsn); err != nil {
		r.Stop()
		return nil, err
	}
	return r, nil
}

func (r *running) start(ctx context.Context, dir, dsn string) (err error) {
	if r.pool, err = system.OpenAdmin(r.database); err != nil {
		return err
	}
	if err := system.Apply(ctx, r.pool, system.Schema); err != nil {
		return err
	}
	at, err := system.StartBroker(ctx, r.Programs, dir)
	if err != nil {
		return err
	}
	if err := provision(ctx, at); err != nil {
		return err
	}
	port, _, err := servers.FreePort(0)
	if err != nil {
		return fmt.Errorf("find a port for the accepting program: %w", err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	r.url = "http://" + addr + "/tasks"
	env := map[string]string{envDSN: dsn, envNATS: at, envAddr: addr}
	for _, stage := range system.Stages {
		env[envStage] = stage
		if err := r.Play(ctx, stage, "watermill/stage", env); err != nil {
			return err
		}
	}
	return r.Play(ctx, "api", "watermill/api", env)
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

func (r *running) Accept(ctx context.Context) (string, error) {
	return system.Post(ctx, r.url, r.payload, nil)
}

func (r *running) Processes() map[string]int {
	all := r.Programs.Processes()
	all["database"] = r.database.Process()
	return all
}

func (r *running) Audit(ctx context.Context) (system.Audit, error) {
	return system.AuditSchema(ctx, r.pool)
}

func (r *running) Stop() {
	r.Programs.Stop()
	if r.pool != nil {
		r.pool.Close()
	}
	r.database.Stop()
}
