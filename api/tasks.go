package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"castad/events"
	"castad/internal/pipeline"
	"castad/store"
)

// TaskPath is a task in a path. It is exported because huma passes over embedded fields that are not.
type TaskPath struct {
	TaskID string `path:"task_id" format:"uuid"`
}

type listInput struct {
	Page     int    `query:"page" minimum:"1" maximum:"1000000" default:"1"`
	PageSize int    `query:"page_size" minimum:"1" maximum:"100" default:"10"`
	Status   string `query:"status" enum:"pending,processing,held,completed,failed,cancelled"`
}

// page is one page of a list.
type page[T any] struct {
	Items      []T  `json:"items"`
	Total      int  `json:"total"`
	Page       int  `json:"page"`
	PageSize   int  `json:"page_size"`
	TotalPages int  `json:"total_pages"`
	HasNext    bool `json:"has_next"`
	HasPrev    bool `json:"has_prev"`
}

func pageOf[T any](items []T, total, number, size int) page[T] {
	pages := (total + size - 1) / size
	return page[T]{Items: items, Total: total, Page: number, PageSize: size, TotalPages: pages, HasNext: number < pages, HasPrev: number > 1}
}

type listOutput struct{ Body page[TaskSummary] }

func (s *server) listTasks(ctx context.Context, in *listInput) (*listOutput, error) {
	tasks, total, err := s.DB.ListTasks(ctx, store.TaskFilter{UserUUID: callerOf(ctx).UUID, Status: pipeline.TaskStatus(in.Status),
		Limit: in.PageSize, Offset: (in.Page - 1) * in.PageSize})
	if err != nil {
		return nil, err
	}
	items := make([]TaskSummary, len(tasks))
	for i := range tasks {
		items[i] = summarize(&tasks[i])
	}
	return &listOutput{Body: pageOf(items, total, in.Page, in.PageSize)}, nil
}

type loadInput struct {
	TaskPath
	IfNoneMatch string `header:"If-None-Match"`
}

type taskOutput struct {
	Status int
	ETag   string `header:"ETag"`
	Body   rendered
}

// errNotModified is the answer to a question whose answer the caller has.
var errNotModified = huma.Status304NotModified()

func (s *server) loadTask(ctx context.Context, in *loadInput) (*taskOutput, error) {
	task, err := s.show(ctx, in.TaskID)
	if err != nil {
		return nil, err
	}
	if matches(in.IfNoneMatch, task.tag) {
		return nil, huma.ErrorWithHeaders(errNotModified, http.Header{"ETag": {task.tag}})
	}
	return &taskOutput{Status: http.StatusOK, ETag: task.tag, Body: task.body}, nil
}

// ownTask loads a task of the caller's, and notes it for the log.
func (s *server) ownTask(ctx context.Context, taskID string) (*store.Task, error) {
	noteOf(ctx).taskID = taskID
	return s.DB.LoadOwnTask(ctx, callerOf(ctx).UUID, taskID)
}

// etag changes with every event of the task and with its cost, and so with everything that a task shows.
func etag(t *store.Task) string { return fmt.Sprintf(`"%d-%d"`, t.EventSeq, t.Cost) }

func matches(header, tag string) bool {
	return slices.ContainsFunc(strings.Split(header, ","), func(candidate string) bool {
		candidate = strings.TrimSpace(candidate)
		return candidate == "*" || strings.TrimPrefix(candidate, "W/") == tag
	})
}

func (s *server) loadView(ctx context.Context, userUUID, taskID string) (taskView, error) {
	noteOf(ctx).taskID = taskID
	task, err := s.DB.LoadOwnTask(ctx, userUUID, taskID)
	if err != nil {
		return taskView{}, err
	}
	return s.view(ctx, task)
}

// view puts a task together. The newest results are read only where their stages have had one.
func (s *server) view(ctx context.Context, task *store.Task) (taskView, error) {
	runs, err := s.DB.LoadRuns(ctx, task.ID)
	if err != nil {
		return taskView{}, err
	}
	view := viewOf(task, runs)
	return view, s.addOutcomes(ctx, &view, runs)
}

// viewOf is a task with its runs, without results.
func viewOf(task *store.Task, runs []store.Run) taskView {
	view := taskView{TaskSummary: summarize(task), Music: musicInput(task.Music.V), Publish: viewTargets(task.Publish.V),
		HoldAfter: task.Holds.V, Orientation: task.Orientation, CallbackURL: task.CallbackURL, EventSeq: task.EventSeq, Source: viewSource(task.Source.V)}
	for _, run := range runs {
		view.Stages = append(view.Stages, viewStage(run))
	}
	return view
}

// addOutcomes adds what people want to see at a glance: the place's name, the video, the posts.
func (s *server) addOutcomes(ctx context.Context, view *taskView, runs []store.Run) error {
	if had(runs, events.Crawl) {
		project, err := s.DB.LoadProject(ctx, view.TaskID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if project.StoreName != "" {
			view.Name = project.StoreName
		}
	}
	if had(runs, events.Video) {
		video, err := s.DB.LoadVideo(ctx, view.TaskID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err := s.sign(&video.MovieURL, &video.CoverURL); err != nil {
			return err
		}
		view.VideoURL, view.CoverURL = video.MovieURL, video.CoverURL
	}
	if had(runs, events.Upload) {
		uploads, err := s.DB.ListUploads(ctx, view.TaskID)
		if err != nil {
			return err
		}
		view.Posts = viewPosts(uploads)
	}
	return nil
}

// had reports whether the stage may have a result: its newest run has one, or an older revision may have had.
func had(runs []store.Run, stage events.Stage) bool {
	for _, run := range runs {
		if run.Stage == stage {
			return run.Revision > 1 || run.Status == pipeline.Completed || run.Status == pipeline.Held
		}
	}
	return false
}
