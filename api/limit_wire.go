package main

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"castad/internal/config"
	"castad/internal/limit"
)

// openLimits prepares the limits and logs which there are; without a Redis there are none. prefix keeps installations
// that share a Redis apart.
func openLimits(cfg config.Limits, prefix string, log zerolog.Logger) (limits, error) {
	if cfg.Redis == "" {
		log.Warn().Msg("rate limits are off: CASTAD_REDIS_URL isn't set")
		return limits{}, nil
	}
	counter, err := limit.Open(limit.Settings{URL: cfg.Redis.Reveal(), Prefix: prefix, Patience: cfg.Timeout, Log: log,
		Metrics: prometheus.DefaultRegisterer})
	if err != nil {
		return limits{}, fmt.Errorf("CASTAD_REDIS_URL: %w", err)
	}
	l := limits{Counter: counter, Rates: map[budget]limit.Rate{submitBudget: limit.Rate(cfg.Submits), changeBudget: limit.Rate(cfg.Changes),
		readBudget: limit.Rate(cfg.Reads), streamBudget: limit.Rate(cfg.Streams), openBudget: limit.Rate(cfg.Open), loginBudget: limit.Rate(cfg.Logins)}}
	for _, network := range cfg.Proxies {
		l.Proxies = append(l.Proxies, network.Prefix)
	}
	line := log.Info()
	for b, rate := range l.Rates {
		line = line.Stringer(string(b), rate)
	}
	line.Msg("rate limits are on")
	return l, nil
}

// close ends the connections to Redis.
func (l limits) close() {
	if l.Counter != nil {
		_ = l.Counter.Close() // nothing is lost with them
	}
}
