package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/rs/zerolog"

	"castad/events"
	"castad/internal/dead"
	"castad/store"
)

type deadView struct {
	DeadID    string    `json:"dead_id"`
	TaskID    string    `json:"task_id"`
	Stage     string    `json:"stage"`
	Revision  int       `json:"revision"`
	Cause     string    `json:"cause" doc:"stable code"`
	Reason    string    `json:"reason"`
	Attempts  int       `json:"attempts"`
	Stream    string    `json:"stream,omitempty" doc:"where the last message came from"`
	Subject   string    `json:"subject,omitempty"`
	StreamSeq uint64    `json:"stream_seq,omitempty"`
	Consumer  string    `json:"consumer,omitempty"`
	Program   string    `json:"program,omitempty"`
	Version   string    `json:"version,omitempty" doc:"of the program"`
	FirstAt   time.Time `json:"first_at"`
	LastAt    time.Time `json:"last_at"`
	State     string    `json:"state" enum:"filed,replayed,dropped,superseded"`
	OnStream  bool      `json:"on_stream_only,omitempty" doc:"a message that belongs to no run: it can be dropped, but not replayed"`
	Body      string    `json:"body,omitempty" doc:"the beginning of such a message"`
}

// DeadQuery selects dead letters in a query. It is exported because huma passes over embedded fields that are not.
type DeadQuery struct {
	Stage  string `query:"stage" enum:"crawl,intel,lyric,song,video,upload"`
	Cause  string `query:"cause" maxLength:"64"`
	TaskID string `query:"task_id" maxLength:"36"`
	Since  string `query:"since" maxLength:"40" doc:"given up on since then: an instant (RFC 3339), or how long ago: 90m, 2h, 3d" example:"2h"`
	Before string `query:"before" maxLength:"40" doc:"given up on before then; as since"`
}

type deadListInput struct {
	DeadQuery
	Cursor string `query:"cursor" maxLength:"210" doc:"next_cursor of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100"`
}

type deadListOutput struct {
	Body struct {
		Items      []deadView `json:"items"`
		NextCursor string     `json:"next_cursor,omitempty" doc:"of the next page; missing at the end"`
		Unseen     bool       `json:"unseen,omitempty" doc:"the broker is away, so messages that belong to no run are missing here"`
	}
}

type deadInput struct {
	ID string `path:"id" minLength:"1" maxLength:"200"`
}

type deadOutput struct{ Body deadView }

func (s *server) addDead(api huma.API) {
	get := func(path, id, summary string) huma.Operation {
		return tagged(admin(operation(http.MethodGet, path, id, summary)), "Operations")
	}
	add(s, api, get("/admin/dead", "list-dead", "Dead letters that nobody has dealt with, oldest first"), s.listDead)
	add(s, api, get("/admin/dead/{id}", "load-dead", "One dead letter, whatever has become of it"), s.loadDead)
	replay := get("/admin/dead/{id}/replay", "replay-dead", "Try the run of a dead letter again")
	replay.Method, replay.Errors = http.MethodPost, append(replay.Errors, http.StatusConflict)
	add(s, api, replay, s.replay)
	many := get("/admin/dead/replay", "replay-many-dead", "Try the runs of all selected dead letters again, or count them")
	many.Method = http.MethodPost
	add(s, api, many, s.replayMany)
	drop := get("/admin/dead/{id}", "drop-dead", "Take a dead letter off the list for good; its run stays failed")
	drop.Method, drop.DefaultStatus = http.MethodDelete, http.StatusNoContent
	add(s, api, drop, s.drop)
}

func (s *server) office() *dead.Office { return &dead.Office{DB: s.DB, Broker: s.Broker} }

