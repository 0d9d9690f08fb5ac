package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// service is one thing that dev keeps running.
type service struct {
	name  string
	where string                                     // its address, for people
	start func(ctx context.Context) (running, error) // again after every end
	ready func(ctx context.Context) error            // nil when it can be used
}

// keeper keeps a service running.
type keeper struct {
	service
	out   *console
	ctx   context.Context // of the keeper's own loop; ended by stop
	stop  context.CancelFunc
	ended chan struct{}

	mu  sync.Mutex
	now running
}

const (
	firstPause   = time.Second
	longestPause = 10 * time.Second
	settled      = 30 * time.Second // who lived this long begins with the first pause again
	slowReady    = 10 * time.Second // from when on somebody wants to know why
	readyPoll    = 50 * time.Millisecond
	firstReady   = 90 * time.Second // on a busy machine; a process that ends by itself is noticed at once
)

func newKeeper(ctx context.Context, s service, out *console) *keeper {
	ctx, stop := context.WithCancel(ctx)
	return &keeper{service: s, out: out, ctx: ctx, stop: stop, ended: make(chan struct{})}
}

// first starts the service and returns when it is ready, or with the reason why it won't be. From then on it is started
// again whenever it ends, until halt. The end of ctx ends the waiting only.
func (k *keeper) first(ctx context.Context) error {
	first := make(chan error, 1)
	go func() {
		defer close(k.ended)
		k.loop(k.ctx, first)
	}()
	select {
	case err := <-first:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *keeper) loop(ctx context.Context, first chan<- error) {
	begun := time.Now()
	err := k.once(ctx, firstReady, func(took time.Duration) {
		k.out.up(k.name, k.where, took)
		first <- nil
		first = nil
	})
	if first != nil {
		first <- err
		return
	}
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, longestPause) {
		if time.Since(begun) > settled {
			pause = firstPause
		}
		k.out.note(k.name, fmt.Sprintf("%v; again in %s", err, pause))
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		begun = time.Now()
		err = k.once(ctx, 0, func(took time.Duration) { k.out.up(k.name, "again", took) })
	}
}

// once starts the service, calls up when it is ready, and returns when it has ended. patience bounds the time until it
// is ready; 0 is none.
func (k *keeper) once(ctx context.Context, patience time.Duration, up func(took time.Duration)) error {
	begun := time.Now()
	r, err := k.start(ctx)
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.now = r
	k.mu.Unlock()
	if err := k.await(ctx, r, patience); err != nil {
		r.Stop()
		return err
	}
	up(time.Since(begun))
	select {
	case <-r.Ended():
		return fmt.Errorf("it ended: %s", r.State())
	case <-ctx.Done():
		r.Stop()
		return ctx.Err()
	}
}

// await asks until the service is ready.
func (k *keeper) await(ctx context.Context, r running, patience time.Duration) error {
	var late <-chan time.Time
	if patience > 0 {
		late = time.After(patience)
	}
	slow := time.Now().Add(slowReady)
	for {
		err := k.ready(ctx)
		if err == nil {
			return nil
		}
		if time.Now().After(slow) {
			k.out.note(k.name, fmt.Sprintf("isn't ready yet: %v", err))
			slow = time.Now().Add(firstReady)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.Ended():
			return fmt.Errorf("it ended at its start: %s", r.State())
		case <-late:
			return errors.Join(fmt.Errorf("it isn't ready after %s", patience), err)
		case <-time.After(readyPoll):
		}
	}
}

// halt ends the service, and returns when it has ended.
func (k *keeper) halt() {
	k.stop()
	<-k.ended
}

// kill ends the service's process at once; call it only while halting.
func (k *keeper) kill() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.now != nil {
		kill(k.now)
	}
}
