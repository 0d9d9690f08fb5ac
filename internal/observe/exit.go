package observe

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Run is the main of every program: it calls serve with a context that ends at SIGINT or SIGTERM, and returns the exit
// code: 0 for an end that was asked for, 1 for a failure, which it prints.
func Run(serve func(ctx context.Context, getenv func(string) string, stderr io.Writer) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer SpareCollector()()
	if err := serve(ctx, os.Getenv, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
