package worker

import (
	"context"
	"fmt"
	"io"

	"github.com/rs/zerolog"

	"castad/events"
	"castad/internal/broker"
	"castad/internal/config"
	"castad/internal/observe"
	"castad/internal/pipeline"
	"castad/internal/relay"
	"castad/store"
)

// Base is what every consumer stands on, opened by Serve.
type Base struct {
	DB     *store.DB
	Broker *broker.Broker
	Log    zerolog.Logger
}

// Serve is a consumer program: it opens the database and the broker, builds the stage, and works until ctx ends.
func Serve[R any](ctx context.Context, stage events.Stage, common config.Common, work config.Worker, stderr io.Writer,
	build func(context.Context, Base) (Stage[R], error)) error {
	base, err := Open(string(stage), stage, common, work, stderr)
	if err != nil {
		return err
	}
	defer base.Close()
	built, err := build(ctx, base)
	if err != nil {
		return fmt.Errorf("set up %s: %w", stage, err)
	}
	w := &Worker[R]{
		Settings: Settings{Stage: stage, Slots: work.Slots, Lease: work.Lease, Grace: work.Grace,
			Attempts: pipeline.Attempts{Limit: work.Attempts, First: work.First, Most: work.Most},
			Program:  config.Program(string(stage)), Version: observe.Version(), Log: base.Log},
		DB: base.DB, Broker: base.Broker, Work: built,
	}
	checks := []observe.Check{
		{Name: "database", Ask: base.DB.Ping},
		{Name: "work", Ask: func(context.Context) error { return w.Ready() }},
	}
	if err := observe.ServeHealth(base.Log.WithContext(ctx), common.Health, checks); err != nil {
		return err
	}
	base.Log.Info().Str("version", w.Version).Msg("program started")
	w.Run(ctx)
	base.Log.Info().Msg("program ended")
	return nil
}

// Open prepares the connections that all programs of the pipeline share. Neither the database nor the broker has to be
// there yet. stage is "" for programs that aren't a consumer.
func Open(program string, stage events.Stage, common config.Common, work config.Worker, stderr io.Writer) (Base, error) {
	log, err := observe.Logger(stderr, program, common.LogLevel)
	if err != nil {
		return Base{}, err
	}
	names, err := common.Names()
	if err != nil {
		return Base{}, err
	}
	db, err := store.Open(store.Settings{DSN: common.MySQL.Reveal(), MaxOpen: common.MySQLMax,
		Flight: common.Flight, AskAgain: common.AskAgain,
		Caps: store.Caps{Task: common.TaskCap, UserDay: common.UserDayCap, Day: common.DayCap}})
	if err != nil {
		return Base{}, err
	}
	b, err := broker.Connect(broker.Settings{URL: common.NATS.Reveal(), Name: program, Names: names, Replicas: common.Replicas,
		Stage: stage, Pending: work.Pending, AckWait: work.Lease, Log: log})
	if err != nil {
		db.Close()
		return Base{}, err
	}
	db.Nudge, db.File = b.Wake, relay.AtOnce(b)
	return Base{DB: db, Broker: b, Log: log}, nil
}

// Close ends the connections.
func (b Base) Close() {
	b.Broker.Close()
	b.DB.Close()
}
