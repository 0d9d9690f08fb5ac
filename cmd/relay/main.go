// Command relay carries what the rows say to the broker. Any number may run; one publishes, the others stand by.
package main

import (
	"context"
	"io"
	"os"

	"github.com/prometheus/client_golang/prometheus"

	"castad/internal/config"
	"castad/internal/observe"
	"castad/internal/relay"
	"castad/internal/worker"
)

type settings struct {
	config.Common
	Window int `env:"CASTAD_RELAY_WINDOW" envDefault:"500"` // rows published together
}

func main() { os.Exit(observe.Run(serve)) }

func serve(ctx context.Context, getenv func(string) string, stderr io.Writer) error {
	cfg, err := config.Load[settings](getenv)
	if err != nil {
		return err
	}
	base, err := worker.Open("relay", "", cfg.Common, config.Worker{}, stderr)
	if err != nil {
		return err
	}
	defer base.Close()
	r := &relay.Relay{DB: base.DB, Broker: base.Broker, Lock: base.Broker.Names().RelayLock(), Window: cfg.Window,
		Metrics: prometheus.DefaultRegisterer, Log: base.Log}
	checks := []observe.Check{
		{Name: "database", Ask: base.DB.Ping},
		{Name: "broker", Ask: func(context.Context) error { return r.Ready() }},
	}
	if err := observe.ServeHealth(base.Log.WithContext(ctx), cfg.Health, checks); err != nil {
		return err
	}
	base.Log.Info().Str("version", observe.Version()).Msg("program started")
	r.Run(ctx)
	base.Log.Info().Msg("program ended")
	return nil
}
