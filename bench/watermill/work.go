package watermill

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/ThreeDotsLabs/watermill"
	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"castad/bench/system"
)

const (
	// connections to the database, of each program. Eight did no better.
	connections = 16
	// subscribers of each stage. One has one message in hand until it is acknowledged, so this is how many a stage works on
	// at once. The broker picks one at random, busy or not, so there should be more than a stage has tasks: 128 in flight
	// are 21 for each. Of 16, 24, 32, and 64, the best rounds were with 32.
	subscribers = 32
)

var logger = watermill.NewStdLogger(false, false) // errors, and what starts and stops; nothing for each message

// line is what connects a program to the database and the broker.
type line struct {
	db        *sql.DB
	publisher *wmnats.Publisher
}

func open(env func(string) string) (*line, error) {
	db, err := system.OpenMariaDB(env(system.EnvDSN), connections)
	if err != nil {
		return nil, err
	}
	publisher, err := newPublisher(env(envNATS))
	if err != nil {
		db.Close()
		return nil, err
	}
	return &line{db: db, publisher: publisher}, nil
}

func (l *line) close() {
	l.publisher.Close()
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
		if err := l.publisher.Publish(topic(system.Stages[0]), message.NewMessage(id, payload)); err != nil {
			return "", fmt.Errorf("queue the task: %w", err)
		}
		return id, nil
	})
}

func serveStage(ctx context.Context, env func(string) string, ready func(), completed func(string)) error {
	l, err := open(env)
	if err != nil {
		return err
	}
	defer l.close()
	stage := env(system.EnvStage)
	subscriber, err := newSubscriber(env(envNATS), stage)
	if err != nil {
		return err
	}
	defer subscriber.Close()
	router, err := message.NewRouter(message.RouterConfig{}, logger)
	if err != nil {
		return fmt.Errorf("make the router: %w", err)
	}
	keep := func(msg *message.Message) error {
		_, err := l.db.ExecContext(msg.Context(), "INSERT INTO `status` (`task_id`,`stage`,`at`) VALUES (?,?,NOW(6))", msg.UUID, stage)
		return err
	}
	if next := system.Next(stage); next != "" {
		// The router publishes what a handler returns, waits until the broker has it, and acknowledges what came after that.
		router.AddHandler(stage, topic(stage), subscriber, topic(next), l.publisher, func(msg *message.Message) ([]*message.Message, error) {
			return message.Messages{msg}, keep(msg)
		})
	} else {
		router.AddConsumerHandler(stage, topic(stage), subscriber, func(msg *message.Message) error {
			if err := keep(msg); err != nil {
				return err
			}
			completed(msg.UUID)
			return nil
		})
	}
	go func() {
		select {
		case <-router.Running():
			ready()
		case <-ctx.Done():
		}
	}()
	return router.Run(ctx)
}

// newPublisher takes pkg/nats, which Watermill recommends for production: it calls its pkg/jetstream experimental, and
// that one's subscriber has one message in hand whatever the number of its router's goroutines. A message is its payload
// and one header, with the default marshaler. TrackMsgId is off: all topics are in one stream, and would share the ids.
func newPublisher(at string) (*wmnats.Publisher, error) {
	publisher, err := wmnats.NewPublisher(wmnats.PublisherConfig{URL: at}, logger)
	if err != nil {
		return nil, fmt.Errorf("make the publisher: %w", err)
	}
	return publisher, nil
}

func newSubscriber(at, stage string) (*wmnats.Subscriber, error) {
	subscriber, err := wmnats.NewSubscriber(wmnats.SubscriberConfig{
		URL:              at,
		QueueGroupPrefix: group,
		SubscribersCount: subscribers,
		JetStream: wmnats.JetStreamConfig{
			DurablePrefix: stage,
			// Otherwise nats.go acknowledges whatever the callback of a subscription returns from: what Watermill discards when
			// it stops or waits in vain, too.
			SubscribeOptions: []nats.SubOpt{nats.ManualAck()},
			// An acknowledgement isn't itself acknowledged. In Watermill's own benchmark this doubles what subscribers take; an
			// acknowledgement that is lost means that the message comes again.
			AckAsync: true,
		},
	}, logger)
	if err != nil {
		return nil, fmt.Errorf("make the subscriber: %w", err)
	}
	return subscriber, nil
}
