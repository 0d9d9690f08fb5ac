// Command dev runs the whole product on one machine: a broker, a database, Redis, the sandbox and all programs, each as a
// process of its own that may be killed and comes back. It needs no account, no key and nothing installed.
//
// It is for development: passwords lie in its state folder, and one command ends everything. Start with run.go.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"castad/internal/observe"
)

// commands is the command line. Broker and redis are what dev starts of itself.
type commands struct {
	Run    runCommand    `cmd:"" default:"withargs" help:"Run everything until Ctrl-C."`
	Broker brokerCommand `cmd:"" hidden:""`
	Redis  redisCommand  `cmd:"" hidden:""`
}

func main() {
	var cli commands
	parsed := kong.Parse(&cli, kong.Name("dev"), kong.Description("CastAD on one machine, for development."))
	switch parsed.Command() {
	case "broker":
		os.Exit(observe.Run(func(ctx context.Context, _ func(string) string, stderr io.Writer) error {
			return cli.Broker.serve(ctx, stderr)
		}))
	case "redis":
		os.Exit(observe.Run(func(ctx context.Context, _ func(string) string, stderr io.Writer) error {
			return cli.Redis.serve(ctx, stderr)
		}))
	}
	stop, kill := signals()
	if err := run(stop, kill, cli.Run, os.Environ(), newConsole(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, "dev:", err)
		os.Exit(1)
	}
}

// signals returns a context that ends at the first Ctrl-C (or SIGTERM, or when the terminal is closed), and one that
// ends at the second.
func signals() (stop, kill context.Context) {
	stop, stopped := context.WithCancel(context.Background())
	kill, killed := context.WithCancel(context.Background())
	told := make(chan os.Signal, 2)
	signal.Notify(told, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-told
		stopped()
		<-told
		killed()
	}()
	return stop, kill
}
