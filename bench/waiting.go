package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"castad/bench/castad"
	"castad/internal/usage"
)

const (
	providerTime = time.Minute      // that each task waits for
	waitingTime  = 20 * time.Second // of it that is measured, while all of them wait
)

// waiting measures what CastAD needs while so many tasks wait for a provider, and that all of them go on after it.
func waiting(ctx context.Context, base string, n int) error {
	dir := filepath.Join(base, "waiting")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the folder of the stores: %w", err)
	}
	product, err := castad.System{Rest: providerTime}.Open(ctx, dir)
	if err != nil {
		return fmt.Errorf("start CastAD: %w", err)
	}
	defer product.Stop()
	begun := time.Now()
	if err := fill(ctx, product, n); err != nil {
		return err
	}
	if err := until(ctx, product.Waiting, n); err != nil {
		return err
	}
	all := time.Since(begun)
	before, memory := usage.CPU(product.Processes()), megabytes(product.Processes())
	time.Sleep(waitingTime)
	if still, err := product.Waiting(ctx); err != nil || still < n {
		return fmt.Errorf("of %d tasks only %d waited to the end: it took %s until all of them did (%w)", n, still, all, err)
	}
	after := usage.CPU(product.Processes())
	var rows []string
	sum := 0.0
	for name, used := range after {
		core := 100 * (used - before[name]).Seconds() / waitingTime.Seconds()
		sum += core
		rows = append(rows, fmt.Sprintf("| %s | %.0f | %.1f |\n", name, memory[name], core))
	}
	slices.Sort(rows)
	fmt.Printf("%d tasks wait.\n| program | memory, MB | of one core, %% |\n|---|---|---|\n%s| all | | %.1f |\n", n, strings.Join(rows, ""), sum)
	if err := until(ctx, product.Ended, n); err != nil {
		return err
	}
	audit, err := product.Audit(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("All went on after %s of waiting: %d of %d completed %.0f s after the first was handed in.\n", providerTime, audit.Completed, n, time.Since(begun).Seconds())
	return nil
}

// until asks until the answer is n.
func until(ctx context.Context, ask func(context.Context) (int, error), n int) error {
	for {
		got, err := ask(ctx)
		if err != nil || got == n {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}
