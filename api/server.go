package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/gofiber/fiber/v2"
	"github.com/rs/zerolog"

	"castad/internal/auth"
	"castad/internal/broker"
	"castad/internal/config"
	"castad/internal/observe"
	"castad/providers"
	"castad/scraper"
	"castad/store"
)

// places looks a place up at its source. *scraper.Scraper is one.
type places interface {
	Resolve(ctx context.Context, ref scraper.Ref) (scraper.Ref, error)
	Place(ctx context.Context, placeID, typ string) (providers.Place, error)
	FindHit(ctx context.Context, hit providers.Hit) (placeID string, confidence float64, err error)
}

// blobs keeps uploaded images and returns the address at which everyone who has it can read them.
type blobs interface {
	Keep(ctx context.Context, name, contentType string, r io.Reader) (address string, err error)
	Sign(address string) (url string, err error)
}

// server answers requests. Fill in the fields, then call app.
type server struct {
	DB        *store.DB
	Broker    *broker.Broker // nil: dead letters that belong to no run aren't seen
	Keys      auth.Keys
	Places    places                                       // nil: places are looked at by the crawl stage only
	LookUp    time.Duration                                // the most that a look at a place may take at submission
	Blobs     blobs                                        // nil: images can't be uploaded
	CheckURL  func(raw string) error                       // refuses addresses that aren't public
	Callbacks map[string]func(body []byte) (string, error) // by provider: reads the provider's id from a callback
	Checks    []observe.Check                              // what has to live for the server to be ready
	Origins   []string                                     // of web pages that may call the API
	Prices    config.Prices                                // what an estimate adds up
	Dev       bool                                         // offers a login without Kakao, and lets pages of localhost call
	Log       zerolog.Logger
	Now       func() time.Time
	Beat      time.Duration // between two signs of life on an event stream; 0 means 15 s
	Limits    limits

	hub    hub
	recent recent
}

const (
	maxJSONBytes   = 1 << 20
	maxImageBytes  = 15 << 20
	maxImages      = 20
	maxUploadBytes = maxImages*maxImageBytes + maxJSONBytes
	requestTimeout = 20 * time.Second
	retryWhenAway  = "3" // seconds
)

// app builds the HTTP application.
func (s *server) app() *fiber.App {
	if s.Beat == 0 {
		s.Beat = 15 * time.Second
	}
	app := fiber.New(fiber.Config{
		AppName: "castad", DisableStartupMessage: true, Immutable: true,
		// Bodies are read by those who know how large they may be, so that a large one needs no memory.
		StreamRequestBody: true, BodyLimit: maxJSONBytes,
		ReadTimeout: 30 * time.Second, IdleTimeout: 75 * time.Second, WriteTimeout: 30 * time.Second,
		ReadBufferSize: 16 << 10,
		ErrorHandler:   s.writeError,
	})
	app.Use(s.observe, s.secure, s.limitBody)
	app.Use("/openapi", s.rationOpen)
	api := humafiber.NewV2(app, s.document())
	api.UseMiddleware(s.deadline, s.ration(api), s.authenticate(api))
	s.addAuth(api)
	s.addTasks(api)
	s.addCommands(api)
	s.addResults(api)
	s.addWatch(api)
	s.addImages(api)
	s.addHooks(api)
	s.addDead(api)
	s.addLedger(api)
	s.addHealth(app)
	app.Use(s.rationOpen) // pages, and what nothing above has answered
	s.addPages(app)
	return app
}

func (s *server) document() huma.Config {
	config := huma.DefaultConfig("CastAD", observe.Version())
	config.CreateHooks = nil // no $schema member in answers
	config.DocsPath, config.SchemasPath = "", ""
	config.Info.Description = "A local business becomes a published marketing song-video. Start with POST /tasks."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", BearerFormat: "JWT"},
	}
	config.OpenAPI.Extensions = map[string]any{"x-problem-codes": problemCodes}
	return config
}

// operation describes an endpoint. owner and admin set who may call it.
func operation(method, path, id, summary string) huma.Operation {
	return huma.Operation{Method: method, Path: path, OperationID: id, Summary: summary, MaxBodyBytes: maxJSONBytes,
		Errors: []int{http.StatusUnprocessableEntity}}
}

func owner(op huma.Operation) huma.Operation {
	op.Security = []map[string][]string{{"token": {}}}
	op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusNotFound)
	return op
}

func admin(op huma.Operation) huma.Operation {
	op = owner(op)
	op.Metadata = map[string]any{"role": "admin"}
	return op
}

// add registers an endpoint whose errors are answered by problemOf.
func add[I, O any](s *server, api huma.API, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	op = documented(op)
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err == nil || errors.Is(err, errNotModified) {
			return out, err
		}
		p := problemOf(err)
		noteOf(ctx).failed(p, err)
		if p.Status == http.StatusServiceUnavailable {
			return nil, huma.ErrorWithHeaders(p, http.Header{"Retry-After": {retryWhenAway}})
		}
		return nil, p
	})
	documentHeaders(op)
}

// writeError answers the errors that don't pass through huma: unknown addresses, methods, panics.
func (s *server) writeError(c *fiber.Ctx, err error) error {
	p := problemOf(err)
	noteOf(c.UserContext()).failed(p, err)
	return c.Status(p.Status).JSON(p, problemType)
}

// deadline bounds what a request may take. Streams and uploads have bounds of their own.
func (s *server) deadline(ctx huma.Context, next func(huma.Context)) {
	if ctx.Operation().Metadata["unbounded"] != nil {
		next(ctx)
		return
	}
	bounded, cancel := context.WithTimeout(ctx.Context(), requestTimeout)
	defer cancel()
	next(huma.WithContext(ctx, bounded))
}
