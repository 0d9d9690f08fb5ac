package main

import (
	"cmp"
	"database/sql"
	"time"

	"castad/events"
	"castad/internal/pipeline"
	"castad/providers"
	"castad/store"
)

// TaskSummary is a task in a list; exported like TaskPath.
type TaskSummary struct {
	TaskID     string     `json:"task_id"`
	Status     string     `json:"status" enum:"pending,processing,held,completed,failed,cancelled"`
	Stage      string     `json:"stage" doc:"the stage that was wanted last"`
	Name       string     `json:"name" doc:"the place's name, or before it is known what was submitted"`
	Language   string     `json:"language"`
	Code       string     `json:"code,omitempty" doc:"why it failed; stable"`
	Reason     string     `json:"reason,omitempty" doc:"why it failed, for people"`
	Estimate   int64      `json:"estimate_micros" doc:"what providers were expected to charge, in millionths of a US dollar"`
	Cost       int64      `json:"cost_micros" doc:"what they have charged, and what is held for calls under way, in millionths of a US dollar"`
	CreatedAt  time.Time  `json:"created_at"`
	UpdatedAt  time.Time  `json:"updated_at"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	Links      taskLinks  `json:"links"`
}

type taskLinks struct {
	Self   string `json:"self"`
	Events string `json:"events" doc:"Server-Sent Events; each is one change, numbered from 1"`
	Cancel string `json:"cancel,omitempty"`
	Resume string `json:"resume,omitempty"`
}

// taskView is a task with all its stages.
type taskView struct {
	TaskSummary
	Source      sourceView   `json:"source"`
	Music       musicInput   `json:"music"`
	Publish     []targetView `json:"publish"`
	HoldAfter   []string     `json:"hold_after"`
	Orientation string       `json:"orientation"`
	CallbackURL string       `json:"callback_url,omitempty"`
	EventSeq    int64        `json:"event_seq" doc:"the number of the newest event"`
	Stages      []stageView  `json:"stages"`
	VideoURL    string       `json:"video_url,omitempty"`
	CoverURL    string       `json:"cover_url,omitempty"`
	Posts       []postView   `json:"posts,omitempty"`
}

type sourceView struct {
	URL   string      `json:"url,omitempty"`
	Hit   *hitInput   `json:"hit,omitempty"`
	Place *placeInput `json:"place,omitempty"`
}

type targetView struct {
	Platform  string     `json:"platform"`
	Privacy   string     `json:"privacy"`
	PublishAt *time.Time `json:"publish_at,omitempty"`
}

// stageView is the newest run of a stage.
type stageView struct {
	Stage      string     `json:"stage" enum:"crawl,intel,lyric,song,video,upload"`
	Status     string     `json:"status" enum:"pending,processing,waiting,held,completed,failed,skipped,cancelled"`
	Revision   int        `json:"revision" doc:"from 1; one more each time that the result is made again"`
	Attempt    int        `json:"attempt"`
	Code       string     `json:"code,omitempty" doc:"of the last failure, or what it waits for; stable"`
	Reason     string     `json:"reason,omitempty" doc:"the same for people"`
	StartedAt  *time.Time `json:"started_at,omitempty"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	NextAt     *time.Time `json:"next_at,omitempty" doc:"when a waiting or backed-off stage is looked at again"`
	Links      stageLinks `json:"links"`
}

type stageLinks struct {
	Result string `json:"result,omitempty"`
	Retry  string `json:"retry,omitempty"`
	Rerun  string `json:"rerun,omitempty"`
}

type postView struct {
	Platform    string    `json:"platform"`
	Status      string    `json:"status" enum:"pending,published,failed,cancelled"`
	URL         string    `json:"url"`
	Title       string    `json:"title"`
	Description string    `json:"description"`
	Tags        []string  `json:"tags"`
	Privacy     string    `json:"privacy" doc:"as the platform has it, once it is published"`
	CreatedAt   time.Time `json:"created_at"`

	PublishAt   *time.Time `json:"publish_at,omitempty" doc:"not before this"`
	NextAt      *time.Time `json:"next_at,omitempty" doc:"when it is tried again"`
	PublishedAt *time.Time `json:"published_at,omitempty"`
	Code        string     `json:"code,omitempty" doc:"what it waits for, why it has failed, or what is to be said of it"`
	Reason      string     `json:"reason,omitempty"`
}

func taskPath(taskID string) string { return "/tasks/" + taskID }

func summarize(t *store.Task) TaskSummary {
	self := taskPath(t.ID)
	links := taskLinks{Self: self, Events: self + "/events"}
	if !t.Status.Final() {
		links.Cancel = self + "/cancel"
	}
	if t.Status == pipeline.TaskHeld {
		links.Resume = self + "/resume"
	}
	return TaskSummary{TaskID: t.ID, Status: string(t.Status), Stage: string(t.Stage), Name: cmp.Or(t.StoreName, nameOf(t.Source.V)), Language: string(t.Language),
		Code: t.Code, Reason: t.Reason, Estimate: t.Estimate, Cost: t.Cost, CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt, FinishedAt: pointer(t.FinishedAt), Links: links}
}

func nameOf(s store.Source) string {
	switch {
	case s.Manual != nil:
		return s.Manual.Name
	case s.Hit != nil:
		return s.Hit.Title
	}
	return s.URL
}

func viewSource(s store.Source) sourceView {
	view := sourceView{URL: s.URL}
	if s.Hit != nil {
		hit := hitInput(*s.Hit)
		view.Hit = &hit
	}
	if s.Manual != nil {
		place := placeInput(*s.Manual)
		view.Place = &place
	}
	return view
}

