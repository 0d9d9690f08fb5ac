package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"castad/internal/fault"
	"castad/internal/worker"
	"castad/providers"
	"castad/scraper"
	"castad/store"
)

// Result is what a crawl found. Project is nil when only the photos' order was edited.
type Result struct {
	Project *store.Project
	Images  []store.Image
}

// placeSource turns what was submitted into a place.
type placeSource interface {
	Resolve(ctx context.Context, ref scraper.Ref) (scraper.Ref, error)
	Place(ctx context.Context, placeID, typ string) (providers.Place, error)
	FindHit(ctx context.Context, hit providers.Hit) (placeID string, confidence float64, err error)
}

// Stage makes a project and its photos from a URL, a search hit, or a place given by hand.
type Stage struct {
	DB     *store.DB
	Source placeSource
	Photos *Album
	Fresh  time.Duration // how long a crawl of the same place by another task is used again
}

// leastConfidence is how sure the source has to be that a hit is the place it found.
const leastConfidence = 0.6

// Work may be called any number of times for one run: it only reads, and keeps photos under names that depend on the
// run alone.
func (s *Stage) Work(ctx context.Context, c store.Claim) (worker.Outcome[Result], error) {
	switch source := c.Task.Source.V; {
	case c.Edit.V != nil && c.Edit.V.PhotoOrder != nil:
		return s.reorder(ctx, c)
	case source.Manual != nil:
		return s.byHand(ctx, c, *source.Manual)
	case source.Hit != nil:
		id, confidence, err := s.Source.FindHit(ctx, *source.Hit)
		if err != nil {
			return worker.Outcome[Result]{}, fmt.Errorf("find the place of a search hit: %w", err)
		}
		if confidence < leastConfidence {
			return worker.Outcome[Result]{}, fault.Stop("place_ambiguous",
				errors.New("no place is surely the one of this search hit: submit the place's own address instead"))
		}
		return s.place(ctx, c, id, "place")
	default:
		return s.byURL(ctx, c, source.URL)
	}
}

func (s *Stage) byURL(ctx context.Context, c store.Claim, raw string) (worker.Outcome[Result], error) {
	ref, err := scraper.ParseURL(raw)
	if err != nil {
		return worker.Outcome[Result]{}, err
	}
	if ref.PlaceID == "" {
		if ref, err = s.Source.Resolve(ctx, ref); err != nil {
			return worker.Outcome[Result]{}, fmt.Errorf("follow the short link: %w", err)
		}
	}
	return s.place(ctx, c, ref.PlaceID, ref.Type)
}

// place crawls one place, or takes what another task found there a moment ago: a place is read slowly and rarely.
func (s *Stage) place(ctx context.Context, c store.Claim, id, typ string) (worker.Outcome[Result], error) {
	if c.Revision == 1 {
		if result, err := s.again(ctx, c, "nv"+id); !errors.Is(err, store.ErrNotFound) {
			return worker.Outcome[Result]{Result: result}, err
		}
	}
	place, err := s.Source.Place(ctx, id, typ)
	if err != nil {
		return worker.Outcome[Result]{}, fmt.Errorf("read place %s: %w", id, err)
	}
	urls := make([]string, len(place.Photos))
	for i, photo := range place.Photos {
		urls[i] = photo.URL
	}
	images, left, err := s.Photos.Keep(ctx, c.Run, urls)
	if err != nil {
		return worker.Outcome[Result]{}, err
	}
	project := projectOf(c, place)
	project.LeftOut.V = left
	return worker.Done(Result{Project: &project, Images: images})
}

// again copies the first crawl of another task of the same place; a later one may show its owner's choice of photos.
func (s *Stage) again(ctx context.Context, c store.Claim, placeID string) (Result, error) {
	project, err := s.DB.FindFreshProject(ctx, placeID, s.Fresh)
	if err != nil {
		return Result{}, err
	}
	images, err := s.DB.LoadImages(ctx, project.TaskID)
	if err != nil {
		return Result{}, err
	}
	if len(images) == 0 || images[0].Revision != 1 {
		return Result{}, store.ErrNotFound
	}
	for i := range images {
		images[i].TaskID, images[i].Revision = c.TaskID, c.Revision
	}
	project.TaskID, project.UserUUID, project.Language = c.TaskID, c.Task.UserUUID, c.Task.Language
	return Result{Project: &project, Images: images}, nil
}

func (s *Stage) byHand(ctx context.Context, c store.Claim, m store.Manual) (worker.Outcome[Result], error) {
	images, left, err := s.Photos.Keep(ctx, c.Run, m.Images)
	if err != nil {
		return worker.Outcome[Result]{}, err
	}
	project := projectOf(c, providers.Place{Name: m.Name, Region: m.Region, Detail: m.DetailRegionInfo})
	project.LeftOut.V = left
	return worker.Done(Result{Project: &project, Images: images})
}

// reorder shows the present photos in another order; photos that the order leaves out are left out of the video.
func (s *Stage) reorder(ctx context.Context, c store.Claim) (worker.Outcome[Result], error) {
	old, err := s.DB.LoadImages(ctx, c.TaskID)
	if err != nil {
		return worker.Outcome[Result]{}, err
	}
	var images []store.Image
	for position, from := range c.Edit.V.PhotoOrder {
		if from < 0 || from >= len(old) {
			return worker.Outcome[Result]{}, fault.Stop("photo_order_invalid",
				fmt.Errorf("there is no photo at position %d: the task has %d, counted from 0", from, len(old)))
		}
		image := old[from]
		image.Revision, image.Position = c.Revision, position
		images = append(images, image)
	}
	return worker.Done(Result{Images: images})
}

func projectOf(c store.Claim, p providers.Place) store.Project {
	return store.Project{
		TaskID: c.TaskID, UserUUID: c.Task.UserUUID, PlaceID: p.ID, StoreName: p.Name, Category: p.Category, Region: p.Region,
		DetailRegionInfo: p.Detail, Address: p.Address, RoadAddress: p.RoadAddress, Phone: p.Phone, Description: p.Description,
		Facilities: store.JSON[[]string]{V: p.Facilities}, Language: c.Task.Language,
	}
}

// Save writes the project and its photos.
func (s *Stage) Save(ctx context.Context, tx *store.Tx, _ store.Claim, r Result) error {
	if r.Project != nil {
		if err := tx.SaveProject(ctx, *r.Project); err != nil {
			return err
		}
	}
	return tx.SaveImages(ctx, r.Images)
}
