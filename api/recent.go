package main

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/maypok86/otter/v2"

	"castad/events"
	"castad/internal/auth"
	"castad/store"
)

// recent keeps what those who poll ask for again and again: which user a token is of, and how a task stands. Nothing in it
// is older than was said to remember. A task is forgotten at once when this process changes it or hears that it has changed. The zero
// value keeps nothing.
type recent struct {
	claims *otter.Cache[string, auth.Claims] // by token
	users  *otter.Cache[string, store.User]  // by uuid
	tasks  *otter.Cache[string, *shown]      // by id
}

const (
	mostRecentUsers = 20_000
	mostRecentTasks = 10_000 // of about 2 KB
	recentLoad      = 5 * time.Second
)

// remember returns a memory of that age; nothing is kept for 0.
func remember(fresh time.Duration) recent {
	if fresh <= 0 {
		return recent{}
	}
	return recent{claims: cacheOf[auth.Claims](mostRecentUsers, fresh),
		users: cacheOf[store.User](mostRecentUsers, fresh), tasks: cacheOf[*shown](mostRecentTasks, fresh)}
}

func cacheOf[V any](most int, fresh time.Duration) *otter.Cache[string, V] {
	return otter.Must(&otter.Options[string, V]{MaximumSize: most, ExpiryCalculator: otter.ExpiryWriting[string, V](fresh)})
}

// through returns what is kept under a key, or loads and keeps it. Of many who ask for the same at once one loads, and
// none loses it because another has gone.
func through[V any](ctx context.Context, cache *otter.Cache[string, V], key string, load func(context.Context) (V, error)) (V, error) {
	if cache == nil {
		return load(ctx)
	}
	return cache.Get(ctx, key, otter.LoaderFunc[string, V](func(ctx context.Context, _ string) (V, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recentLoad)
		defer cancel()
		return load(ctx)
	}))
}

// forget drops a task that has changed.
func (r *recent) forget(taskID string) {
	if r.tasks != nil {
		r.tasks.Invalidate(taskID)
	}
}

// hear takes a live fact: those who watch the task get it, and whoever asks next gets the task as it is now.
func (s *server) hear(fact events.Fact) {
	s.recent.forget(fact.TaskID)
	s.hub.tell(fact)
}

// check verifies a token, whose signature is looked at once in a while; its time is always.
func (s *server) check(token string) (auth.Claims, error) {
	now := s.Now()
	if s.recent.claims == nil {
		return s.Keys.Verify(token, now)
	}
	claims, ok := s.recent.claims.GetIfPresent(token)
	if ok && now.Before(claims.ExpiresAt) {
		return claims, nil
	}
	claims, err := s.Keys.Verify(token, now)
	if err == nil {
		s.recent.claims.Set(token, claims)
	}
	return claims, err
}

// user loads who a token is of.
func (s *server) user(ctx context.Context, uuid string) (store.User, error) {
	return through(ctx, s.recent.users, uuid, func(ctx context.Context) (store.User, error) { return s.DB.LoadUser(ctx, uuid) })
}

// shown is a task as it is answered.
type shown struct {
	owner   string
	deleted bool
	tag     string // its ETag
	body    rendered
}

// show returns a task of the caller's as it is answered. Errors: store.ErrNotFound, also for somebody else's.
func (s *server) show(ctx context.Context, taskID string) (*shown, error) {
	noteOf(ctx).taskID = taskID
	found, err := through(ctx, s.recent.tasks, taskID, func(ctx context.Context) (*shown, error) { return s.render(ctx, taskID) })
	if err != nil {
		return nil, err
	}
	if found.deleted || found.owner != callerOf(ctx).UUID {
		return nil, fmt.Errorf("load task %s: %w", taskID, store.ErrNotFound)
	}
	return found, nil
}

func (s *server) render(ctx context.Context, taskID string) (*shown, error) {
	task, err := s.DB.LoadTask(ctx, taskID)
	if err != nil {
		return nil, err
	}
	view, err := s.view(ctx, task)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(view)
	if err != nil {
		return nil, fmt.Errorf("encode task %s: %w", taskID, err)
	}
	return &shown{owner: task.UserUUID, deleted: task.Deleted, tag: etag(task), body: rendered(raw)}, nil
}

// rendered is a taskView that was encoded before.
type rendered json.RawMessage

// MarshalJSON returns what was encoded.
func (r rendered) MarshalJSON() ([]byte, error) { return r, nil }

// Schema describes it as the taskView that it is.
func (rendered) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[taskView](), true, "taskView")
}
