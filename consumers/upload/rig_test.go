package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"

	"castad/events"
	"castad/internal/author"
	"castad/internal/config"
	"castad/internal/fault"
	"castad/internal/testkit"
	"castad/prompts"
	"castad/providers"
	"castad/providers/azblob"
	"castad/providers/instagram"
	"castad/providers/sandbox/places"
	"castad/providers/youtube"
	"castad/store"
)

const (
	owner   = "0199d4a0-0000-7000-8000-000000000001"
	account = "17841400000000001"

	sessions   = "POST /youtube/upload/youtube/v3/videos"
	chunks     = "PUT /youtube/upload/youtube/v3/videos"
	uploads    = "GET /youtube/youtube/v3/playlistItems"
	containers = "POST /instagram/v25.0/" + account + "/media?"
	releases   = "POST /instagram/v25.0/" + account + "/media_publish"
	reels      = "GET /instagram/v25.0/" + account + "/media?"

	// firstContainer and what begins like it is a container at the sandbox; a post's id begins otherwise.
	firstContainer = "GET /instagram/v25.0/179"
)

// movie is a video of more than two of the smallest chunks.
var movie = bytes.Repeat([]byte("가평 숲길 영상 "), 30_000)

// rig is the stage with the real clients on a sandbox, and a task that has everything but its posts.
type rig struct {
	*box
	*Stage
	youtube   *YouTube
	instagram *Instagram
	movies    *azblob.Client
	rows      *sql.DB
	claim     store.Claim
}

func atUpload(t *testing.T, targets ...store.Target) *rig {
	t.Helper()
	dsn := testkit.Database(t)
	db, err := store.Open(store.Settings{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	rows, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rows.Close() })
	b := openBox(t)
	r := &rig{box: b, rows: rows, movies: b.blobs(t)}
	r.youtube = &YouTube{DB: db, Blobs: r.movies, Client: r.channel("refresh")}
	r.instagram = &Instagram{DB: db, Blobs: r.movies, Interval: time.Second,
		Client: instagram.New(instagram.Config{BaseURL: b.URL + "/instagram/v25.0", UserID: account, Token: "token"})}
	r.Stage = &Stage{DB: db, Author: writer(t, db, b.URL), Prompts: library(t),
		Platforms: map[string]platform{"youtube": r.youtube, "instagram": r.instagram}}
	r.claim = r.filmed(t, targets...)
	return r
}

// channel is the real client with the smallest chunks, and without patience.
func (r *rig) channel(refresh string) *youtube.Client {
	return youtube.New(youtube.Config{APIURL: r.URL + "/youtube", TokenURL: r.URL + "/google/token", WatchURL: r.URL + "/youtube",
		ClientID: "id", ClientSecret: "secret", RefreshToken: refresh, ChunkBytes: 256 << 10, Tries: 2, Pause: time.Millisecond})
}

func writer(t *testing.T, db *store.DB, url string) *author.Author {
	t.Helper()
	var prices providers.TokenPrices
	if err := prices.UnmarshalText([]byte("*=250000/2000000")); err != nil {
		t.Fatal(err)
	}
	return author.New(db, config.OpenAI{URL: url + "/openai/v1", Key: "key", Timeout: 20 * time.Second, Look: time.Second, Longest: time.Hour}, prices)
}

func library(t *testing.T) *prompts.Library {
	t.Helper()
	library, err := prompts.Open("", prompts.Models{})
	if err != nil {
		t.Fatal(err)
	}
	return library
}

const (
	placeName = "숲속하루펜션"
	region    = "경기 가평군"
)

// filmed returns the claim of the upload run of a task that has its place, report and video.
func (r *rig) filmed(t *testing.T, targets ...store.Target) store.Claim {
	t.Helper()
	id, _, err := r.DB.Submit(t.Context(), store.Submission{UserUUID: owner, Language: providers.Korean, Orientation: "vertical", Publish: targets})
	if err != nil {
		t.Fatal(err)
	}
	r.completed(t, id, events.Crawl, func(tx *store.Tx) error {
		return tx.SaveProject(t.Context(), store.Project{TaskID: id, UserUUID: owner, StoreName: placeName, Region: region, Language: providers.Korean})
	})
	r.completed(t, id, events.Intel, func(tx *store.Tx) error {
		return tx.SaveMarketing(t.Context(), store.Marketing{TaskID: id, Revision: 1, Language: providers.Korean, Result: written(t, "marketing")})
	})
	nothing := func(*store.Tx) error { return nil }
	r.completed(t, id, events.Lyric, nothing)
	r.completed(t, id, events.Song, nothing)
	r.film(t, id)
	return r.claimed(t, id, events.Upload)
}

