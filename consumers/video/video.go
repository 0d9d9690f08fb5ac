package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"castad/internal/fault"
	"castad/internal/worker"
	"castad/providers"
	"castad/providers/creatomate"
	"castad/store"
)

// renderer is the paid service.
type renderer interface {
	Submit(ctx context.Context, order providers.RenderOrder) (id string, err error)
	Look(ctx context.Context, id string) (providers.Render, error)
	// FindByMetadata returns the id of the render that was ordered with this metadata.
	FindByMetadata(ctx context.Context, metadata string) (id string, found bool, err error)
}

// fileFetcher streams a provider's result file.
type fileFetcher interface {
	Stream(ctx context.Context, url string, limit int64) (io.ReadCloser, string, int64, error)
}

// blobStore keeps files under names of ours; the same name again replaces the file. What Keep returns is written down,
// what Sign makes of it is handed out.
type blobStore interface {
	Keep(ctx context.Context, name, contentType string, r io.Reader) (address string, err error)
	Sign(address string) (url string, err error)
}

// Stage makes the video of a task's photos, song, timed lyrics, name and region, and keeps its file and cover.
type Stage struct {
	DB        *store.DB
	Renderer  renderer
	Fetch     fileFetcher
	Blobs     blobStore
	Callbacks string        // the URL that a job's token is added to
	FirstLook time.Duration // after the order; 0 looks at once
	Interval  time.Duration // between two looks
	Credit    int64         // price of a credit, in micro-dollars
}

const (
	mostMovie     = 512 << 20 // bytes
	mostCover     = 8 << 20
	submitTimeout = 60 * time.Second
	jobWorking    = "render_working"
)

// Work may be called any number of times for one run: PayOnce returns the job that an earlier attempt ordered, and Keep
// overwrites the same files.
func (s *Stage) Work(ctx context.Context, c store.Claim) (worker.Outcome[store.Video], error) {
	composition, err := s.compose(ctx, c)
	if err != nil {
		return worker.Outcome[store.Video]{}, err
	}
	job, err := s.order(ctx, c, composition)
	if err != nil {
		return worker.Outcome[store.Video]{}, err
	}
	if job.Fresh && s.FirstLook > 0 {
		return worker.Wait[store.Video](s.FirstLook, jobWorking, "The video is being rendered.")
	}
	render, err := s.Renderer.Look(ctx, job.ExternalID)
	switch {
	case err != nil:
		return worker.Outcome[store.Video]{}, fmt.Errorf("look at render %s: %w", job.ExternalID, err)
	case render.Progress == providers.Broken:
		return worker.Outcome[store.Video]{}, s.DB.Broken(ctx, job, "render_failed",
			&providers.BrokenError{Code: "failed", Reason: render.Reason})
	case render.Progress != providers.Done:
		return worker.Wait[store.Video](worker.LookAgain(job.Age(), s.Interval), jobWorking, "The video is being rendered.")
	}
	return s.take(ctx, c, composition, job.ExternalID, render)
}

// compose gathers all that the video is made of.
func (s *Stage) compose(ctx context.Context, c store.Claim) (providers.Composition, error) {
	project, err := s.DB.LoadProject(ctx, c.TaskID)
	if err != nil {
		return providers.Composition{}, err
	}
	images, err := s.DB.LoadImages(ctx, c.TaskID)
	if err != nil {
		return providers.Composition{}, err
	}
	song, err := s.DB.LoadSong(ctx, c.TaskID)
	if err != nil {
		return providers.Composition{}, err
	}
	composition := providers.Composition{Name: project.StoreName, Region: project.Region, Language: c.Task.Language,
		Mood: c.Task.Music.V.Mood, Width: 1080, Height: 1920, Seconds: song.Seconds, SongURL: song.URL, Lines: song.Lines}
	if c.Task.Orientation == "horizontal" {
		composition.Width, composition.Height = 1920, 1080
	}
	for _, image := range images {
		composition.Photos = append(composition.Photos, image.URL)
	}
	return composition, nil
}

