package main

import (
	"net/http"

	"castad/providers/azblob"
	"castad/providers/creatomate"
	"castad/providers/fetch"
	"castad/providers/suno"
	"castad/scraper"
)

// wire connects what talks to the outside. Nothing is called yet.
func (s *server) wire(cfg settings) error {
	n := cfg.Naver
	s.Places = &scraper.Scraper{HTTP: &http.Client{}, Timeout: cfg.LookUp,
		URLs: scraper.BaseURLs{GraphQL: n.GraphQL, Page: n.Page, Short: n.Short, Map: n.Map, Search: n.Search}}
	s.CheckURL = fetch.New(fetch.Config{Allow: cfg.Allow}).CheckURL
	s.Callbacks = map[string]func([]byte) (string, error){"suno": suno.ParseCallback, "creatomate": creatomate.ParseCallback}
	store, err := azblob.New(azblob.Config{ConnectionString: cfg.Connection.Reveal(), Container: cfg.Container, SignedFor: cfg.Signed})
	if err != nil {
		return err
	}
	s.Blobs = store
	s.Limits, err = openLimits(cfg.Limits, cfg.Prefix, s.Log)
	return err
}