// film completes the video stage.
func (r *rig) film(t *testing.T, id string) {
	t.Helper()
	c := r.claimed(t, id, events.Video)
	url, err := r.movies.Keep(t.Context(), fmt.Sprintf("%s/video-%d.mp4", id, c.Revision), "video/mp4", bytes.NewReader(movie))
	if err != nil {
		t.Fatal(err)
	}
	err = r.DB.Complete(t.Context(), c, func(tx *store.Tx) error {
		return tx.SaveVideo(t.Context(), store.Video{TaskID: id, Revision: c.Revision, UserUUID: owner, RenderID: "render", MovieURL: url, Seconds: 61, Width: 1080, Height: 1920})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// written is a document as the language model answers it.
func written(t *testing.T, schema string) json.RawMessage {
	t.Helper()
	facts, err := json.Marshal(map[string]string{"name": placeName, "region": region, "language": "Korean"})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := places.Answer(schema, facts)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func (r *rig) completed(t *testing.T, id string, s events.Stage, save func(tx *store.Tx) error) {
	t.Helper()
	if err := r.DB.Complete(t.Context(), r.claimed(t, id, s), save); err != nil {
		t.Fatalf("complete %s: %v", s, err)
	}
}

func (r *rig) claimed(t *testing.T, id string, s events.Stage) store.Claim {
	t.Helper()
	c, answer, err := r.DB.Claim(t.Context(), id, s, "test", 10*time.Minute, 5)
	if err != nil || answer != store.Claimed {
		t.Fatalf("claim %s: %d, %v", s, answer, err)
	}
	return c
}

// published looks until everything is out.
func (r *rig) published(t *testing.T) []store.SocialUpload {
	t.Helper()
	var out []store.SocialUpload
	testkit.Eventually(t, "the video is published", func() bool {
		r.due(t)
		outcome, err := r.Work(t.Context(), r.claim)
		if err != nil {
			t.Fatal(err)
		}
		out = outcome.Result
		return outcome.Rest == 0
	})
	return out
}

// wantFault looks until an attempt fails, which has to be as said.
func (r *rig) wantFault(t *testing.T, kind fault.Kind, code string) *fault.Error {
	t.Helper()
	var failure *fault.Error
	testkit.Eventually(t, "an attempt fails with "+code, func() bool {
		r.due(t)
		outcome, err := r.Work(t.Context(), r.claim)
		if failure = fault.Of(err); failure == nil && outcome.Rest == 0 {
			t.Fatalf("wanted %s (%s), got %+v", code, kind, outcome)
		}
		return failure != nil
	})
	if failure.Kind != kind || failure.Code != code {
		t.Fatalf("wanted %s (%s), got %v (%s)", code, kind, failure, failure.Kind)
	}
	return failure
}

// wantPosts checks what is out there, whoever knows of it.
func (r *rig) wantPosts(t *testing.T, onYouTube, onInstagram int) {
	t.Helper()
	if videos, reels := r.posts(t, "youtube"), r.posts(t, "instagram"); videos != onYouTube || reels != onInstagram {
		t.Errorf("%d videos and %d reels are out, wanted %d and %d", videos, reels, onYouTube, onInstagram)
	}
}

// due lets the rests of all posts be over.
func (r *rig) due(t *testing.T) {
	t.Helper()
	if _, err := r.rows.ExecContext(t.Context(), "UPDATE `social_upload` SET `due_at`=NULL"); err != nil {
		t.Fatal(err)
	}
}

// planned gives the posts that are planned another time.
func (r *rig) planned(t *testing.T, at time.Time) {
	t.Helper()
	if _, err := r.rows.ExecContext(t.Context(), "UPDATE `social_upload` SET `publish_at`=? WHERE `publish_at` IS NOT NULL", at.UTC()); err != nil {
		t.Fatal(err)
	}
}

// later lets the calls so far lie back in time.
func (r *rig) later(t *testing.T) {
	t.Helper()
	_, err := r.rows.ExecContext(t.Context(), "UPDATE `provider_job` SET `sent_at`=`sent_at` - INTERVAL 2 DAY, `answered_at`=`answered_at` - INTERVAL 2 DAY")
	if err != nil {
		t.Fatal(err)
	}
}

var (
	onYouTube   = store.Target{Platform: "youtube", Privacy: "unlisted"}
	onInstagram = store.Target{Platform: "instagram"}
)