// order pays for the render once.
func (s *Stage) order(ctx context.Context, c store.Claim, composition providers.Composition) (store.Job, error) {
	return s.DB.PayOnce(ctx, c, store.Paid{
		Purpose: "render", Provider: "creatomate", Request: providers.RenderOrder{Composition: composition},
		PriceMicros: s.Credit * creatomate.Credits(composition.Width, composition.Height, composition.Seconds), Timeout: submitTimeout,
		Call: func(ctx context.Context, job store.Job) (string, error) {
			var frozen providers.RenderOrder
			if err := job.Decode(&frozen); err != nil {
				return "", fault.Stop("request_unreadable", err)
			}
			frozen.CallbackURL, frozen.Metadata = s.Callbacks+job.Token, metadata(job)
			if err := s.sign(&frozen.Composition); err != nil {
				return "", err
			}
			return s.Renderer.Submit(ctx, frozen)
		},
		Find: s.find,
	})
}

// sign makes the composition's files readable for the renderer. It comes last before the call: the frozen order may be
// days old, and its addresses don't end, but signatures do.
func (s *Stage) sign(composition *providers.Composition) (err error) {
	if composition.SongURL, err = s.Blobs.Sign(composition.SongURL); err != nil {
		return err
	}
	for i, photo := range composition.Photos {
		if composition.Photos[i], err = s.Blobs.Sign(photo); err != nil {
			return err
		}
	}
	return nil
}

// metadata comes back with the render and its webhook; it names the run and the try.
func metadata(job store.Job) string {
	raw, _ := json.Marshal(map[string]any{"task_id": job.TaskID, "revision": job.Revision, "try": job.Try}) // strings and numbers: can't fail
	return string(raw)
}

// find adopts the render that carries the call's metadata: by the webhook's word, else by the provider's list. A list
// that doesn't have it proves nothing, because the list isn't documented.
func (s *Stage) find(ctx context.Context, job store.Job) (string, error) {
	if job.HintedID != "" {
		render, err := s.Renderer.Look(ctx, job.HintedID)
		if err == nil && render.Metadata == metadata(job) {
			return job.HintedID, nil
		}
	}
	id, found, err := s.Renderer.FindByMetadata(ctx, metadata(job))
	if err != nil || found {
		return id, err
	}
	return "", fault.Unsure(store.CodeOutcomeUnknown, errors.New("no webhook has named the render, and the list doesn't show it"))
}

// take keeps the movie and its cover.
func (s *Stage) take(ctx context.Context, c store.Claim, composition providers.Composition, id string, render providers.Render) (worker.Outcome[store.Video], error) {
	video := store.Video{TaskID: c.TaskID, Revision: c.Revision, UserUUID: c.Task.UserUUID, RenderID: id,
		Seconds: render.Seconds, Width: composition.Width, Height: composition.Height}
	var err error
	if video.MovieURL, err = s.keep(ctx, fmt.Sprintf("%s/video-%d.mp4", c.TaskID, c.Revision), render.MovieURL, mostMovie); err != nil {
		return worker.Outcome[store.Video]{}, fmt.Errorf("keep the movie of render %s: %w", id, err)
	}
	if render.CoverURL != "" {
		if video.CoverURL, err = s.keep(ctx, fmt.Sprintf("%s/cover-%d.jpg", c.TaskID, c.Revision), render.CoverURL, mostCover); err != nil {
			return worker.Outcome[store.Video]{}, fmt.Errorf("keep the cover of render %s: %w", id, err)
		}
	}
	return worker.Done(video)
}

func (s *Stage) keep(ctx context.Context, name, url string, most int64) (string, error) {
	file, contentType, _, err := s.Fetch.Stream(ctx, url, most)
	if err != nil {
		return "", err
	}
	defer file.Close()
	return s.Blobs.Keep(ctx, name, contentType, file)
}

// Save writes the video.
func (s *Stage) Save(ctx context.Context, tx *store.Tx, _ store.Claim, video store.Video) error {
	return tx.SaveVideo(ctx, video)
}
