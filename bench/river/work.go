package riverqueue

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"castad/bench/system"
)

const (
	// workers are the jobs at work in a stage's program at once. With 8 and 32 the rounds did no better: the CPU is the limit,
	// more than half of it PostgreSQL's.
	workers = 16

	// connections of each program: one for each worker's transaction, one for the loop that fetches, one for the rest.
	connections = workers + 2

	// fetchCooldown is the time between two fetches, and between two notifications of one client about one queue. 1 ms is
	// the least that River allows, 100 ms its default. Up to 50 ms it made no difference to the throughput.
	fetchCooldown = time.Millisecond

	// fetchPollInterval is how long a job may wait that was inserted within the cooldown after a notification, when no other
	// comes after it. The default is a second. With 20 ms nothing was quicker.
	fetchPollInterval = 50 * time.Millisecond

	stopWithin = 5 * time.Second
)

// task is a job's arguments. Its kind is the same in all stages; the queue says which it is for.
type task struct {
	ID      string          `json:"task_id"`
	Payload json.RawMessage `json:"payload"`
}

func (task) Kind() string { return "task" }

// openPool opens a pool that never shrinks. By default pgx prepares each statement once for a connection.
func openPool(ctx context.Context, dsn string, size int32) (*pgxpool.Pool, error) {
	settings, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the database's address: %w", err)
	}
	settings.MinConns, settings.MaxConns = size, size
	pool, err := pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return pool, nil
}

func newClient(pool *pgxpool.Pool, c river.Config) (*river.Client[pgx.Tx], error) {
	c.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	c.FetchCooldown, c.FetchPollInterval = fetchCooldown, fetchPollInterval
	client, err := river.NewClient(riverpgxv5.New(pool), &c)
	if err != nil {
		return nil, fmt.Errorf("make River's client: %w", err)
	}
	return client, nil
}

func serveAPI(ctx context.Context, env func(string) string, ready func(), _ func(string)) error {
	pool, err := openPool(ctx, env(system.EnvDSN), connections)
	if err != nil {
		return err
	}
	defer pool.Close()
	client, err := newClient(pool, river.Config{}) // it only inserts
	if err != nil {
		return err
	}
	return system.ServeAccept(ctx, env(system.EnvAddr), ready, func(ctx context.Context, payload []byte) (string, error) {
		id := uuid.Must(uuid.NewV7()).String()
		return id, pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "INSERT INTO task (task_id,payload,created_at) VALUES ($1,$2,now())", id, string(payload)); err != nil {
				return fmt.Errorf("keep the task: %w", err)
			}
			_, err := client.InsertTx(ctx, tx, task{ID: id, Payload: payload}, &river.InsertOpts{Queue: system.Stages[0]})
			return err
		})
	})
}

func serveStage(ctx context.Context, env func(string) string, ready func(), completed func(string)) error {
	pool, err := openPool(ctx, env(system.EnvDSN), connections)
	if err != nil {
		return err
	}
	defer pool.Close()
	stage := env(system.EnvStage)
	known := river.NewWorkers()
	river.AddWorker(known, &worker{pool: pool, stage: stage, completed: completed})
	client, err := newClient(pool, river.Config{Workers: known, Queues: map[string]river.QueueConfig{stage: {MaxWorkers: workers}}})
	if err != nil {
		return err
	}
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start River's client: %w", err)
	}
	ready()
	<-ctx.Done()
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	return client.Stop(ending)
}

type worker struct {
	river.WorkerDefaults[task]
	pool      *pgxpool.Pool
	stage     string
	completed func(string)
}

// Work does a stage for a task, in one transaction: the status, the job's completion, and the next stage's job.
func (w *worker) Work(ctx context.Context, job *river.Job[task]) error {
	next := system.Next(w.stage)
	err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO status (task_id,stage,at) VALUES ($1,$2,now())", job.Args.ID, w.stage); err != nil {
			return fmt.Errorf("keep the status: %w", err)
		}
		if _, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job); err != nil {
			return fmt.Errorf("complete the job: %w", err)
		}
		if next == "" {
			return nil
		}
		_, err := river.ClientFromContext[pgx.Tx](ctx).InsertTx(ctx, tx, job.Args, &river.InsertOpts{Queue: next})
		return err
	})
	if err == nil && next == "" {
		w.completed(job.Args.ID)
	}
	return err
}
