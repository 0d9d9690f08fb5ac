// Package ceiling is the least that can carry tasks through six durable stages on NATS and MariaDB: no claims, no leases,
// no retries, no history, nothing that pays once. What waits is committed together. With an outbox, what is handed over
// is committed with the status, and one relay publishes it; without, it is published before the message is acknowledged.
package ceiling

import (
	"context"
	"slices"

	"castad/bench/system"
)

// System is the ceiling.
type System struct{ Outbox bool }

// Roles are its programs.
var Roles = map[string]system.Role{"ceiling/api": serveAPI, "ceiling/stage": serveStage, "ceiling/relay": serveRelay}

const (
	envNATS   = "CASTAD_BENCH_NATS"
	envOutbox = "CASTAD_BENCH_OUTBOX"

	together = 256 // committed at once, at most
)

const outboxTable = "CREATE TABLE `outbox` (`id` bigint NOT NULL AUTO_INCREMENT, `stage` varchar(16) CHARACTER SET ascii NOT NULL," +
	" `task_id` char(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, `payload` varchar(4096) NOT NULL, PRIMARY KEY (`id`)) ENGINE=InnoDB"

// Start starts MariaDB, NATS, the accepting program, six stages, and with an outbox the relay.
func (s System) Start(ctx context.Context, dir string) (system.Running, error) {
	site, err := system.OpenSite(ctx, dir)
	if err != nil {
		return nil, err
	}
	if err := s.start(ctx, site, dir); err != nil {
		site.Stop()
		return nil, err
	}
	return site, nil
}

func (s System) start(ctx context.Context, site *system.Site, dir string) error {
	if err := system.Apply(ctx, site.Admin, slices.Concat(system.Schema, []string{outboxTable})); err != nil {
		return err
	}
	at, err := system.StartBroker(ctx, site.Programs, dir)
	if err != nil {
		return err
	}
	env := map[string]string{system.EnvDSN: site.DSN, envNATS: at}
	if s.Outbox {
		env[envOutbox] = "yes"
		if err := site.Play(ctx, "relay", "ceiling/relay", env); err != nil {
			return err
		}
	}
	site.Door, err = site.PlayAll(ctx, "ceiling", env)
	return err
}
