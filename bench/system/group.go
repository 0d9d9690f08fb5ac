package system

import "context"

// Group commits what comes together in one go: while one batch is being written, what arrives becomes the next one.
// There is no timer: something that comes alone is written at once.
type Group[T any] struct {
	in    chan waiting[T]
	write func(ctx context.Context, batch []T) error
	most  int
}

type waiting[T any] struct {
	item T
	done chan error
}

// NewGroup returns a group that writes at most so many items at once. Its Run does the writing.
func NewGroup[T any](most int, write func(ctx context.Context, batch []T) error) *Group[T] {
	return &Group[T]{in: make(chan waiting[T], most), write: write, most: most}
}

// Do hands an item in and returns when the batch that it was in is written.
func (g *Group[T]) Do(ctx context.Context, item T) error {
	w := waiting[T]{item: item, done: make(chan error, 1)}
	select {
	case g.in <- w:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run writes until ctx ends.
func (g *Group[T]) Run(ctx context.Context) {
	for {
		batch := Take(ctx, g.in, g.most)
		if batch == nil {
			return
		}
		items := make([]T, len(batch))
		for i, w := range batch {
			items[i] = w.item
		}
		err := g.write(ctx, items)
		for _, w := range batch {
			w.done <- err
		}
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
