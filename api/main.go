// Command api is CastAD's HTTP API: it takes work, shows how it goes, and takes the callbacks of providers.
//
// It does no stage's work and keeps no state: any number may run behind a proxy. The types of requests and answers are
// the contract that /openapi.json shows. Start with server.app and submit.go.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"castad/internal/auth"
	"castad/internal/broker"
	"castad/internal/config"
	"castad/internal/observe"
	"castad/internal/worker"
)

type settings struct {
	config.Common
	config.Naver
	config.Blob
	config.Fetch
	config.Limits
	config.Prices
	Addr    string        `env:"CASTAD_API_ADDR" envDefault:"127.0.0.1:8080"`
	JWT     config.Secret `env:"CASTAD_JWT_KEYS,required,notEmpty"`   // id:base64 of at least 32 bytes, several by commas; the first signs
	Dev     bool          `env:"CASTAD_DEV"`                          // offers a login without Kakao
	Origins []string      `env:"CASTAD_CORS_ORIGINS"`                 // of web pages that may call the API, by commas
	LookUp  time.Duration `env:"CASTAD_PLACE_LOOKUP" envDefault:"4s"` // the most that a look at a place may take at submission; 0 for no look
	Fresh   time.Duration `env:"CASTAD_STATUS_FRESH" envDefault:"1s"` // how old a task's status may be that is answered; 0 asks the database each time
	Grace   time.Duration `env:"CASTAD_GRACE" envDefault:"20s"`       // for running requests when the program is told to end
}

func main() { os.Exit(observe.Run(serve)) }

func serve(ctx context.Context, getenv func(string) string, stderr io.Writer) error {
	cfg, err := config.Load[settings](getenv)
	if err != nil {
		return err
	}
	keys, err := auth.ParseKeys(cfg.JWT.Reveal())
	if err != nil {
		return fmt.Errorf("CASTAD_JWT_KEYS: %w", err)
	}
	base, err := worker.Open("api", "", cfg.Common, config.Worker{}, stderr)
	if err != nil {
		return err
	}
	defer base.Close()
	s := &server{DB: base.DB, Broker: base.Broker, Keys: keys, LookUp: cfg.LookUp, Origins: cfg.Origins, Dev: cfg.Dev, Prices: cfg.Prices, recent: remember(cfg.Fresh), Log: base.Log, Now: time.Now}
	if err := s.wire(cfg); err != nil {
		return err
	}
	defer s.Limits.close()
	ctx = base.Log.WithContext(ctx)
	subscribed := s.subscribe(ctx, base.Broker)
	s.Checks = []observe.Check{
		{Name: "database", Ask: base.DB.Ping},
		{Name: "broker", Ask: func(context.Context) error { return base.Broker.Ready() }},
		{Name: "facts", Ask: subscribed},
	}
	if err := observe.ServeHealth(ctx, cfg.Health, s.Checks); err != nil {
		return err
	}
	return s.listen(ctx, cfg.Addr, cfg.Grace)
}

// subscribe hears the live facts, and declares the streams as soon as the broker is there. The check that it returns
// fails while the process hears nothing.
func (s *server) subscribe(ctx context.Context, b *broker.Broker) func(context.Context) error {
	go func() { _ = b.EnsureUntil(ctx) }()
	var listening atomic.Bool
	if err := b.Facts(ctx, s.hear); err == nil {
		listening.Store(true)
	}
	return func(context.Context) error {
		if !listening.Load() || b.Ready() != nil {
			return errors.New("live facts aren't heard: watchers see changes some seconds late")
		}
		return nil
	}
}

// listen serves until ctx ends, then lets running requests end within the grace. Event streams are ended at once: their
// clients connect again to another server.
func (s *server) listen(ctx context.Context, addr string, grace time.Duration) error {
	app := s.app()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen on CASTAD_API_ADDR: %w", err)
	}
	s.Log.Info().Str("addr", listener.Addr().String()).Str("version", observe.Version()).Msg("program started")
	failed := make(chan error, 1)
	go func() { failed <- app.Listener(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.hub.close()
	if err := app.ShutdownWithTimeout(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("shut down: %w", err)
	}
	s.Log.Info().Msg("program ended")
	return nil
}
