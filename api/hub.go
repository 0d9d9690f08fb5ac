package main

import (
	"sync"

	"castad/events"
)

// hub hands live facts to those who watch their tasks. The facts come from the one subscription of the process; what
// a watcher misses, it reads from the rows. The zero value is ready.
type hub struct {
	mu       sync.Mutex
	watchers map[string]map[*watcher]struct{} // by task
	closed   bool
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
