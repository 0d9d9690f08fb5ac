// Command upload is the consumer of the upload stage.
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
	"castad/providers/azblob"
	"castad/providers/instagram"
	"castad/providers/youtube"
	"castad/store"
)

type settings struct {
	config.Common
	config.Worker
	config.Prices
	config.OpenAI
	config.Blob
	config.YouTube
	config.Instagram
}

func main() { os.Exit(observe.Run(serve)) }

func serve(ctx context.Context, getenv func(string) string, stderr io.Writer) error {
	cfg, err := config.Load[settings](getenv)
	if err != nil {
		return err
	}
	return worker.Serve(ctx, events.Upload, cfg.Common, cfg.Worker, stderr, func(_ context.Context, base worker.Base) (worker.Stage[[]store.SocialUpload], error) {
		library, err := prompts.Open(cfg.Prompts, prompts.Models{YouTube: cfg.Model})
		if err != nil {
			return nil, err
		}
		blobs, err := azblob.New(azblob.Config{ConnectionString: cfg.Connection.Reveal(), Container: cfg.Container, SignedFor: cfg.Signed})
		if err != nil {
			return nil, err
		}
		channel := youtube.New(youtube.Config{APIURL: cfg.API, TokenURL: cfg.YouTube.Token, WatchURL: cfg.Watch, ClientID: cfg.ClientID,
			ClientSecret: cfg.ClientSecret.Reveal(), RefreshToken: cfg.RefreshToken.Reveal()})
		account := instagram.New(instagram.Config{BaseURL: cfg.Instagram.URL, UserID: cfg.UserID, Token: cfg.Instagram.Token.Reveal()})
		return &Stage{DB: base.DB, Author: author.New(base.DB, cfg.OpenAI, cfg.Tokens), Prompts: library, Platforms: map[string]platform{
			"youtube":   &YouTube{DB: base.DB, Client: channel, Blobs: blobs},
			"instagram": &Instagram{DB: base.DB, Client: account, Blobs: blobs, Interval: cfg.Instagram.Look},
		}}, nil
	})
}
