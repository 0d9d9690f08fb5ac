package ceiling

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"castad/bench/system"
)

const window = 500

type row struct {
	id      int64
	stage   string
	task    string
	payload []byte
}

// serveRelay publishes the outbox in windows and deletes what the broker has.
func serveRelay(ctx context.Context, env func(string) string, ready func(), _ func(string)) error {
	l, err := open(ctx, env)
	if err != nil {
		return err
	}
	defer l.close()
	woken := make(chan struct{}, 1)
	_, err = l.nc.Subscribe(wake, func(*nats.Msg) {
		select {
		case woken <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return fmt.Errorf("hear of new rows: %w", err)
	}
	ready()
	for ctx.Err() == nil {
		n, err := l.relay(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		select {
		case <-woken:
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
	return nil
}

// relay publishes one window and returns how many rows it had.
func (l *line) relay(ctx context.Context) (int, error) {
	rows, err := l.unsent(ctx)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	pending := make([]jetstream.PubAckFuture, len(rows))
	ids := make([]any, len(rows))
	for i, r := range rows {
		ids[i] = r.id
		msg := &nats.Msg{Subject: subject(r.stage), Data: r.payload, Header: nats.Header{taskKey: {r.task}}}
		if pending[i], err = l.js.PublishMsgAsync(msg, jetstream.WithMsgID(fmt.Sprint(r.id))); err != nil {
			return 0, fmt.Errorf("publish: %w", err)
		}
	}
	if err := kept(ctx, pending); err != nil {
		return 0, err
	}
	if _, err := l.db.ExecContext(ctx, "DELETE FROM `outbox` WHERE `id` IN ("+system.Rows("?", len(ids))+")", ids...); err != nil {
		return 0, fmt.Errorf("delete what was published: %w", err)
	}
	return len(rows), nil
}

func (l *line) unsent(ctx context.Context) ([]row, error) {
	found, err := l.db.QueryContext(ctx, "SELECT `id`,`stage`,`task_id`,`payload` FROM `outbox` ORDER BY `id` LIMIT ?", window)
	if err != nil {
		return nil, fmt.Errorf("read the outbox: %w", err)
	}
	defer found.Close()
	var rows []row
	for found.Next() {
		var r row
		if err := found.Scan(&r.id, &r.stage, &r.task, &r.payload); err != nil {
			return nil, fmt.Errorf("read the outbox: %w", err)
		}
		rows = append(rows, r)
	}
	return rows, found.Err()
}
