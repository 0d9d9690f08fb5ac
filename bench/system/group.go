package system

import (
	"context"

	"castad/internal/group"
)

// Group commits what comes together in one go, as CastAD's own store does, and tells each how it went.
type Group[T any] struct{ group group.Group[*waiting[T]] }

type waiting[T any] struct {
	item T
	done chan error
}

// NewGroup returns a group that writes at most so many items at once.
func NewGroup[T any](ctx context.Context, most int, write func(ctx context.Context, batch []T) error) *Group[T] {
	return &Group[T]{group: group.Group[*waiting[T]]{Lanes: 1, Most: most, Do: func(batch []*waiting[T]) {
		items := make([]T, len(batch))
		for i, w := range batch {
			items[i] = w.item
		}
		err := write(ctx, items)
		for _, w := range batch {
			w.done <- err
		}
	}}}
}

// Do hands an item in and returns when the batch that it was in is written.
func (g *Group[T]) Do(ctx context.Context, item T) error {
	w := &waiting[T]{item: item, done: make(chan error, 1)}
	g.group.Add(w)
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Take waits for one item and returns all that are there, at most so many; nil when ctx has ended.
func Take[T any](ctx context.Context, from <-chan T, most int) []T {
	var batch []T
	select {
	case item := <-from:
		batch = append(batch, item)
	case <-ctx.Done():
		return nil
	}
	for len(batch) < most {
		select {
		case item := <-from:
			batch = append(batch, item)
		default:
			return batch
		}
	}
	return batch
}
