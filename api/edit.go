package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"castad/events"
	"castad/prompts"
	"castad/providers"
	"castad/store"
)

// edit checks what a person changed against the results that it is about, so that a mistake is told here and not by a
// failed stage. Without a change it returns nil.
func (s *server) edit(ctx context.Context, task *store.Task, stage events.Stage, in *editInput) (*store.Edit, error) {
	if in == nil || empty(*in) {
		return nil, nil
	}
	if of := stageOf(*in); of != stage {
		return nil, refused("edit_not_for_stage", "body.edit",
			"photo_order is an edit of crawl, report of intel, title and text of lyric, and clip_id of song; send one of them, to its stage.")
	}
	edit := &store.Edit{PhotoOrder: in.PhotoOrder, Report: in.Report, Title: in.Title, Text: in.Text, ClipID: in.ClipID}
	check := map[events.Stage]func(context.Context, *store.Task, *store.Edit) error{
		events.Crawl: s.checkPhotos, events.Intel: s.checkReport, events.Lyric: s.checkLyric, events.Song: s.checkClip,
	}[stage]
	if err := check(ctx, task, edit); err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	// Where a result that the edit is about isn't there, the rules of reruns refuse with the better reason.
	return edit, nil
}

func empty(e editInput) bool {
	return e.PhotoOrder == nil && e.Report == nil && e.Title == "" && e.Text == "" && e.ClipID == ""
}

// stageOf returns the one stage that the edit's fields belong to, or "".
func stageOf(e editInput) events.Stage {
	var of []events.Stage
	for stage, is := range map[events.Stage]bool{
		events.Crawl: e.PhotoOrder != nil, events.Intel: e.Report != nil, events.Lyric: e.Title != "" || e.Text != "", events.Song: e.ClipID != "",
	} {
		if is {
			of = append(of, stage)
		}
	}
	if len(of) != 1 {
		return ""
	}
	return of[0]
}

func (s *server) checkPhotos(ctx context.Context, task *store.Task, edit *store.Edit) error {
	images, err := s.DB.LoadImages(ctx, task.ID)
	if err != nil {
		return err
	}
	seen := map[int]bool{}
	for _, position := range edit.PhotoOrder {
		if position < 0 || position >= len(images) || seen[position] {
			return refused("edit_invalid", "body.edit.photo_order",
				fmt.Sprintf("There are %d photos: name each position from 0 to %d at most once.", len(images), len(images)-1))
		}
		seen[position] = true
	}
	return nil
}

func (s *server) checkReport(ctx context.Context, task *store.Task, edit *store.Edit) error {
	report, err := prompts.DecodeReport(edit.Report)
	if err != nil {
		return refused("edit_invalid", "body.edit.report", "The report isn't of the form that GET …/stages/intel/result shows: "+reason(err))
	}
	project, err := s.DB.LoadProject(ctx, task.ID)
	if err != nil {
		return err
	}
	if misses := prompts.Hard(prompts.CheckReport(report, task.Language, project.StoreName, project.Region)); len(misses) > 0 {
		return refused("report_refused", "body.edit.report", "The report can't be used: "+prompts.Reasons(misses)+".")
	}
	return nil
}

// checkLyric checks the words as the lyric stage does. A title or text that isn't given stays as it was.
func (s *server) checkLyric(ctx context.Context, task *store.Task, edit *store.Edit) error {
	project, err := s.DB.LoadProject(ctx, task.ID)
	if err != nil {
		return err
	}
	if err := s.completeLyric(ctx, task.ID, project, edit); err != nil {
		return err
	}
	lyric, err := prompts.ParseText(edit.Text)
	if err != nil {
		return refused("lyric_unreadable", "body.text", sentence(reason(err)))
	}
	lyric.Title = edit.Title
	if misses := prompts.Hard(prompts.CheckLyric(lyric, task.Language, project.StoreName, project.Region)); len(misses) > 0 {
		return refused("lyric_refused", "body.text", "These lyrics can't be sung: "+prompts.Reasons(misses)+".")
	}
	return nil
}

func (s *server) completeLyric(ctx context.Context, taskID string, project store.Project, edit *store.Edit) error {
	if edit.Title != "" && edit.Text != "" {
		return nil
	}
	old, err := s.lyric(ctx, taskID)
	if errors.Is(err, store.ErrNotFound) && edit.Text != "" {
		edit.Title = project.StoreName
		return nil
	}
	if err != nil {
		return err
	}
	if edit.Title == "" {
		edit.Title = old.Title
	}
	if edit.Text == "" {
		edit.Text = old.Text
	}
	return nil
}

func (s *server) checkClip(ctx context.Context, task *store.Task, edit *store.Edit) error {
	song, err := s.DB.LoadSong(ctx, task.ID)
	if err != nil {
		return err
	}
	if edit.ClipID == song.ClipID || !hasClip(song.Clips.V, edit.ClipID) {
		ids, _ := json.Marshal(clipIDs(song)) // strings only: can't fail
		return refused("edit_invalid", "body.edit.clip_id", "The song's other clips are "+string(ids)+".")
	}
	return nil
}

func hasClip(clips []providers.Clip, id string) bool {
	for _, clip := range clips {
		if clip.ID == id {
			return true
		}
	}
	return false
}

func clipIDs(song store.Song) []string {
	ids := []string{}
	for _, clip := range song.Clips.V {
		if clip.ID != song.ClipID {
			ids = append(ids, clip.ID)
		}
	}
	return ids
}
