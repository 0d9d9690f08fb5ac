package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"castad/bench/castad"
	"castad/events"
	"castad/internal/pipeline"
	"castad/internal/usage"
)

const (
	pollFor        = "20s"
	pollConns      = "64"
	watchers       = 2000
	watchedTasks   = 200
	watchPatience  = 2 * time.Minute
	warmTasks      = 50
	clientsAtOnce  = 64
	settledMoments = 2 * time.Second
)

// reads measures what those do who only look: it has wrk poll the status of tasks, and holds many event streams open
// while tasks go through all stages.
func reads(ctx context.Context, base string) error {
	dir := filepath.Join(base, "reads")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the folder of the stores: %w", err)
	}
	product, err := castad.System{}.Open(ctx, dir)
	if err != nil {
		return fmt.Errorf("start CastAD: %w", err)
	}
	defer product.Stop()
	var id string
	for range warmTasks {
		if id, err = product.Accept(ctx); err != nil {
			return err
		}
	}
	if err := poll(ctx, product, id); err != nil {
		return err
	}
	return watch(ctx, product)
}

// poll has wrk ask for a task's status as fast as it is answered.
func poll(ctx context.Context, product *castad.Product, id string) error {
	before := usage.CPU(product.Processes())["api"]
	wrk := exec.CommandContext(ctx, "wrk", "-t2", "-c"+pollConns, "-d"+pollFor, "--latency", "-H", "Authorization: "+product.Token(), product.API()+"/tasks/"+id)
	out, err := wrk.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		fmt.Println("polling isn't measured: there is no wrk here (apt-get install wrk)")
		return nil
	}
	if err != nil {
		return fmt.Errorf("run wrk: %w\n%s", err, out)
	}
	fmt.Printf("%s\nThe API used %.1f s of CPU and has %.0f MB.\n", out, (usage.CPU(product.Processes())["api"] - before).Seconds(), megabytes(product.Processes())["api"])
	return nil
}

// watch opens event streams on tasks that are held up, lets them go, and checks what each watcher gets.
func watch(ctx context.Context, product *castad.Product) error {
	if err := product.Pause(ctx, true); err != nil {
		return err
	}
	ids := make([]string, watchedTasks)
	for i := range ids {
		var err error
		if ids[i], err = product.Accept(ctx); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	before := megabytes(product.Processes())["api"]
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: watchers}}
	var open, done sync.WaitGroup
	wrong := make(chan error, watchers)
	var delivered atomic.Int64
	slots := make(chan struct{}, clientsAtOnce) // for opening
	for i := range watchers {
		open.Add(1)
		done.Go(func() {
			slots <- struct{}{}
			n, err := follow(ctx, client, product, ids[i%len(ids)], func() { <-slots; open.Done() })
			if err != nil {
				wrong <- err
			}
			delivered.Add(int64(n))
		})
	}
	open.Wait()
	time.Sleep(settledMoments)
	during := megabytes(product.Processes())["api"]
	begun := time.Now()
	if err := product.Pause(ctx, false); err != nil {
		return err
	}
	done.Wait()
	close(wrong)
	for err := range wrong {
		return fmt.Errorf("a watcher didn't get what it should: %w", err)
	}
	after := megabytes(product.Processes())["api"]
	fmt.Printf("%d watchers of %d tasks got each of their events once and in order, %d in all, the last one %.1f s after the first task went on.\n"+
		"The API has %.0f MB without them, %.0f MB with all of them open, %.0f MB at the end: %.0f KB a watcher.\n", watchers, watchedTasks, delivered.Load(),
		time.Since(begun).Seconds(), before, during, after, (max(during, after)-before)*1000/watchers)
	return nil
}

// follow reads a task's events from the first to the last, and complains about any that is missing, repeated or out of
// its order. It returns how many there were. opened is called when the stream has begun, or never will.
func follow(ctx context.Context, client *http.Client, product *castad.Product, id string, opened func()) (int, error) {
	var once sync.Once
	defer once.Do(opened)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, product.API()+"/tasks/"+id+"/events", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", product.Token())
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the stream of %s: %s", id, resp.Status)
	}
	seen := 0
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if number, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			once.Do(opened)
			seen++
			if got, err := strconv.Atoi(number); err != nil || got != seen {
				return seen, fmt.Errorf("the stream of %s: event %q came instead of %d", id, number, seen)
			}
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && last(data) {
			return seen, nil
		}
	}
	return seen, fmt.Errorf("the stream of %s ended after event %d: %w", id, seen, cmp.Or(ctx.Err(), io.ErrUnexpectedEOF))
}

// last reports whether an event says that its task is completed.
func last(data string) bool {
	var fact events.Fact
	err := json.Unmarshal([]byte(data), &fact)
	return err == nil && fact.Stage == events.TaskScope && fact.What == string(pipeline.TaskCompleted)
}
