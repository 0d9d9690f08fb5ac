// Command lyric is the consumer of the lyric stage.
package main

import (
	"context"
	"io"
	"os"

	"castad/events"
	"castad/internal/author"
	"castad/internal/config"
	"castad/internal/observe"
	"castad/internal/worker"
	"castad/prompts"
	"castad/store"
)

type settings struct {
	config.Common
	config.Worker
	config.Prices
	config.OpenAI
}

func main() { os.Exit(observe.Run(serve)) }

func serve(ctx context.Context, getenv func(string) string, stderr io.Writer) error {
	cfg, err := config.Load[settings](getenv)
	if err != nil {
		return err
	}
	return worker.Serve(ctx, events.Lyric, cfg.Common, cfg.Worker, stderr, func(_ context.Context, base worker.Base) (worker.Stage[store.Lyric], error) {
		library, err := prompts.Open(cfg.Prompts, prompts.Models{Lyric: cfg.Model})
		if err != nil {
			return nil, err
		}
		return &Stage{DB: base.DB, Author: author.New(base.DB, cfg.OpenAI, cfg.Tokens), Prompts: library}, nil
	})
}
