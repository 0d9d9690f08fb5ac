package main

import (
	"context"
	"io"

	"castad/internal/observe"
	"castad/internal/servers"
)

// brokerCommand is the broker's process.
type brokerCommand struct {
	Config  string `required:""`
	State   string `required:"" help:"dev's state folder"`
	Port    int    `required:""`
	Monitor int    `required:""`
}

func (c brokerCommand) serve(ctx context.Context, stderr io.Writer) error {
	log, err := observe.Logger(stderr, "broker", "info")
	if err != nil {
		return err
	}
	at := state(c.State)
	secret, err := at.secrets()
	if err != nil {
		return err
	}
	broker, err := servers.StartNATS(servers.NATSSettings{Config: c.Config, Dir: at.path("nats"), Port: c.Port, MonitorPort: c.Monitor,
		Password: secret.NATS, SysPassword: secret.NATSSys})
	if err != nil {
		return err
	}
	log.Info().Str("url", broker.URL()).Msg("program started")
	<-ctx.Done()
	broker.Stop()
	log.Info().Msg("program ended")
	return nil
}

// redisCommand is the process of the embedded Redis.
type redisCommand struct {
	Addr string `required:""`
}

func (c redisCommand) serve(ctx context.Context, stderr io.Writer) error {
	log, err := observe.Logger(stderr, "redis", "info")
	if err != nil {
		return err
	}
	redis, err := servers.StartRedis(c.Addr)
	if err != nil {
		return err
	}
	log.Info().Str("addr", redis.Addr()).Msg("program started")
	<-ctx.Done()
	redis.Close()
	log.Info().Msg("program ended")
	return nil
}
