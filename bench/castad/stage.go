package castad

import (
	"context"
	"os"
	"time"

	"castad/bench/system"
	"castad/events"
	"castad/internal/config"
	"castad/internal/observe"
	"castad/internal/worker"
	"castad/store"
)

type settings struct {
	config.Common
	config.Worker
}

// serveStage is a consumer as cmd and consumers make them, with a stage that has nothing to do.
func serveStage(ctx context.Context, env func(string) string, ready func(), _ func(string)) error {
	cfg, err := config.Load[settings](env)
	if err != nil {
		return err
	}
	defer observe.SpareCollector()() // as observe.Run does
	stage := events.Stage(env(system.EnvStage))
	return worker.Serve(ctx, stage, cfg.Common, cfg.Worker, os.Stderr, func(_ context.Context, base worker.Base) (worker.Stage[result], error) {
		ready()
		rest, err := time.ParseDuration(env(envRest))
		return &instant{db: base.DB, paid: env(envPaid) != "", rest: rest}, err
	})
}

// result is what a stage makes: nothing but its status.
type result struct{}

// instant is a stage whose provider answers at once.
type instant struct {
	db   *store.DB
	paid bool
	rest time.Duration // of the first stage, until its provider is ready
}

const priceMicros = 1000

func (s *instant) Work(ctx context.Context, c store.Claim) (worker.Outcome[result], error) {
	if s.rest > 0 && c.Stage == events.Crawl && !c.Resumed {
		return worker.Wait[result](s.rest, "provider_works", "the provider takes its time")
	}
	if !s.paid {
		return worker.Done(result{})
	}
	job, err := s.db.PayOnce(ctx, c, store.Paid{Purpose: "bench", Provider: "bench", Request: c.Task.Source.V, PriceMicros: priceMicros,
		Call: func(context.Context, store.Job) (string, error) { return "job-" + c.Token, nil }})
	if err != nil {
		return worker.Outcome[result]{}, err
	}
	return worker.Outcome[result]{Charges: []store.Charge{{JobID: job.ID, Micros: priceMicros}}}, nil
}

func (s *instant) Save(context.Context, *store.Tx, store.Claim, result) error { return nil }
