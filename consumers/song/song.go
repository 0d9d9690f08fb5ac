package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"castad/internal/fault"
	"castad/internal/worker"
	"castad/prompts"
	"castad/providers"
	"castad/providers/align"
	"castad/store"
)

// songMaker is the paid service.
type songMaker interface {
	Submit(ctx context.Context, order providers.SongOrder) (id string, err error)
	Look(ctx context.Context, id string) (providers.Song, error)
	Words(ctx context.Context, id, clipID string) ([]providers.Word, error)
	// Confirm reports whether the job of that id is the one that was ordered with this callback URL.
	Confirm(ctx context.Context, id, callbackURL string) (bool, error)
}

// fileFetcher streams a provider's result file.
type fileFetcher interface {
	Stream(ctx context.Context, url string, limit int64) (io.ReadCloser, string, int64, error)
}

// blobStore keeps files under names of ours; the same name again replaces the file.
type blobStore interface {
	Keep(ctx context.Context, name, contentType string, r io.Reader) (url string, err error)
}

// Stage makes one song from a task's lyrics and keeps its audio.
type Stage struct {
	DB          *store.DB
	Maker       songMaker
	Fetch       fileFetcher
	Blobs       blobStore
	Model       string
	Callbacks   string        // the URL that a job's token is added to
	FirstLook   time.Duration // after the order; 0 looks at once
	Interval    time.Duration // between two looks
	PriceMicros int64
}

const (
	wantedSeconds = 60.0
	mostAudio     = 64 << 20 // bytes
	submitTimeout = 60 * time.Second
	jobWorking    = "song_working"
)

// Work may be called any number of times for one run: PayOnce returns the job that an earlier attempt ordered, and Keep
// overwrites the same file.
func (s *Stage) Work(ctx context.Context, c store.Claim) (worker.Outcome[store.Song], error) {
	row, err := s.DB.LoadLyric(ctx, c.TaskID)
	if err != nil {
		return worker.Outcome[store.Song]{}, err
	}
	lyric := prompts.Lyric{Title: row.Title}
	if err := json.Unmarshal(row.Lines, &lyric.Lines); err != nil {
		return worker.Outcome[store.Song]{}, fault.Stop("lyric_unreadable", err)
	}
	if edit := c.Edit.V; edit != nil && edit.ClipID != "" {
		return s.otherClip(ctx, c, lyric, edit.ClipID)
	}
	order := providers.SongOrder{Title: lyric.Title, Lyrics: lyric.Sheet(), Style: prompts.Style(prompts.Music(c.Task.Music.V)),
		Gender: prompts.Gender(prompts.Music(c.Task.Music.V)), Model: s.Model}
	job, err := s.order(ctx, c, order)
	if err != nil {
		return worker.Outcome[store.Song]{}, err
	}
	if job.Fresh && s.FirstLook > 0 {
		return worker.Wait[store.Song](s.FirstLook, jobWorking, "The song is being made.")
	}
	song, err := s.Maker.Look(ctx, job.ExternalID)
	switch {
	case err != nil:
		return worker.Outcome[store.Song]{}, fmt.Errorf("look at song %s: %w", job.ExternalID, err)
	case song.Progress == providers.Broken:
		return worker.Outcome[store.Song]{}, s.broken(ctx, job, song)
	case song.Progress != providers.Done:
		return worker.Wait[store.Song](worker.LookAgain(job.Age(), s.Interval), jobWorking, "The song is being made.")
	}
	return s.take(ctx, c, lyric, order.Style, job.ExternalID, song.Clips, bestClip(song.Clips))
}

// order pays for the song once. The job's own callback URL is the only thing of ours that comes back from the provider:
// a callback on it names a job, and the job's record repeats the URL.
func (s *Stage) order(ctx context.Context, c store.Claim, order providers.SongOrder) (store.Job, error) {
	return s.DB.PayOnce(ctx, c, store.Paid{
		Purpose: "song", Provider: "suno", Request: order, PriceMicros: s.PriceMicros, Timeout: submitTimeout,
		Call: func(ctx context.Context, job store.Job) (string, error) {
			var frozen providers.SongOrder
			if err := job.Decode(&frozen); err != nil {
				return "", fault.Stop("request_unreadable", err)
			}
			frozen.CallbackURL = s.Callbacks + job.Token
			return s.Maker.Submit(ctx, frozen)
		},
		Find: s.find,
	})
}

