package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/rs/zerolog"

	"castad/events"
)

type watchInput struct {
	TaskPath
	LastEventID int64 `header:"Last-Event-ID" minimum:"0" doc:"the id of the last event that was seen; those after it follow"`
}

// addWatch registers the event stream. huma's own sse package isn't used, because it can't answer 404 before the stream
// begins, and doesn't notice from a comment that the client is gone.
func (s *server) addWatch(api huma.API) {
	op := tagged(owner(operation(http.MethodGet, "/tasks/{task_id}/events", "watch-task", "A task's changes as they happen")), "Tasks")
	op.Description = "Server-Sent Events: id is the event's number, data the event. All from the first are sent, or those after " +
		"Last-Event-ID. The stream stays open after the task's end, until the token expires."
	op.Metadata = map[string]any{"unbounded": true}
	op.Responses = map[string]*huma.Response{"200": {Description: "a stream of events", Content: map[string]*huma.MediaType{
		"text/event-stream": {Schema: api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[events.Fact](), true, "Fact")}}}}
	add(s, api, op, s.watch)
}

func (s *server) watch(ctx context.Context, in *watchInput) (*huma.StreamResponse, error) {
	task, err := s.ownTask(ctx, in.TaskID)
	if err != nil {
		return nil, err
	}
	if in.LastEventID > task.EventSeq {
		return nil, refused("event_id_unknown", "header.Last-Event-ID",
			fmt.Sprintf("The newest event of this task is %d. Connect without Last-Event-ID to get all of them.", task.EventSeq))
	}
	// In memory first and then the rows: what happens between the two is in both, and its number tells.
	watcher, ok := s.hub.join(in.TaskID)
	if !ok {
		return nil, problem(http.StatusServiceUnavailable, "shutting_down", "This server is being stopped. Connect again.")
	}
	s.hub.patrol(s.Beat, s.DB.NewestEvents)
	return &huma.StreamResponse{Body: func(c huma.Context) {
		stream, ok := c.(interface{ StreamBody(func(io.Writer)) })
		if !ok {
			s.hub.leave(in.TaskID, watcher)
			return
		}
		c.SetHeader("Content-Type", "text/event-stream")
		c.SetHeader("Cache-Control", "no-store")
		c.SetHeader("X-Accel-Buffering", "no") // nginx hands events on at once
		c.SetStatus(http.StatusOK)
		ctx := context.WithoutCancel(ctx)
		stream.StreamBody(func(w io.Writer) {
			defer s.hub.leave(in.TaskID, watcher)
			ctx, cancel := context.WithDeadline(ctx, callerOf(ctx).expiresAt)
			defer cancel()
			show := &show{server: s, taskID: in.TaskID, seq: in.LastEventID, out: eventWriter{w}}
			if err := show.run(ctx, watcher.facts); err != nil {
				zerolog.Ctx(ctx).Debug().Err(err).Str("task_id", in.TaskID).Msg("event stream ended")
			}
		})
	}}, nil
}

// show is one event stream.
type show struct {
	server *server
	taskID string
	seq    int64 // the newest event that was sent
	out    eventWriter
	over   bool // the task was deleted
}

// run sends events until the client leaves, the token expires, or the watcher is closed.
func (s *show) run(ctx context.Context, live <-chan events.Fact) error {
	if err := s.out.open(); err != nil {
		return err
	}
	if err := s.catchUp(ctx); err != nil {
		return err
	}
	beat := time.NewTicker(s.server.Beat)
	defer beat.Stop()
	for !s.over {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case fact, ok := <-live:
			if !ok {
				return nil
			}
			err = s.take(ctx, fact)
		case <-beat.C:
			err = s.out.beat()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take sends a live fact if it is the next one, and reads the rows if some are missing before it.
func (s *show) take(ctx context.Context, fact events.Fact) error {
	switch {
	case fact.Seq <= s.seq:
		return nil
	case fact.Seq == s.seq+1 && fact.What != "":
		return s.send(fact)
	}
	return s.catchUp(ctx)
}

const catchUpRows = 200

func (s *show) catchUp(ctx context.Context) error {
	for {
		facts, err := s.server.DB.EventsAfter(ctx, s.taskID, s.seq, catchUpRows)
		if err != nil {
			return err
		}
		for _, fact := range facts {
			if err := s.send(fact); err != nil {
				return err
			}
		}
		if len(facts) < catchUpRows {
			return nil
		}
	}
}

func (s *show) send(fact events.Fact) error {
	s.seq = fact.Seq
	s.over = fact.Stage == events.TaskScope && fact.What == "deleted"
	return s.out.event(fact)
}

// eventWriter writes the event stream format of the HTML standard, and flushes after each piece.
type eventWriter struct{ w io.Writer }

const (
	retryMillis  = 2000
	writeTimeout = 10 * time.Second
)

func (e eventWriter) open() error { return e.write(fmt.Sprintf("retry: %d\n\n", retryMillis)) }

func (e eventWriter) beat() error { return e.write(": \n\n") }

func (e eventWriter) event(fact events.Fact) error {
	data, err := json.Marshal(fact)
	if err != nil {
		return fmt.Errorf("encode event %d: %w", fact.Seq, err)
	}
	return e.write(fmt.Sprintf("id: %d\ndata: %s\n\n", fact.Seq, data))
}

func (e eventWriter) write(text string) error {
	if d, ok := e.w.(interface{ SetWriteDeadline(time.Time) error }); ok {
		if err := d.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return fmt.Errorf("bound a write to the event stream: %w", err)
		}
	}
	if _, err := io.WriteString(e.w, text); err != nil {
		return fmt.Errorf("write to the event stream: %w", err)
	}
	if f, ok := e.w.(http.Flusher); ok {
		f.Flush()
	}
	return nil
}
