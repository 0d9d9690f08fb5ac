package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"castad/events"
	"castad/prompts"
	"castad/store"
)

type resultInput struct {
	TaskPath
	StagePath
}

// stageResult is the newest result of a stage: the member of the stage's name is set.
type stageResult struct {
	Stage  string          `json:"stage"`
	Crawl  *crawlResult    `json:"crawl,omitempty"`
	Intel  *prompts.Report `json:"intel,omitempty"`
	Lyric  *lyricResult    `json:"lyric,omitempty"`
	Song   *songResult     `json:"song,omitempty"`
	Video  *videoResult    `json:"video,omitempty"`
	Upload []postView      `json:"upload,omitempty"`
}

type resultOutput struct{ Body stageResult }

func (s *server) addResults(api huma.API) {
	op := owner(operation(http.MethodGet, "/tasks/{task_id}/stages/{stage}/result", "load-result", "What a stage has made"))
	add(s, api, tagged(op, "Tasks"), s.loadResult)
}

func (s *server) loadResult(ctx context.Context, in *resultInput) (*resultOutput, error) {
	if _, err := s.ownTask(ctx, in.TaskID); err != nil {
		return nil, err
	}
	result := stageResult{Stage: string(in.Stage)}
	err := s.fill(ctx, &result, in.Stage, in.TaskID)
	if errors.Is(err, store.ErrNotFound) || err == nil && in.Stage == events.Upload && len(result.Upload) == 0 {
		return nil, problem(http.StatusNotFound, "result_not_ready",
			fmt.Sprintf("The %s stage has no result yet. The task's stages tell how far it is.", in.Stage))
	}
	return &resultOutput{Body: result}, err
}

func (s *server) fill(ctx context.Context, result *stageResult, stage events.Stage, taskID string) (err error) {
	switch stage {
	case events.Crawl:
		result.Crawl, err = s.crawl(ctx, taskID)
	case events.Intel:
		result.Intel, err = s.report(ctx, taskID)
	case events.Lyric:
		result.Lyric, err = s.lyric(ctx, taskID)
	case events.Song:
		var song store.Song
		if song, err = s.DB.LoadSong(ctx, taskID); err == nil {
			err = s.sign(&song.URL)
			result.Song = viewSong(song)
		}
	case events.Video:
		var v store.Video
		if v, err = s.DB.LoadVideo(ctx, taskID); err == nil {
			err = s.sign(&v.MovieURL, &v.CoverURL)
			result.Video = &videoResult{URL: v.MovieURL, CoverURL: v.CoverURL, Seconds: v.Seconds, Width: v.Width, Height: v.Height}
		}
	case events.Upload:
		var uploads []store.SocialUpload
		uploads, err = s.DB.ListUploads(ctx, taskID)
		result.Upload = viewPosts(uploads)
	}
	return err
}

func (s *server) crawl(ctx context.Context, taskID string) (*crawlResult, error) {
	project, err := s.DB.LoadProject(ctx, taskID)
	if err != nil {
		return nil, err
	}
	images, err := s.DB.LoadImages(ctx, taskID)
	if err != nil {
		return nil, err
	}
	for i := range images {
		if err := s.sign(&images[i].URL); err != nil {
			return nil, err
		}
	}
	return viewCrawl(project, images), nil
}

// sign turns the addresses of kept files into URLs that can be read from now on.
func (s *server) sign(addresses ...*string) (err error) {
	for _, address := range addresses {
		if s.Blobs == nil {
			return nil
		}
		if *address, err = s.Blobs.Sign(*address); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) report(ctx context.Context, taskID string) (*prompts.Report, error) {
	marketing, err := s.DB.LoadMarketing(ctx, taskID)
	if err != nil {
		return nil, err
	}
	var report prompts.Report
	if err := json.Unmarshal(marketing.Result, &report); err != nil {
		return nil, fmt.Errorf("read report of task %s: %w", taskID, err)
	}
	return &report, nil
}

func (s *server) lyric(ctx context.Context, taskID string) (*lyricResult, error) {
	row, err := s.DB.LoadLyric(ctx, taskID)
	if err != nil {
		return nil, err
	}
	song := prompts.Lyric{Title: row.Title}
	if err := json.Unmarshal(row.Lines, &song.Lines); err != nil {
		return nil, fmt.Errorf("read lyrics of task %s: %w", taskID, err)
	}
	result := &lyricResult{Title: row.Title, Language: string(row.Language), Origin: row.Origin, Text: song.Text(), Lines: []lyricLine{}}
	for _, line := range song.Lines {
		result.Lines = append(result.Lines, lyricLine(line))
	}
	return result, nil
}
