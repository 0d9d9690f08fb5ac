package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"castad/events"
)

// hub hands live facts to those who watch their tasks. The facts come from the one subscription of the process; what
// a watcher misses, it reads from the rows. The zero value is ready.
type hub struct {
	mu       sync.Mutex
	watchers map[string]map[*watcher]struct{} // by task
	closed   bool
	patrols  bool // compare is running
}

// watcher receives the facts of one task. Its channel is closed when it was too slow, or when the server ends.
type watcher struct {
	facts chan events.Fact
}

const watcherBuffer = 64

// join begins to watch a task. It returns false when the server is being stopped.
func (h *hub) join(taskID string) (*watcher, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, false
	}
	w := &watcher{facts: make(chan events.Fact, watcherBuffer)}
	if h.watchers == nil {
		h.watchers = map[string]map[*watcher]struct{}{}
	}
	if h.watchers[taskID] == nil {
		h.watchers[taskID] = map[*watcher]struct{}{}
	}
	h.watchers[taskID][w] = struct{}{}
	return w, true
}

// leave ends watching. Leaving twice, or after having been closed, is harmless.
func (h *hub) leave(taskID string, w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remove(taskID, w)
}

// remove closes the watcher if it is still there. The caller holds the lock.
func (h *hub) remove(taskID string, w *watcher) {
	if _, ok := h.watchers[taskID][w]; !ok {
		return
	}
	close(w.facts)
	delete(h.watchers[taskID], w)
	if len(h.watchers[taskID]) == 0 {
		delete(h.watchers, taskID)
	}
}

// tell hands a fact on. It never waits: a watcher whose buffer is full is closed, and comes back for the rows.
func (h *hub) tell(fact events.Fact) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers[fact.TaskID] {
		select {
		case w.facts <- fact:
		default:
			h.remove(fact.TaskID, w)
		}
	}
}

// close ends all watching, so that the server can stop.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for taskID, watchers := range h.watchers {
		for w := range watchers {
			h.remove(taskID, w)
		}
	}
}

// watched returns how many watch the task.
func (h *hub) watched(taskID string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.watchers[taskID])
}

// patrol compares what was told with the rows, every so often, for as long as anybody watches: a fact that the broker has
// never told would otherwise be missed until the task's next one. newest asks for the newest numbers of some tasks; it is
// asked for all of them together.
func (h *hub) patrol(every time.Duration, newest func(ctx context.Context, taskIDs []string) (map[string]int64, error)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.patrols {
		return
	}
	h.patrols = true
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for range tick.C {
			tasks := h.tasks()
			if tasks == nil {
				return
			}
			h.compare(every, tasks, newest)
		}
	}()
}

// tasks returns those that are watched, or ends the patrol where there are none.
func (h *hub) tasks() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var ids []string
	for id := range h.watchers {
		ids = append(ids, id)
	}
	h.patrols = ids != nil
	return ids
}

const comparedAtOnce = 500

func (h *hub) compare(within time.Duration, tasks []string, newest func(context.Context, []string) (map[string]int64, error)) {
	ctx, cancel := context.WithTimeout(context.Background(), max(within, time.Second))
	defer cancel()
	for some := range slices.Chunk(tasks, comparedAtOnce) {
		numbers, err := newest(ctx, some)
		if err != nil {
			return // the next round asks again
		}
		for id, seq := range numbers {
			h.tell(events.Fact{TaskID: id, Seq: seq}) // a fact without a word: only its number counts
		}
	}
}