// filter reads the selection. Times ago are taken by the database's clock, as the letters' times are.
func (s *server) filter(ctx context.Context, q DeadQuery, place string) (store.DeadFilter, error) {
	f := store.DeadFilter{TaskID: q.TaskID, Stage: events.Stage(q.Stage), Cause: q.Cause}
	if q.Since == "" && q.Before == "" {
		return f, nil
	}
	now, err := s.DB.Now(ctx)
	if err != nil {
		return f, err
	}
	if f.Since, err = dead.ParseTime(q.Since, now); err != nil {
		return f, refused("time_unreadable", place+".since", err.Error())
	}
	if f.Before, err = dead.ParseTime(q.Before, now); err != nil {
		return f, refused("time_unreadable", place+".before", err.Error())
	}
	return f, nil
}

func (s *server) listDead(ctx context.Context, in *deadListInput) (*deadListOutput, error) {
	filter, err := s.filter(ctx, in.DeadQuery, "query")
	if err != nil {
		return nil, err
	}
	filter.After, filter.Limit = in.Cursor, in.Limit
	page, err := s.office().List(ctx, filter)
	if err != nil {
		return nil, err
	}
	var out deadListOutput
	out.Body.NextCursor, out.Body.Unseen = page.Next, page.Unseen != nil
	out.Body.Items = make([]deadView, len(page.Letters))
	for i, letter := range page.Letters {
		out.Body.Items[i] = viewDead(letter)
	}
	return &out, nil
}

func (s *server) loadDead(ctx context.Context, in *deadInput) (*deadOutput, error) {
	letter, err := s.findDead(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &deadOutput{Body: viewDead(letter)}, nil
}

// findDead finds a letter, and notes its task for the log.
func (s *server) findDead(ctx context.Context, id string) (dead.Letter, error) {
	letter, err := s.office().Find(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return letter, problem(http.StatusNotFound, "not_found", "There is no dead letter with this id. GET /admin/dead lists what there is.")
	case errors.Is(err, dead.ErrUnseen):
		return letter, problem(http.StatusServiceUnavailable, "unavailable",
			"No run's dead letter has this id, and the broker is away, which may have a message with it. Try again in some seconds.")
	}
	noteOf(ctx).taskID = letter.TaskID
	return letter, err
}

func (s *server) replay(ctx context.Context, in *deadInput) (*deadOutput, error) {
	letter, err := s.findDead(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	result, err := s.office().Replay(ctx, letter)
	if err != nil {
		return nil, err
	}
	audit(ctx, "dead letter was replayed by an administrator", letter, result)
	switch result {
	case dead.NoRun:
		return nil, problem(http.StatusConflict, "no_run", "This message belongs to no run, so nothing can be tried again. It can only be dropped.")
	case dead.DealtWith:
		return nil, problem(http.StatusConflict, "not_replayed",
			"This dead letter was dealt with already, or its run was retried, superseded or cancelled meanwhile. Nothing was done.")
	}
	return s.loadDead(ctx, in)
}

func (s *server) drop(ctx context.Context, in *deadInput) (*struct{}, error) {
	letter, err := s.findDead(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	result, err := s.office().Drop(ctx, letter)
	if err == nil {
		audit(ctx, "dead letter was dropped by an administrator", letter, result)
	}
	return nil, err
}

// audit writes who did what to which letter. Reasons and bodies are left out: they come from outside.
func audit(ctx context.Context, message string, l dead.Letter, result dead.Result) {
	zerolog.Ctx(ctx).Info().Str("user_uuid", callerOf(ctx).UUID).Str("dead_id", l.ID).Str("task_id", l.TaskID).
		Str("stage", string(l.Stage)).Str("code", l.Cause).Str("result", string(result)).Msg(message)
}

func viewDead(d dead.Letter) deadView {
	return deadView{DeadID: d.ID, TaskID: d.TaskID, Stage: string(d.Stage), Revision: d.Revision, Cause: d.Cause, Reason: d.Reason,
		Attempts: d.Attempts, Stream: d.Stream, Subject: d.Subject, StreamSeq: d.StreamSeq, Consumer: d.Consumer, Program: d.Program,
		Version: d.ProgramVersion, FirstAt: d.FirstAt, LastAt: d.LastAt, State: d.State, OnStream: d.OnStream, Body: d.Body}
}
