package main

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"castad/events"
	"castad/store"
)

type editInput struct {
	PhotoOrder []int           `json:"photo_order,omitempty" minItems:"1" maxItems:"100" doc:"crawl: positions (from 0) of the present photos, in the wished order; those left out aren't shown"`
	Report     json.RawMessage `json:"report,omitempty" doc:"intel: the whole report, as its result shows it"`
	Title      string          `json:"title,omitempty" maxLength:"80" doc:"lyric"`
	Text       string          `json:"text,omitempty" maxLength:"5000" doc:"lyric: the whole text, sections in square brackets"`
	ClipID     string          `json:"clip_id,omitempty" maxLength:"128" doc:"song: another of the song's clips"`
}

type rerunBody struct {
	Edit *editInput `json:"edit,omitempty" doc:"without one the stage is made again from scratch"`
}

type rerunInput struct {
	TaskPath
	StagePath
	Body *rerunBody
}

type lyricInput struct {
	TaskPath
	Body struct {
		Title string `json:"title,omitempty" maxLength:"80" doc:"without one the title stays"`
		Text  string `json:"text" minLength:"1" maxLength:"5000" doc:"the whole text, sections in square brackets"`
	}
}

// commandOutput is the task as it is after the command.
type commandOutput struct {
	Status   int
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     taskView
}

func (s *server) addCommands(api huma.API) {
	post := func(path, id, summary string) huma.Operation {
		op := tagged(owner(operation(http.MethodPost, "/tasks/{task_id}"+path, id, summary)), "Tasks")
		op.DefaultStatus = http.StatusAccepted
		op.Errors = append(op.Errors, http.StatusConflict)
		return op
	}
	add(s, api, post("/cancel", "cancel-task", "Stop a task for good"), s.cancel)
	add(s, api, post("/resume", "resume-task", "Let a held task go on"), s.resume)
	add(s, api, post("/stages/{stage}/retry", "retry-stage", "Try a failed stage again; what was paid for is not paid again"), s.retry)
	add(s, api, post("/stages/{stage}/rerun", "rerun-stage", "Make a stage's result again, and what depends on it; this may cost"), s.rerun)
	lyric := post("/lyric", "edit-lyric", "Sing other words: edit the lyrics, and make again what depends on them")
	lyric.Method = http.MethodPut
	add(s, api, lyric, s.editLyric)
	remove := tagged(owner(operation(http.MethodDelete, "/tasks/{task_id}", "delete-task", "Hide a task for good, after cancelling it")), "Tasks")
	remove.DefaultStatus = http.StatusNoContent
	add(s, api, remove, s.deleteTask)
}

func (s *server) cancel(ctx context.Context, in *TaskPath) (*commandOutput, error) {
	return s.after(ctx, in.TaskID, s.DB.Cancel(ctx, callerOf(ctx).UUID, in.TaskID))
}

func (s *server) resume(ctx context.Context, in *TaskPath) (*commandOutput, error) {
	return s.after(ctx, in.TaskID, s.DB.Resume(ctx, callerOf(ctx).UUID, in.TaskID))
}

func (s *server) retry(ctx context.Context, in *resultInput) (*commandOutput, error) {
	return s.after(ctx, in.TaskID, s.DB.Retry(ctx, callerOf(ctx).UUID, in.TaskID, in.Stage))
}

func (s *server) rerun(ctx context.Context, in *rerunInput) (*commandOutput, error) {
	task, err := s.ownTask(ctx, in.TaskID)
	if err != nil {
		return nil, err
	}
	var given *editInput
	if in.Body != nil {
		given = in.Body.Edit
	}
	edit, err := s.edit(ctx, task, in.Stage, given)
	if err != nil {
		return nil, err
	}
	return s.again(ctx, in.TaskID, in.Stage, edit)
}

func (s *server) editLyric(ctx context.Context, in *lyricInput) (*commandOutput, error) {
	task, err := s.ownTask(ctx, in.TaskID)
	if err != nil {
		return nil, err
	}
	edit, err := s.edit(ctx, task, events.Lyric, &editInput{Title: in.Body.Title, Text: in.Body.Text})
	if err != nil {
		return nil, err
	}
	return s.again(ctx, in.TaskID, events.Lyric, edit)
}

func (s *server) again(ctx context.Context, taskID string, stage events.Stage, edit *store.Edit) (*commandOutput, error) {
	_, err := s.DB.Rerun(ctx, callerOf(ctx).UUID, taskID, stage, edit)
	return s.after(ctx, taskID, err)
}

func (s *server) deleteTask(ctx context.Context, in *TaskPath) (*struct{}, error) {
	noteOf(ctx).taskID = in.TaskID
	defer s.recent.forget(in.TaskID)
	return nil, s.DB.Delete(ctx, callerOf(ctx).UUID, in.TaskID)
}

// after answers a command with the task, or with the command's error.
func (s *server) after(ctx context.Context, taskID string, err error) (*commandOutput, error) {
	noteOf(ctx).taskID = taskID
	s.recent.forget(taskID)
	if err != nil {
		return nil, err
	}
	task, err := s.ownTask(ctx, taskID)
	if err != nil {
		return nil, err
	}
	view, err := s.view(ctx, task)
	if err != nil {
		return nil, err
	}
	return &commandOutput{Status: http.StatusAccepted, Location: taskPath(taskID), ETag: etag(task), Body: view}, nil
}
