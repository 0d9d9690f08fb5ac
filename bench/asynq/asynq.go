// Package asynqueue carries tasks through six durable stages with Asynq, a Go library for background tasks on Redis, the
// way that its documentation recommends: a queue and a server for each stage, and a client that hands over. The statuses
// are in MariaDB. A status and its hand-over are two steps, with no outbox between them; and Redis, with its usual
// durable setting, may lose the hand-overs of the last second when the machine loses power.
package asynqueue

import (
	"context"
	"database/sql"
	"fmt"

	"castad/bench/system"
	"castad/internal/servers"
)

// System is Asynq.
type System struct{}

// Roles are its programs.
var Roles = map[string]system.Role{"asynq/api": serveAPI, "asynq/stage": serveStage}

const (
	envDSN   = "CASTAD_BENCH_DSN"
	envRedis = "CASTAD_BENCH_REDIS"
	envStage = "CASTAD_BENCH_STAGE"
	envAddr  = "CASTAD_BENCH_ADDR"
)

type running struct {
	*system.Programs
	database *servers.MariaDB
	pool     *sql.DB
	url      string
	payload  []byte
}

// Start starts MariaDB, Redis, six stages, and the accepting program.
func (System) Start(ctx context.Context, dir string) (system.Running, error) {
	database, dsn, err := system.StartMariaDB(ctx, dir)
	if err != nil {
		return nil, err
	}
	r := &running{Programs: system.NewPrograms(dir), database: database, payload: system.Payload()}
	if err := r.start(ctx, dir, dsn); err != nil {
		r.Stop()
		return nil, err
	}
	return r, nil
}

func (r *running) start(ctx context.Context, dir, dsn string) (err error) {
	if r.pool, err = system.OpenAdmin(r.database); err != nil {
		return err
	}
	if err := system.Apply(ctx, r.pool, system.Schema); err != nil {
		return err
	}
	at, err := startRedis(ctx, r.Programs, dir)
	if err != nil {
		return err
	}
	port, _, err := servers.FreePort(0)
	if err != nil {
		return fmt.Errorf("find a port for the accepting program: %w", err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	r.url = "http://" + addr + "/tasks"
	env := map[string]string{envDSN: dsn, envRedis: at, envAddr: addr}
	for _, stage := range system.Stages {
		env[envStage] = stage
		if err := r.Play(ctx, stage, "asynq/stage", env); err != nil {
			return err
		}
	}
	return r.Play(ctx, "api", "asynq/api", env)
}

func (r *running) Accept(ctx context.Context) (string, error) {
	return system.Post(ctx, r.url, r.payload, nil)
}

func (r *running) Processes() map[string]int {
	all := r.Programs.Processes()
	all["database"] = r.database.Process()
	return all
}

func (r *running) Audit(ctx context.Context) (system.Audit, error) {
	return system.AuditSchema(ctx, r.pool)
}

func (r *running) Stop() {
	r.Programs.Stop()
	if r.pool != nil {
		r.pool.Close()
	}
	r.database.Stop()
}
