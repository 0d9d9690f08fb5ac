package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"castad/bench/system"
	"castad/internal/usage"
)

// Round is one measurement of a system.
type Round struct {
	Tasks      int
	Seconds    float64
	P50, P99   float64            // milliseconds from the submission to the end of the last stage
	CPU        float64            // milliseconds a task, of all its processes
	CPUOf      map[string]float64 // of each process
	Memory     map[string]float64 // MB resident at the end, of each process
	Missing    int                // stage statuses
	Duplicates int
}

// PerSecond is how many tasks came through.
func (r Round) PerSecond() float64 { return float64(r.Tasks) / r.Seconds }

// String is the line that is printed while the benchmark runs.
func (r Round) String() string {
	return fmt.Sprintf("%.0f tasks/s, p50 %.1f ms, p99 %.1f ms, %.2f CPU ms/task, %d missing, %d duplicates %v", r.PerSecond(), r.P50, r.P99, r.CPU, r.Missing, r.Duplicates, r.CPUOf)
}

const quietFor = 3 * time.Second // after the last task, for duplicates that come late

// measure starts a system, warms it up, keeps so many tasks in flight until all have come through, and stops it.
func measure(ctx context.Context, s system.System, dir string, set settings) (Round, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Round{}, fmt.Errorf("make the round's folder: %w", err)
	}
	running, err := s.Start(ctx, dir)
	if err != nil {
		return Round{}, fmt.Errorf("start it: %w", err)
	}
	defer running.Stop()
	f := newFlight(running)
	warm := max(set.flight, set.tasks/10)
	if _, err := f.fly(ctx, warm, set.flight); err != nil {
		return Round{}, fmt.Errorf("warm up: %w", err)
	}
	before, begun := usage.CPU(running.Processes()), time.Now()
	took, err := f.fly(ctx, set.tasks, set.flight)
	seconds := time.Since(begun).Seconds()
	if err != nil {
		return Round{}, err
	}
	after := usage.CPU(running.Processes())
	slices.Sort(took)
	r := Round{Tasks: set.tasks, Seconds: seconds, P50: millis(took[len(took)/2]), P99: millis(took[len(took)*99/100]),
		CPUOf: map[string]float64{}, Memory: megabytes(running.Processes())}
	for name, spent := range after {
		r.CPUOf[name] = float64(int(100*millis(spent-before[name])/float64(set.tasks))) / 100
		r.CPU += millis(spent-before[name]) / float64(set.tasks)
	}
	return r, f.audit(ctx, &r, warm+set.tasks)
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// flight keeps tasks under way and hears of their ends.
type flight struct {
	system.Running
	mu    sync.Mutex
	ended map[string]chan struct{}
	twice int
}

func newFlight(r system.Running) *flight {
	f := &flight{Running: r, ended: map[string]chan struct{}{}}
	go func() {
		for id := range r.Completed() {
			end := f.endOf(id)
			f.mu.Lock()
			select {
			case <-end:
				f.twice++
			default:
				close(end)
			}
			f.mu.Unlock()
		}
	}()
	return f
}

// endOf is closed when the task has come through; it may be asked for before or after.
func (f *flight) endOf(id string) chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	end := f.ended[id]
	if end == nil {
		end = make(chan struct{})
		f.ended[id] = end
	}
	return end
}

const lostAfter = 2 * time.Minute

// fly brings n tasks through, so many at once, and returns each one's time.
func (f *flight) fly(ctx context.Context, n, at int) ([]time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan struct{}, n)
	for range n {
		next <- struct{}{}
	}
	close(next)
	took := make([][]time.Duration, at)
	var crew sync.WaitGroup
	for i := range at {
		crew.Go(func() {
			for range next {
				d, err := f.one(ctx)
				if err != nil {
					cancel(err)
					return
				}
				took[i] = append(took[i], d)
			}
		})
	}
	crew.Wait()
	return slices.Concat(took...), context.Cause(ctx)
}

func (f *flight) one(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	id, err := f.Accept(ctx)
	if err != nil {
		return 0, fmt.Errorf("hand a task in: %w", err)
	}
	timer := time.NewTimer(lostAfter)
	defer timer.Stop()
	select {
	case <-f.endOf(id):
		return time.Since(begun), nil
	case <-timer.C:
		return 0, fmt.Errorf("task %s didn't come through within %s", id, lostAfter)
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// audit compares the system's records with what was handed in.
func (f *flight) audit(ctx context.Context, r *Round, tasks int) error {
	time.Sleep(quietFor)
	kept, err := f.Audit(ctx)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	want := tasks * len(system.Stages)
	r.Missing = max(0, want-kept.Statuses) + max(0, tasks-kept.Completed) + max(0, tasks-kept.Accepted)
	r.Duplicates = max(0, kept.Statuses-want) + f.twice
	return nil
}

// keep writes all measurements as JSON, if a file was named.
func keep(path string, measured map[string][]Round) error {
	if path == "" {
		return nil
	}
	raw, err := json.MarshalIndent(measured, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, raw, 0o644)
}
