// Package asynqueue carries tasks through six durable stages with Asynq, a Go library for background tasks on Redis, the
// way that its documentation recommends: a queue and a server for each stage, and a client that hands over. The statuses
// are in MariaDB. A status and its hand-over are two steps, with no outbox between them; and Redis, with its usual
// durable setting, may lose the hand-overs of the last second when the machine loses power.
package asynqueue

import (
	"context"

	"castad/bench/system"
)

// System is Asynq.
type System struct{}

// Roles are its programs.
var Roles = map[string]system.Role{"asynq/api": serveAPI, "asynq/stage": serveStage}

const envRedis = "CASTAD_BENCH_REDIS"

// Start starts MariaDB, Redis, six stages, and the accepting program.
func (System) Start(ctx context.Context, dir string) (system.Running, error) {
	site, err := system.OpenSite(ctx, dir)
	if err != nil {
		return nil, err
	}
	if err := start(ctx, site, dir); err != nil {
		site.Stop()
		return nil, err
	}
	return site, nil
}

func start(ctx context.Context, site *system.Site, dir string) error {
	if err := system.Apply(ctx, site.Admin, system.Schema); err != nil {
		return err
	}
	at, err := startRedis(ctx, site.Programs, dir)
	if err != nil {
		return err
	}
	site.Door, err = site.PlayAll(ctx, "asynq", map[string]string{system.EnvDSN: site.DSN, envRedis: at})
	return err
}