func viewTargets(targets []store.Target) []targetView {
	views := make([]targetView, len(targets))
	for i, t := range targets {
		views[i] = targetView{Platform: t.Platform, Privacy: t.Privacy, PublishAt: t.PublishAt}
	}
	return views
}

func viewStage(r store.Run) stageView {
	view := stageView{Stage: string(r.Stage), Status: string(r.Status), Revision: r.Revision, Attempt: r.Attempt, Code: r.Code,
		Reason: r.Reason, StartedAt: pointer(r.StartedAt), FinishedAt: pointer(r.FinishedAt)}
	resting := r.Status == pipeline.Waiting || r.Status == pipeline.Pending && (r.Attempt > 0 || r.Code != "")
	if resting && !r.LeaseToken.Valid {
		view.NextAt = pointer(r.DueAt)
	}
	path := taskPath(r.TaskID) + "/stages/" + string(r.Stage)
	switch r.Status {
	case pipeline.Completed, pipeline.Held:
		view.Links = stageLinks{Result: path + "/result", Rerun: path + "/rerun"}
	case pipeline.Failed:
		view.Links = stageLinks{Retry: path + "/retry", Rerun: path + "/rerun"}
	case pipeline.Cancelled:
		view.Links = stageLinks{Rerun: path + "/rerun"}
	}
	return view
}

func viewPosts(uploads []store.SocialUpload) []postView {
	views := make([]postView, len(uploads))
	for i, u := range uploads {
		views[i] = postView{Platform: u.Platform, Status: string(u.Status), URL: u.URL, Title: u.Title, Description: u.Description,
			Tags: u.Tags.V, Privacy: u.Privacy, CreatedAt: u.CreatedAt, PublishAt: pointer(u.PublishAt), NextAt: pointer(u.DueAt),
			PublishedAt: pointer(u.PublishedAt), Code: u.Code, Reason: u.Reason}
	}
	return views
}

func pointer(t sql.Null[time.Time]) *time.Time {
	if !t.Valid {
		return nil
	}
	return &t.V
}

// The results of the stages.

type crawlResult struct {
	PlaceID          string          `json:"place_id,omitempty"`
	Name             string          `json:"name"`
	Category         string          `json:"category,omitempty"`
	Region           string          `json:"region"`
	DetailRegionInfo string          `json:"detail_region_info,omitempty"`
	Address          string          `json:"address,omitempty"`
	RoadAddress      string          `json:"road_address,omitempty"`
	Phone            string          `json:"phone,omitempty"`
	Description      string          `json:"description,omitempty"`
	Facilities       []string        `json:"facilities"`
	Images           []imageView     `json:"images" doc:"in the order of the video"`
	LeftOut          []store.LeftOut `json:"left_out,omitempty" doc:"photos that couldn't be used, and why"`
}

type imageView struct {
	Position    int    `json:"position"`
	URL         string `json:"url"`
	ContentType string `json:"content_type,omitempty"`
	Width       int    `json:"width,omitempty"`
	Height      int    `json:"height,omitempty"`
	SizeBytes   int64  `json:"size_bytes,omitempty"`
}

type lyricResult struct {
	Title    string      `json:"title"`
	Language string      `json:"language"`
	Origin   string      `json:"origin" enum:"model,owner"`
	Text     string      `json:"text" doc:"as people read and edit it; PUT …/lyric takes it back"`
	Lines    []lyricLine `json:"lines"`
}

type lyricLine struct {
	Section string `json:"section"`
	Text    string `json:"text"`
}

type songResult struct {
	AudioURL  string           `json:"audio_url"`
	Seconds   float64          `json:"seconds"`
	Style     string           `json:"style,omitempty"`
	ClipID    string           `json:"clip_id"`
	Clips     []providers.Clip `json:"clips" doc:"the takes; rerun with edit.clip_id takes another one"`
	Alignment float64          `json:"alignment" doc:"0 to 1: how sure the times of the lines are"`
	Lines     []providers.Line `json:"lines" doc:"with times in seconds from the start of the audio"`
}

type videoResult struct {
	URL      string  `json:"url"`
	CoverURL string  `json:"cover_url,omitempty"`
	Seconds  float64 `json:"seconds"`
	Width    int     `json:"width"`
	Height   int     `json:"height"`
}

func viewCrawl(p store.Project, images []store.Image) *crawlResult {
	result := &crawlResult{PlaceID: p.PlaceID, Name: p.StoreName, Category: p.Category, Region: p.Region, DetailRegionInfo: p.DetailRegionInfo,
		Address: p.Address, RoadAddress: p.RoadAddress, Phone: p.Phone, Description: p.Description, Facilities: p.Facilities.V, LeftOut: p.LeftOut.V, Images: []imageView{}}
	for _, i := range images {
		result.Images = append(result.Images, imageView{Position: i.Position, URL: i.URL, ContentType: i.ContentType, Width: i.Width,
			Height: i.Height, SizeBytes: i.SizeBytes})
	}
	return result
}

func viewSong(s store.Song) *songResult {
	return &songResult{AudioURL: s.URL, Seconds: s.Seconds, Style: s.Style, ClipID: s.ClipID, Clips: s.Clips.V, Alignment: s.Alignment,
		Lines: append([]providers.Line{}, s.Lines...)}
}

// StagePath is a stage in a path; exported like TaskPath.
type StagePath struct {
	Stage events.Stage `path:"stage" enum:"crawl,intel,lyric,song,video,upload"`
}
