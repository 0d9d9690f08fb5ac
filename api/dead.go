package main

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"castad/events"
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
	State     string    `json:"state" enum:"filed,replayed,dropped"`
}

type deadListInput struct {
	Stage  string `query:"stage" enum:"crawl,intel,lyric,song,video,upload"`
	Cause  string `query:"cause" maxLength:"64"`
	TaskID string `query:"task_id" maxLength:"36"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100"`
}

type deadListOutput struct {
	Body struct {
		Items []deadView `json:"items"`
	}
}

type deadInput struct {
	ID string `path:"id" format:"uuid"`
}

type deadOutput struct{ Body deadView }

func (s *server) addDead(api huma.API) {
	list := admin(operation(http.MethodGet, "/admin/dead", "list-dead", "Dead letters that nobody has dealt with, oldest first"))
	add(s, api, tagged(list, "Operations"), s.listDead)
	replay := admin(operation(http.MethodPost, "/admin/dead/{id}/replay", "replay-dead", "Try the run of a dead letter again"))
	replay.Errors = append(replay.Errors, http.StatusConflict)
	add(s, api, tagged(replay, "Operations"), s.replay)
	drop := admin(operation(http.MethodDelete, "/admin/dead/{id}", "drop-dead", "Take a dead letter off the list; its run stays failed"))
	drop.DefaultStatus = http.StatusNoContent
	add(s, api, tagged(drop, "Operations"), s.drop)
}

func (s *server) listDead(ctx context.Context, in *deadListInput) (*deadListOutput, error) {
	letters, err := s.DB.ListDead(ctx, store.DeadFilter{TaskID: in.TaskID, Stage: events.Stage(in.Stage), Cause: in.Cause, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	var out deadListOutput
	out.Body.Items = make([]deadView, len(letters))
	for i, letter := range letters {
		out.Body.Items[i] = viewDead(letter)
	}
	return &out, nil
}

func (s *server) replay(ctx context.Context, in *deadInput) (*deadOutput, error) {
	replayed, err := s.DB.Replay(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	letter, err := s.DB.LoadDead(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if !replayed {
		return nil, problem(http.StatusConflict, "not_replayed",
			"This dead letter was dealt with already, or its run was retried, superseded or cancelled meanwhile. Nothing was done.")
	}
	return &deadOutput{Body: viewDead(letter)}, nil
}

func (s *server) drop(ctx context.Context, in *deadInput) (*struct{}, error) {
	if _, err := s.DB.LoadDead(ctx, in.ID); err != nil {
		return nil, err
	}
	return nil, s.DB.Drop(ctx, in.ID)
}

func viewDead(d store.Dead) deadView {
	return deadView{DeadID: d.ID, TaskID: d.TaskID, Stage: string(d.Stage), Revision: d.Revision, Cause: d.Cause, Reason: d.Reason,
		Attempts: d.Attempts, Stream: d.Stream, Subject: d.Subject, StreamSeq: d.StreamSeq, Consumer: d.Consumer, Program: d.Program,
		Version: d.ProgramVersion, FirstAt: d.FirstAt, LastAt: d.LastAt, State: d.State}
}
