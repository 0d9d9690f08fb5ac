package ceiling

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"castad/bench/system"
)

const (
	stream  = "BENCH"
	wake    = "bench.wake"
	taskKey = "Task"
)

func subject(stage string) string { return "bench.work." + stage }

// line is what connects a program to the database and the broker.
type line struct {
	db     *sql.DB
	nc     *nats.Conn
	js     jetstream.JetStream
	outbox bool
}

func open(ctx context.Context, env func(string) string) (*line, error) {
	db, err := system.OpenMariaDB(env(system.EnvDSN), 2)
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(env(envNATS))
	if err != nil {
		return nil, fmt.Errorf("connect to the broker: %w", err)
	}
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(4*together))
	if err != nil {
		return nil, err
	}
	_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: stream, Subjects: []string{"bench.work.*"},
		Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage})
	if err != nil {
		return nil, fmt.Errorf("make the stream: %w", err)
	}
	return &line{db: db, nc: nc, js: js, outbox: env(envOutbox) != ""}, nil
}

func (l *line) close() {
	l.nc.Close()
	l.db.Close()
}

// task is what goes from stage to stage.
type task struct {
	id      string
	payload []byte
	msg     jetstream.Msg // that handed it to us; nil at its beginning
}

func serveAPI(ctx context.Context, env func(string) string, ready func(), _ func(string)) error {
	l, err := open(ctx, env)
	if err != nil {
		return err
	}
	defer l.close()
	group := system.NewGroup(ctx, together, func(ctx context.Context, batch []task) error {
		return l.commit(ctx, batch, system.Stages[0], "INSERT INTO `task` (`task_id`,`payload`,`created_at`) VALUES "+system.Rows("(?,?,NOW(6))", len(batch)),
			func(t task) []any { return []any{t.id, t.payload} })
	})
	return system.ServeAccept(ctx, env(system.EnvAddr), ready, func(ctx context.Context, payload []byte) (string, error) {
		t := task{id: uuid.Must(uuid.NewV7()).String(), payload: payload}
		return t.id, group.Do(ctx, t)
	})
}

func serveStage(ctx context.Context, env func(string) string, ready func(), completed func(string)) error {
	l, err := open(ctx, env)
	if err != nil {
		return err
	}
	defer l.close()
	stage := env(system.EnvStage)
	consumer, err := l.js.CreateOrUpdateConsumer(ctx, stream, jetstream.ConsumerConfig{Durable: stage, FilterSubject: subject(stage),
		AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 4 * together})
	if err != nil {
		return fmt.Errorf("make the consumer: %w", err)
	}
	came := make(chan task, 4*together)
	consuming, err := consumer.Consume(func(msg jetstream.Msg) {
		came <- task{id: msg.Headers().Get(taskKey), payload: msg.Data(), msg: msg}
	}, jetstream.PullMaxMessages(together))
	if err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	defer consuming.Stop()
	ready()
	for batch := system.Take(ctx, came, together); batch != nil; batch = system.Take(ctx, came, together) {
		if err := l.step(ctx, stage, batch, completed); err != nil {
			return err
		}
	}
	return nil
}

// step does a stage for a batch: the durable status, the hand-over, the acknowledgement.
func (l *line) step(ctx context.Context, stage string, batch []task, completed func(string)) error {
	next := system.Next(stage)
	err := l.commit(ctx, batch, next, "INSERT INTO `status` (`task_id`,`stage`,`at`) VALUES "+system.Rows("(?,'"+stage+"',NOW(6))", len(batch)),
		func(t task) []any { return []any{t.id} })
	if err != nil {
		return err
	}
	for _, t := range batch {
		if err := t.msg.Ack(); err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
		if next == "" {
			completed(t.id)
		}
	}
	return nil
}

// commit writes the rows of a batch and hands it over to the next stage ("" for none).
func (l *line) commit(ctx context.Context, batch []task, next, statement string, row func(task) []any) error {
	var args []any
	for _, t := range batch {
		args = append(args, row(t)...)
	}
	if l.outbox && next != "" {
		statement = "BEGIN;" + statement + ";INSERT INTO `outbox` (`stage`,`task_id`,`payload`) VALUES " +
			system.Rows("('"+next+"',?,?)", len(batch)) + ";COMMIT"
		for _, t := range batch {
			args = append(args, t.id, t.payload)
		}
	}
	if _, err := l.db.ExecContext(ctx, statement, args...); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	switch {
	case next == "":
		return nil
	case l.outbox:
		return l.nc.Publish(wake, nil)
	}
	return l.publish(ctx, next, batch)
}

// publish hands a batch to a stage and waits until the broker has it.
func (l *line) publish(ctx context.Context, stage string, batch []task) error {
	pending := make([]jetstream.PubAckFuture, len(batch))
	for i, t := range batch {
		msg := &nats.Msg{Subject: subject(stage), Data: t.payload, Header: nats.Header{taskKey: {t.id}}}
		var err error
		if pending[i], err = l.js.PublishMsgAsync(msg); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	return kept(ctx, pending)
}

func kept(ctx context.Context, pending []jetstream.PubAckFuture) error {
	for _, p := range pending {
		select {
		case <-p.Ok():
		case err := <-p.Err():
			return fmt.Errorf("publish: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
