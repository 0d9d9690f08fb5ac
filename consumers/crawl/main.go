// Command crawl is the consumer of the crawl stage.
package main

import (
	"context"
	"io"
	"os"
	"time"

	"castad/events"
	"castad/internal/config"
	"castad/internal/observe"
	"castad/internal/worker"
	"castad/providers/azblob"
	"castad/providers/fetch"
	"castad/scraper"
)

type settings struct {
	config.Common
	config.Worker
	config.Naver
	config.Blob
	config.Fetch
	Fresh  time.Duration `env:"CASTAD_CRAWL_FRESH" envDefault:"1h"`  // how long a crawl of a place serves other tasks
	Photos int           `env:"CASTAD_CRAWL_PHOTOS" envDefault:"12"` // of one video
}

func main() { os.Exit(observe.Run(serve)) }

func serve(ctx context.Context, getenv func(string) string, stderr io.Writer) error {
	cfg, err := config.Load[settings](getenv)
	if err != nil {
		return err
	}
	return worker.Serve(ctx, events.Crawl, cfg.Common, cfg.Worker, stderr, func(ctx context.Context, base worker.Base) (worker.Stage[Result], error) {
		blobs, err := azblob.New(azblob.Config{ConnectionString: cfg.Connection.Reveal(), Container: cfg.Container, SignedFor: cfg.Signed})
		if err != nil {
			return nil, err
		}
		go blobs.Prepare(base.Log.WithContext(ctx))
		return &Stage{
			DB: base.DB, Fresh: cfg.Fresh,
			Source: &scraper.Scraper{URLs: scraper.BaseURLs{GraphQL: cfg.GraphQL, Page: cfg.Page, Short: cfg.Short, Map: cfg.Map, Search: cfg.Search},
				Key: scraper.DevelopersKey(cfg.ClientID.Reveal(), cfg.ClientSecret.Reveal()), Interval: cfg.Interval},
			Photos: NewAlbum(fetch.New(fetch.Config{Allow: cfg.Allow}), blobs, cfg.Photos),
		}, nil
	})
}
