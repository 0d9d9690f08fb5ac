// Package ceiling is the least that can carry tasks through six durable stages on NATS and MariaDB: no claims, no leases,
// no retries, no history, nothing that pays once. What waits is committed together. With an outbox, what is handed over
// is committed with the status, and one relay publishes it; without, it is published before the message is acknowledged.
package ceiling

import (
	"context"
	"database/sql"
	"fmt"

	"castad/bench/system"
	"castad/internal/servers"
)

// System is the ceiling.
type System struct{ Outbox bool }

// Roles are its programs.
var Roles = map[string]system.Role{"ceiling/api": serveAPI, "ceiling/stage": serveStage, "ceiling/relay": serveRelay}

const (
	envDSN    = "CASTAD_BENCH_DSN"
	envNATS   = "CASTAD_BENCH_NATS"
	envStage  = "CASTAD_BENCH_STAGE"
	envAddr   = "CASTAD_BENCH_ADDR"
	envOutbox = "CASTAD_BENCH_OUTBOX"

	together = 256 // committed at once, at most
)

const outboxTable = "CREATE TABLE `outbox` (`id` bigint NOT NULL AUTO_INCREMENT, `stage` varchar(16) CHARACTER SET ascii NOT NULL," +
	" `task_id` char(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, `payload` varchar(4096) NOT NULL, PRIMARY KEY (`id`)) ENGINE=InnoDB"

type running struct {
	*system.Programs
	database *servers.MariaDB
	pool     *sql.DB
	url      string
	payload  []byte
}

// Start starts MariaDB, NATS, the accepting program, six stages, and with an outbox the relay.
func (s System) Start(ctx context.Context, dir string) (system.Running, error) {
	database, dsn, err := system.StartMariaDB(ctx, dir)
	if err != nil {
		return nil, err
	}
	r := &running{Programs: system.NewPrograms(dir), database: database, payload: system.Payload()}
	if err := s.start(ctx, r, dir, dsn); err != nil {
		r.Stop()
		return nil, err
	}
	return r, nil
}

func (s System) start(ctx context.Context, r *running, dir, dsn string) (err error) {
	if r.pool, err = system.OpenAdmin(r.database); err != nil {
		return err
	}
	if err := system.Apply(ctx, r.pool, append(system.Schema, outboxTable)); err != nil {
		return err
	}
	at, err := system.StartBroker(ctx, r.Programs, dir)
	if err != nil {
		return err
	}
	port, _, err := servers.FreePort(0)
	if err != nil {
		return err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	r.url = "http://" + addr + "/tasks"
	env := map[string]string{envDSN: dsn, envNATS: at, envAddr: addr}
	if s.Outbox {
		env[envOutbox] = "yes"
		if err := r.Play(ctx, "relay", "ceiling/relay", env); err != nil {
			return err
		}
	}
	for _, stage := range system.Stages {
		env[envStage] = stage
		if err := r.Play(ctx, stage, "ceiling/stage", env); err != nil {
			return err
		}
	}
	return r.Play(ctx, "api", "ceiling/api", env)
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
