// Package group does together what comes at the same moment. While something is being done, what comes waits, and is
// done all at once when that has ended. There is no timer: what comes alone is done at once. Start with Group.
package group

import (
	"slices"
	"sync"
)

// Group hands items to Do, in groups. Its fields are set before its first use. It is safe for concurrent use.
type Group[T comparable] struct {
	Lanes int // groups that are done at once, at most
	Most  int // items of one group, at most
	// Fits reports whether an item may be in a group with those; an item that may not waits for the next. nil: any may.
	Fits func(items []T, item T) bool
	// Do does a group. Items tell their owners themselves how it ended.
	Do func(items []T)

	mu      sync.Mutex
	waiting []T
	lanes   int // under way
}

// Add has an item done soon, and doesn't wait for it.
func (g *Group[T]) Add(item T) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, item)
	if g.lanes < g.Lanes {
		g.lanes++
		go g.run()
	}
}

// Remove takes an item back, and reports whether it hasn't been begun.
func (g *Group[T]) Remove(item T) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, item)
	if i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	}
	return i >= 0
}

// run is a lane: one group after the other until nothing waits.
func (g *Group[T]) run() {
	for items := g.take(); items != nil; items = g.take() {
		g.Do(items)
	}
}

// take returns the next group, or ends the lane.
func (g *Group[T]) take() []T {
	g.mu.Lock()
	defer g.mu.Unlock()
	var items, later []T
	for _, item := range g.waiting {
		if len(items) == g.Most || g.Fits != nil && !g.Fits(items, item) {
			later = append(later, item)
		} else {
			items = append(items, item)
		}
	}
	g.waiting = later
	if items == nil {
		g.lanes--
	}
	return items
}
