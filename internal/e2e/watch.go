package e2e

import (
	"bufio"
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Watch follows tasks by Server-Sent Events as a browser would: it connects again where it was cut off, after the last
// event that it saw.
type Watch struct {
	p    *Product
	ctx  context.Context
	stop context.CancelFunc
	crew sync.WaitGroup

	mu   sync.Mutex
	seen map[string][]int64 // the events' numbers by task, as they came
}

// Watch begins with no tasks.
func (p *Product) Watch() *Watch {
	w := &Watch{p: p, seen: map[string][]int64{}}
	w.ctx, w.stop = context.WithCancel(context.Background())
	return w
}

// Close ends all watching.
func (w *Watch) Close() { w.stop(); w.crew.Wait() }

const watchAgain = 100 * time.Millisecond

// Task begins to follow a task.
func (w *Watch) Task(id string) {
	w.mu.Lock()
	w.seen[id] = nil
	w.mu.Unlock()
	w.crew.Go(func() {
		for w.ctx.Err() == nil {
			w.follow(id)
			select {
			case <-w.ctx.Done():
			case <-time.After(watchAgain):
			}
		}
	})
}

// follow reads one event stream to its end.
func (w *Watch) follow(id string) {
	req, err := http.NewRequestWithContext(w.ctx, http.MethodGet, w.p.api()+"/tasks/"+id+"/events", nil)
	if err != nil {
		return
	}
	req.Header.Set("Authorization", "Bearer "+w.p.token)
	if seen := w.Seen(id); len(seen) > 0 {
		req.Header.Set("Last-Event-ID", strconv.FormatInt(seen[len(seen)-1], 10))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); resp.StatusCode == http.StatusOK && lines.Scan(); {
		number, ok := strings.CutPrefix(lines.Text(), "id: ")
		if seq, err := strconv.ParseInt(number, 10, 64); ok && err == nil {
			w.mu.Lock()
			w.seen[id] = append(w.seen[id], seq)
			w.mu.Unlock()
		}
	}
}

// Tasks returns the tasks that are followed.
func (w *Watch) Tasks() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := make([]string, 0, len(w.seen))
	for id := range w.seen {
		ids = append(ids, id)
	}
	return ids
}

// Seen returns the numbers of the events of a task, as they came.
func (w *Watch) Seen(id string) []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[id]
}
