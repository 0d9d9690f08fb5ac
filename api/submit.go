package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"castad/internal/crash"
	"castad/internal/fault"
	"castad/providers"
	"castad/scraper"
	"castad/store"
)

// hitInput is one result of a place search, as the search gave it.
type hitInput struct {
	Title       string  `json:"title" minLength:"1" maxLength:"200"`
	Category    string  `json:"category,omitempty" maxLength:"200"`
	Address     string  `json:"address,omitempty" maxLength:"300"`
	RoadAddress string  `json:"roadAddress,omitempty" maxLength:"300"`
	Longitude   float64 `json:"longitude,omitempty" minimum:"-180" maximum:"180" doc:"WGS84 degrees"`
	Latitude    float64 `json:"latitude,omitempty" minimum:"-90" maximum:"90" doc:"WGS84 degrees"`
}

// placeInput is a place given by hand.
type placeInput struct {
	Name             string   `json:"name" minLength:"1" maxLength:"200" example:"숲속의 아침 펜션"`
	Region           string   `json:"region" minLength:"1" maxLength:"100" example:"경기 가평군"`
	DetailRegionInfo string   `json:"detail_region_info,omitempty" maxLength:"300"`
	Images           []string `json:"images" minItems:"1" maxItems:"30" doc:"public addresses, or those that POST /images answers"`
}

type musicInput struct {
	Genre string `json:"genre,omitempty" maxLength:"60"`
	Vocal string `json:"vocal,omitempty" maxLength:"60"`
	Tempo string `json:"tempo,omitempty" maxLength:"60"`
	Mood  string `json:"mood,omitempty" maxLength:"60"`
}

type targetInput struct {
	Platform  string     `json:"platform" enum:"youtube,instagram"`
	Privacy   string     `json:"privacy,omitempty" enum:"public,unlisted,private" default:"public"`
	PublishAt *time.Time `json:"publish_at,omitempty" doc:"not before this; without it as soon as possible"`
}

type submission struct {
	URL         string        `json:"url,omitempty" maxLength:"2048" doc:"a place on Naver Map: its address, share link, or the share button's text"`
	Hit         *hitInput     `json:"hit,omitempty"`
	Place       *placeInput   `json:"place,omitempty"`
	Language    string        `json:"language,omitempty" enum:"Korean,English,Chinese,Japanese,Thai,Vietnamese" default:"Korean"`
	Music       musicInput    `json:"music,omitempty"`
	Publish     []targetInput `json:"publish,omitempty" maxItems:"2" doc:"nothing: the task is complete after video"`
	HoldAfter   []string      `json:"hold_after,omitempty" maxItems:"5" uniqueItems:"true" enum:"crawl,intel,lyric,song,video" doc:"stages after which the task waits for POST …/resume"`
	Orientation string        `json:"orientation,omitempty" enum:"vertical,horizontal" default:"vertical"`
	CallbackURL string        `json:"callback_url,omitempty" maxLength:"2048"`
}

type submitInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"257" doc:"the same key with the same body gives the same task; quotes around it are dropped"`
	Body           submission
}

type submitOutput struct {
	Status     int
	Location   string `header:"Location"`
	RetryAfter int    `header:"Retry-After"`
	Replayed   string `header:"Idempotent-Replayed"`
	Body       taskView
}

// retryAfterSeconds is when it is worth to look at a task again.
const retryAfterSeconds = 2

func (s *server) submit(ctx context.Context, in *submitInput) (*submitOutput, error) {
	order, err := s.order(ctx, in)
	if err != nil {
		return nil, err
	}
	made, err := s.accept(ctx, order)
	if err != nil {
		return nil, err
	}
	out := &submitOutput{Status: http.StatusAccepted, Location: taskPath(made.TaskID), RetryAfter: retryAfterSeconds}
	if made.Task != nil {
		noteOf(ctx).taskID = made.TaskID
		out.Body = viewOf(made.Task, made.Runs)
		return out, nil
	}
	out.Replayed = "true"
	out.Body, err = s.loadView(ctx, order.UserUUID, made.TaskID)
	return out, err
}

// accept returns the task that the same submission has made before, or makes it. The place is looked at only for a new
// one: that it has vanished since must not hide a task that was accepted.
func (s *server) accept(ctx context.Context, order store.Submission) (store.Accepted, error) {
	taskID, err := s.DB.FindSubmitted(ctx, order)
	if !errors.Is(err, store.ErrNotFound) {
		return store.Accepted{TaskID: taskID}, err
	}
	if err := s.lookUp(ctx, order.Source); err != nil {
		return store.Accepted{}, err
	}
	crash.At("api", "before_submit", "")
	made, err := s.DB.Accept(ctx, order)
	crash.At("api", "after_submit", "")
	return made, err
}

// order checks a submission and puts it into the store's words.
func (s *server) order(ctx context.Context, in *submitInput) (store.Submission, error) {
	b := in.Body
	source, err := s.source(b)
	if err != nil {
		return store.Submission{}, err
	}
	targets, err := targetsOf(b.Publish)
	if err != nil {
		return store.Submission{}, err
	}
	key, err := keyOf(in.IdempotencyKey)
	if err != nil {
		return store.Submission{}, err
	}
	if b.CallbackURL != "" {
		if err := s.CheckURL(b.CallbackURL); err != nil {
			return store.Submission{}, refused("url_refused", "body.callback_url", "The callback has to be a public address: "+reason(err)+".")
		}
	}
	out := store.Submission{UserUUID: callerOf(ctx).UUID, IdempotencyKey: key, Traceparent: noteOf(ctx).traceparent, Source: source,
		Language: providers.Language(b.Language), Music: store.Music(b.Music), Publish: targets, Holds: b.HoldAfter,
		Orientation: b.Orientation, CallbackURL: b.CallbackURL}
	out.EstimateMicros = estimate(s.Prices, out)
	return out, nil
}

// keyOf takes an Idempotency-Key as a quoted string, as draft-ietf-httpapi-idempotency-key-header-07 has it, or bare.
func keyOf(header string) (string, error) {
	key := strings.TrimSpace(header)
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	unfit := func(r rune) bool { return r < 0x20 || r > 0x7e }
	if len(key) > 255 || strings.ContainsFunc(key, unfit) || key == "" && header != "" {
		return "", refused("validation_failed", "header.Idempotency-Key", "An Idempotency-Key has 1 to 255 printable ASCII characters; a UUID is a good one.")
	}
	return key, nil
}

func (s *server) source(b submission) (store.Source, error) {
	given := 0
	for _, is := range []bool{b.URL != "", b.Hit != nil, b.Place != nil} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return store.Source{}, refused("source_required", "body",
			"Give exactly one of url (a place on Naver Map), hit (a result of the place search) and place (given by hand).")
	case b.Hit != nil:
		return hitSource(*b.Hit)
	case b.Place != nil:
		return s.manualSource(*b.Place)
	}
	if _, err := scraper.ParseURL(b.URL); err != nil {
		return store.Source{}, placeProblem(err, "body.url")
	}
	return store.Source{URL: strings.TrimSpace(b.URL)}, nil
}

func hitSource(h hitInput) (store.Source, error) {
	if strings.TrimSpace(h.Title) == "" {
		return store.Source{}, refused("validation_failed", "body.hit.title", "The hit's title is blank. Send the hit as the search gave it.")
	}
	hit := providers.Hit(h)
	return store.Source{Hit: &hit}, nil
}

func (s *server) manualSource(p placeInput) (store.Source, error) {
	m := store.Manual{Name: strings.TrimSpace(p.Name), Region: strings.TrimSpace(p.Region),
		DetailRegionInfo: strings.TrimSpace(p.DetailRegionInfo), Images: p.Images}
	if m.Name == "" || m.Region == "" {
		return store.Source{}, refused("validation_failed", "body.place", "The place's name and region may not be blank.")
	}
	if len(p.Images) == 0 { // null passes as a list of any length
		return store.Source{}, refused("validation_failed", "body.place.images", "A place given by hand needs at least one image.")
	}
	for i, image := range p.Images {
		if err := s.CheckURL(image); err != nil {
			return store.Source{}, refused("url_refused", fmt.Sprintf("body.place.images[%d]", i),
				"An image has to be at a public address; upload it with POST /images otherwise: "+reason(err)+".")
		}
	}
	return store.Source{Manual: &m}, nil
}

// latestPublish is within the 30 days for which the language model's answer and the renderer's file can be had again (docs of
// OpenAI and Creatomate), should text or video have to be read anew, with days to spare for what goes wrong.
const latestPublish = 25 * 24 * time.Hour

func targetsOf(list []targetInput) ([]store.Target, error) {
	seen := map[string]bool{}
	targets := []store.Target{}
	for i, t := range list {
		if seen[t.Platform] {
			return nil, refused("publish_twice", fmt.Sprintf("body.publish[%d].platform", i), "Name each platform once.")
		}
		seen[t.Platform] = true
		if t.Platform == "instagram" && t.Privacy != "" && t.Privacy != "public" {
			return nil, refused("instagram_only_public", fmt.Sprintf("body.publish[%d].privacy", i),
				"A reel is public to everybody: leave Instagram out, or say public.")
		}
		if t.PublishAt != nil && time.Until(*t.PublishAt) > latestPublish {
			return nil, refused("publish_too_late", fmt.Sprintf("body.publish[%d].publish_at", i),
				"A publication can be planned up to 25 days ahead: submit it nearer to that day.")
		}
		target := store.Target{Platform: t.Platform, Privacy: t.Privacy}
		if t.PublishAt != nil {
			at := t.PublishAt.UTC()
			target.PublishAt = &at
		}
		targets = append(targets, target)
	}
	return targets, nil
}

// lookUp asks the source whether the place is there, for a short time. Only a sure no is an answer: all other trouble is
// left to the crawl stage, which has time and attempts.
func (s *server) lookUp(ctx context.Context, source store.Source) error {
	if s.Places == nil || s.LookUp <= 0 || source.Manual != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.LookUp)
	defer cancel()
	location := "body.url"
	var err error
	if source.Hit != nil {
		location = "body.hit"
		_, _, err = s.Places.FindHit(ctx, *source.Hit)
	} else {
		err = s.lookAtURL(ctx, source.URL)
	}
	if err == nil || !surelyNot[fault.Of(err).Code] {
		return nil
	}
	return placeProblem(err, location)
}

func (s *server) lookAtURL(ctx context.Context, raw string) error {
	ref, err := scraper.ParseURL(raw)
	if err == nil && ref.PlaceID == "" {
		ref, err = s.Places.Resolve(ctx, ref)
	}
	if err == nil {
		_, err = s.Places.Place(ctx, ref.PlaceID, ref.Type)
	}
	return err
}

// surelyNot are the findings that no later attempt will change.
var surelyNot = map[string]bool{
	"place_not_found": true, "place_ambiguous": true, "not_a_place_url": true, "url_not_naver": true, "place_id_missing": true,
}

// placeProblem answers with what the scraper says to people.
func placeProblem(err error, location string) *Problem {
	return refused(fault.Of(err).Code, location, sentence(reason(err)))
}

// reason is what a fault says to people, without its code.
func reason(err error) string {
	if f := fault.Of(err); f.Err != nil {
		return f.Err.Error()
	}
	return err.Error()
}

func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:] + "."
}

func (s *server) addTasks(api huma.API) {
	op := owner(operation(http.MethodPost, "/tasks", "submit-task", "Make a video of a place"))
	op.Description = "Answers at once; the six stages follow by themselves. Watch them at links.events, or ask again after Retry-After seconds."
	op.DefaultStatus = http.StatusAccepted
	add(s, api, tagged(op, "Tasks"), s.submit)
	add(s, api, tagged(owner(operation(http.MethodGet, "/tasks", "list-tasks", "Your tasks, newest first")), "Tasks"), s.listTasks)
	op = owner(operation(http.MethodGet, "/tasks/{task_id}", "load-task", "A task with all its stages"))
	op.Description = "Send the ETag of the last answer as If-None-Match: 304 says that nothing has changed."
	add(s, api, tagged(op, "Tasks"), s.loadTask)
}

func tagged(op huma.Operation, tag string) huma.Operation {
	op.Tags = []string{tag}
	return op
}
