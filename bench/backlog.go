package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"castad/bench/castad"
	"castad/bench/system"
	"castad/internal/usage"
)

const (
	backlogWindow  = 30 * time.Second // at most, for one figure
	backlogClients = 64
)

// backlogs measures CastAD while so many tasks are queued: how many it brings through in a second, and what its programs
// need. All tasks wait at the first stage before it begins.
func backlogs(ctx context.Context, base, sizes string) error {
	fmt.Print("| queued | accepted a second | tasks a second (stages done / 6) | CPU ms a task | memory, MB |\n|---|---|---|---|---|\n")
	for _, size := range strings.Split(sizes, ",") {
		n, err := strconv.Atoi(size)
		if err != nil {
			return fmt.Errorf("%q isn't a number of tasks", size)
		}
		dir := filepath.Join(base, "queued-"+size)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make the folder of the stores: %w", err)
		}
		if err := backlog(ctx, dir, n); err != nil {
			return fmt.Errorf("with %d queued: %w", n, err)
		}
		os.RemoveAll(dir)
	}
	return nil
}

func backlog(ctx context.Context, dir string, n int) error {
	product, err := castad.System{}.Open(ctx, dir)
	if err != nil {
		return fmt.Errorf("start CastAD: %w", err)
	}
	defer product.Stop()
	if err := product.Pause(ctx, true); err != nil {
		return err
	}
	begun := time.Now()
	if err := fill(ctx, product, n); err != nil {
		return err
	}
	accepted := float64(n) / time.Since(begun).Seconds()
	before, stages := usage.CPU(product.Processes()), product.Stages()
	if err := product.Pause(ctx, false); err != nil {
		return err
	}
	begun = time.Now()
	for product.Stages()-stages < int64(n*len(system.Stages)) && time.Since(begun) < backlogWindow && ctx.Err() == nil {
		time.Sleep(50 * time.Millisecond)
	}
	tasks := float64(product.Stages()-stages) / float64(len(system.Stages))
	seconds, spent := time.Since(begun).Seconds(), 0.0
	for name, used := range usage.CPU(product.Processes()) {
		spent += millis(used - before[name])
	}
	var sizes []string
	for name, mb := range megabytes(product.Processes()) {
		sizes = append(sizes, fmt.Sprintf("%s %.0f", name, mb))
	}
	slices.Sort(sizes)
	fmt.Printf("| %d | %.0f | %.0f | %.1f | %s |\n", n, accepted, tasks/seconds, spent/tasks, strings.Join(sizes, ", "))
	return nil
}

// fill hands n tasks in.
func fill(ctx context.Context, product *castad.Product, n int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan struct{})
	var crew sync.WaitGroup
	for range backlogClients {
		crew.Go(func() {
			for range next {
				if _, err := product.Accept(ctx); err != nil {
					cancel(err)
				}
			}
		})
	}
	for range n {
		next <- struct{}{}
	}
	close(next)
	crew.Wait()
	return context.Cause(ctx)
}
