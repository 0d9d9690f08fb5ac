package sandbox

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// crew is a fixed number of workers on a queue ordered by time: however many jobs wait, they cost no goroutines.
type crew struct {
	mu     sync.Mutex
	queue  dueQueue
	wake   chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

type due struct {
	at time.Time
	do func(context.Context)
}

type dueQueue []due

func (q dueQueue) Len() int           { return len(q) }
func (q dueQueue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q dueQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *dueQueue) Push(x any)        { *q = append(*q, x.(due)) }
func (q *dueQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = due{}
	*q = old[:len(old)-1]
	return last
}

func newCrew(workers int) *crew {
	c := &crew{wake: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	for range workers {
		c.wg.Go(c.work)
	}
	return c
}

// at queues do for a time; what is still queued at close is dropped.
func (c *crew) at(when time.Time, do func(context.Context)) {
	c.mu.Lock()
	heap.Push(&c.queue, due{when, do})
	c.mu.Unlock()
	c.nudge()
}

func (c *crew) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *crew) work() {
	for c.ctx.Err() == nil {
		do, wait := c.next()
		if do != nil {
			c.nudge() // another may be due
			do(c.ctx)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-c.wake:
		case <-c.ctx.Done():
		}
		timer.Stop()
	}
}

// next takes what is due, or says how long nothing will be.
func (c *crew) next() (func(context.Context), time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		return nil, time.Minute
	}
	if wait := time.Until(c.queue[0].at); wait > 0 {
		return nil, wait
	}
	return heap.Pop(&c.queue).(due).do, 0
}

func (c *crew) close() {
	c.cancel()
	c.wg.Wait()
}
