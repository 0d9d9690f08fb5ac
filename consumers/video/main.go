// Command video is the consumer of the video stage.
package main

import (
	"context"
	"io"
	"os"

	"castad/events"
	"castad/internal/config"
	"castad/internal/observe"
	"castad/internal/worker"
	"castad/providers/azblob"
	"castad/providers/creatomate"
	"castad/providers/fetch"
	"castad/store"
)

type settings struct {
	config.Common
	config.Worker
	config.Prices
	config.Creatomate
	config.Blob
	config.Fetch
	config.Callbacks
}

func main() { os.Exit(observe.Run(serve)) }

func serve(ctx context.Context, getenv func(string) string, stderr io.Writer) error {
	cfg, err := config.Load[settings](getenv)
	if err != nil {
		return err
	}
	return worker.Serve(ctx, events.Video, cfg.Common, cfg.Worker, stderr, func(ctx context.Context, base worker.Base) (worker.Stage[store.Video], error) {
		blobs, err := azblob.New(azblob.Config{ConnectionString: cfg.Connection.Reveal(), Container: cfg.Container, SignedFor: cfg.Signed})
		if err != nil {
			return nil, err
		}
		go blobs.Prepare(base.Log.WithContext(ctx))
		return &Stage{
			DB: base.DB, Renderer: creatomate.New(creatomate.Config{BaseURL: cfg.Creatomate.URL, Key: cfg.Key.Reveal()}),
			Fetch: fetch.New(fetch.Config{Allow: cfg.Allow}), Blobs: blobs, Callbacks: cfg.Hook("creatomate"),
			FirstLook: cfg.FirstLook, Interval: cfg.Look, Credit: cfg.Credit,
		}, nil
	})
}
