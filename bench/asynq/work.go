package asynqueue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"castad/bench/system"
)

const (
	// concurrency is how many handlers a stage's program has at work, and how many connections to the database each program
	// has. With 8 and 32 the rounds did no better: the CPU is the limit, not the handlers.
	concurrency = 16

	// taskCheckInterval is how often a server asks Redis for work when its queue was empty: Asynq polls, it doesn't block on
	// a queue. The default of a second would be the latency of every stage. Of 1, 2, and 5 ms none changed the throughput; a
	// lone task took 13, 16, and 26 ms, with 1.2, 1.0, and 0.7 of two CPUs busy, mostly with polling.
	taskCheckInterval = 2 * time.Millisecond

	taskType = "bench:task"
)

// line is what connects a program to the database and to Redis.
type line struct {
	db     *sql.DB
	client *asynq.Client
}

func open(env func(string) string) (*line, error) {
	db, err := system.OpenMariaDB(env(system.EnvDSN), concurrency)
	if err != nil {
		return nil, err
	}
	return &line{db: db, client: asynq.NewClient(redisAt(env))}, nil
}

// redisAt has a connection for each that may want one at once, and one for the loop that fetches.
func redisAt(env func(string) string) asynq.RedisClientOpt {
	return asynq.RedisClientOpt{Addr: env(envRedis), PoolSize: concurrency + 1}
}

func (l *line) close() {
	l.client.Close()
	l.db.Close()
}

func serveAPI(ctx context.Context, env func(string) string, ready func(), _ func(string)) error {
	l, err := open(env)
	if err != nil {
		return err
	}
	defer l.close()
	return system.ServeAccept(ctx, env(system.EnvAddr), ready, func(ctx context.Context, payload []byte) (string, error) {
		id := uuid.Must(uuid.NewV7()).String()
		_, err := l.db.ExecContext(ctx, "INSERT INTO `task` (`task_id`,`payload`,`created_at`) VALUES (?,?,NOW(6))", id, payload)
		if err != nil {
			return "", fmt.Errorf("keep the task: %w", err)
		}
		return id, l.enqueue(ctx, system.Stages[0], id, payload)
	})
}

func serveStage(ctx context.Context, env func(string) string, ready func(), completed func(string)) error {
	l, err := open(env)
	if err != nil {
		return err
	}
	defer l.close()
	stage := env(system.EnvStage)
	server := asynq.NewServer(redisAt(env), asynq.Config{
		Concurrency:       concurrency,
		Queues:            map[string]int{stage: 1},
		TaskCheckInterval: taskCheckInterval,
		LogLevel:          asynq.WarnLevel,
	})
	err = server.Start(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		return l.step(ctx, stage, task, completed)
	}))
	if err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	ready()
	<-ctx.Done()
	server.Shutdown()
	return nil
}

// step does a stage for a task: the durable status, and the hand-over. Asynq acknowledges what it returns from with nil.
func (l *line) step(ctx context.Context, stage string, task *asynq.Task, completed func(string)) error {
	id, _ := asynq.GetTaskID(ctx)
	_, err := l.db.ExecContext(ctx, "INSERT INTO `status` (`task_id`,`stage`,`at`) VALUES (?,?,NOW(6))", id, stage)
	if err != nil {
		return fmt.Errorf("keep the status: %w", err)
	}
	if next := system.Next(stage); next != "" {
		return l.enqueue(ctx, next, id, task.Payload())
	}
	completed(id)
	return nil
}

// enqueue hands a task to a stage. The task's own id makes the second time harmless while the first is still there.
func (l *line) enqueue(ctx context.Context, stage, id string, payload []byte) error {
	_, err := l.client.EnqueueContext(ctx, asynq.NewTask(taskType, payload), asynq.Queue(stage), asynq.TaskID(id))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return fmt.Errorf("hand the task to %s: %w", stage, err)
	}
	return nil
}
