// Command intel is the consumer of the intel stage.
package main

import (
	"context"
	"io"
	"os"
	"time"

	"castad/events"
	"castad/internal/author"
	"castad/internal/config"
	"castad/internal/observe"
	"castad/internal/worker"
	"castad/prompts"
)

type settings struct {
	config.Common
	config.Worker
	config.Prices
	config.OpenAI
	Fresh time.Duration `env:"CASTAD_INTEL_FRESH" envDefault:"168h"` // how long a report on a place serves other tasks
}

func main() { os.Exit(observe.Run(serve)) }

func serve(ctx context.Context, getenv func(string) string, stderr io.Writer) error {
	cfg, err := config.Load[settings](getenv)
	if err != nil {
		return err
	}
	return worker.Serve(ctx, events.Intel, cfg.Common, cfg.Worker, stderr, func(_ context.Context, base worker.Base) (worker.Stage[Result], error) {
		library, err := prompts.Open(cfg.Prompts, prompts.Models{Marketing: cfg.Model})
		if err != nil {
			return nil, err
		}
		return &Stage{DB: base.DB, Author: author.New(base.DB, cfg.OpenAI, cfg.Tokens), Prompts: library, Fresh: cfg.Fresh}, nil
	})
}