// find adopts the job that a callback on the call's own URL has named. Without a callback nobody can tell.
func (s *Stage) find(ctx context.Context, job store.Job) (string, error) {
	if job.HintedID == "" {
		return "", fault.Unsure(store.CodeOutcomeUnknown, errors.New("no callback has named the song's job yet"))
	}
	ours, err := s.Maker.Confirm(ctx, job.HintedID, s.Callbacks+job.Token)
	if err != nil {
		return "", err
	}
	if !ours {
		return "", fault.Unsure(store.CodeOutcomeUnknown, errors.New("a callback named a job that isn't ours"))
	}
	return job.HintedID, nil
}

// broken closes a job that the provider has failed. Lyrics that it refuses would be refused again.
func (s *Stage) broken(ctx context.Context, job store.Job, song providers.Song) error {
	cause := &providers.BrokenError{Code: song.Code, Reason: song.Reason}
	if song.Code == "SENSITIVE_WORD_ERROR" {
		return fault.Stop("lyrics_refused", cause)
	}
	return s.DB.Broken(ctx, job, "song_failed", cause)
}

// take keeps a clip's audio and finds out when its lines are sung.
func (s *Stage) take(ctx context.Context, c store.Claim, lyric prompts.Lyric, style, jobID string, clips []providers.Clip, clip providers.Clip) (worker.Outcome[store.Song], error) {
	words, err := s.Maker.Words(ctx, jobID, clip.ID)
	if err != nil && fault.Of(err).Kind != fault.Permanent {
		return worker.Outcome[store.Song]{}, fmt.Errorf("ask for the words of clip %s: %w", clip.ID, err)
	}
	lines, sure := align.TimeLines(lyric.Texts(), words, clip.Seconds)
	url, err := s.keep(ctx, c, clip)
	if err != nil {
		return worker.Outcome[store.Song]{}, err
	}
	return worker.Done(store.Song{TaskID: c.TaskID, Revision: c.Revision, JobID: jobID, ClipID: clip.ID,
		Clips: store.JSON[[]providers.Clip]{V: clips}, Style: style, URL: url, Seconds: clip.Seconds, Alignment: sure, Lines: lines})
}

func (s *Stage) keep(ctx context.Context, c store.Claim, clip providers.Clip) (string, error) {
	audio, contentType, _, err := s.Fetch.Stream(ctx, clip.AudioURL, mostAudio)
	if err != nil {
		return "", fmt.Errorf("fetch the audio of clip %s: %w", clip.ID, err)
	}
	defer audio.Close()
	url, err := s.Blobs.Keep(ctx, fmt.Sprintf("%s/song-%d.mp3", c.TaskID, c.Revision), contentType, audio)
	if err != nil {
		return "", fmt.Errorf("keep the audio of clip %s: %w", clip.ID, err)
	}
	return url, nil
}

// otherClip takes another clip of a job that is paid already.
func (s *Stage) otherClip(ctx context.Context, c store.Claim, lyric prompts.Lyric, clipID string) (worker.Outcome[store.Song], error) {
	old, err := s.DB.LoadSong(ctx, c.TaskID)
	if err != nil {
		return worker.Outcome[store.Song]{}, err
	}
	for _, clip := range old.Clips.V {
		if clip.ID == clipID {
			return s.take(ctx, c, lyric, old.Style, old.JobID, old.Clips.V, clip)
		}
	}
	return worker.Outcome[store.Song]{}, fault.Stop("clip_unknown", fmt.Errorf("the song has no clip %q", clipID))
}

// bestClip is the one whose length is nearest to what a short video wants.
func bestClip(clips []providers.Clip) providers.Clip {
	best := clips[0]
	for _, clip := range clips[1:] {
		if math.Abs(clip.Seconds-wantedSeconds) < math.Abs(best.Seconds-wantedSeconds) {
			best = clip
		}
	}
	return best
}

// Save writes the song and its times.
func (s *Stage) Save(ctx context.Context, tx *store.Tx, _ store.Claim, song store.Song) error {
	return tx.SaveSong(ctx, song)
}
