package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"castad/internal/fault"
	"castad/media"
	"castad/store"
)

// imageFetcher gets a picture from an address that others named; it is the guarded client.
type imageFetcher interface {
	Image(ctx context.Context, url string) (data []byte, contentType string, err error)
}

// blobStore keeps files under names of ours; the same name again replaces the file.
type blobStore interface {
	Keep(ctx context.Context, name, contentType string, r io.Reader) (url string, err error)
}

// Album copies photos into the blob store, made so that every renderer can show them. Start with NewAlbum.
type Album struct {
	Fetch imageFetcher
	Blobs blobStore
	Most  int // photos of one video

	memory *semaphore.Weighted
}

const (
	atOnce = 4 // downloads of one run
	// decoding is the memory for pictures of all runs together; the largest one that is let in needs nearly all of it.
	decoding = 640 << 20
)

// NewAlbum returns an album for so many photos a video.
func NewAlbum(fetch imageFetcher, blobs blobStore, most int) *Album {
	return &Album{Fetch: fetch, Blobs: blobs, Most: most, memory: semaphore.NewWeighted(decoding)}
}

// Keep copies the first usable photos, in order, to names that depend on the run alone, so that doing it again
// overwrites. Photos that aren't usable are left out and named. Errors: "no_usable_photo" when none is; anything
// passing when the store or the network is away.
func (a *Album) Keep(ctx context.Context, run store.Run, urls []string) ([]store.Image, []store.LeftOut, error) {
	urls = urls[:min(len(urls), 2*a.Most)]
	kept := make([]*photo, len(urls))
	failures := make([]error, len(urls))
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, url := range urls {
		group.Go(func() error {
			image, err := a.one(working, run, i, url)
			if fault.Of(err) != nil && fault.Of(err).Kind != fault.Permanent && !unreachable(err) {
				return fmt.Errorf("keep photo %d: %w", i, err)
			}
			kept[i], failures[i] = image, err
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	if err := ctx.Err(); err != nil { // what couldn't be reached any more may be fine
		return nil, nil, fmt.Errorf("keep photos: %w", err)
	}
	return a.choose(ctx, urls, kept, failures)
}

// unreachable reports whether the photo's own host is the trouble, which mustn't hold up the others.
func unreachable(err error) bool { return strings.HasPrefix(fault.Of(err).Code, "url_") }

func (a *Album) choose(ctx context.Context, urls []string, kept []*photo, failures []error) ([]store.Image, []store.LeftOut, error) {
	var images []store.Image
	var left []store.LeftOut
	var prints []media.Print
	for i, photo := range kept {
		err := failures[i]
		if err == nil {
			err = seen(prints, photo.print)
		}
		if err != nil {
			left = append(left, store.LeftOut{URL: urls[i], Reason: err.Error()})
			zerolog.Ctx(ctx).Info().Int("photo", i).AnErr("cause", err).Msg("photo left out")
			continue
		}
		if len(images) < a.Most {
			photo.Position = len(images)
			images, prints = append(images, photo.Image), append(prints, photo.print)
		}
	}
	if len(images) == 0 {
		return nil, nil, none(failures)
	}
	return images, left, nil
}

// seen refuses a picture that the video has already.
func seen(prints []media.Print, one media.Print) error {
	if i := slices.IndexFunc(prints, one.Same); i >= 0 {
		return fault.Stop("photo_repeated", fmt.Errorf("the same picture as photo %d", i+1))
	}
	return nil
}

const noUsablePhoto = "no_usable_photo"

// none says why there is no photo at all; it is worth another attempt where only the network was away.
func none(failures []error) error {
	if len(failures) == 0 {
		return fault.Stop(noUsablePhoto, errors.New("the place has no photos: submit it by hand, with images"))
	}
	err := fmt.Errorf("none of %d photos could be used: %w", len(failures), errors.Join(failures...))
	if slices.ContainsFunc(failures, func(err error) bool { return fault.Of(err).Code == "url_unreachable" }) {
		return fault.Retry(noUsablePhoto, err)
	}
	return fault.Stop(noUsablePhoto, err)
}

// photo is one that was kept.
type photo struct {
	store.Image
	print media.Print
}

func (a *Album) one(ctx context.Context, run store.Run, position int, url string) (*photo, error) {
	data, _, err := a.Fetch.Image(ctx, url)
	if err != nil {
		return nil, err
	}
	clean, err := a.clean(ctx, data)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%s/crawl-%d/photo-%02d.%s", run.TaskID, run.Revision, position, clean.Format)
	contentType := "image/" + clean.Format
	kept, err := a.Blobs.Keep(ctx, name, contentType, bytes.NewReader(clean.Data))
	if err != nil {
		return nil, err
	}
	return &photo{print: clean.Print, Image: store.Image{TaskID: run.TaskID, Revision: run.Revision, URL: kept, SourceURL: url,
		ContentType: contentType, Width: clean.Width, Height: clean.Height, SizeBytes: int64(len(clean.Data))}}, nil
}

// clean decodes a picture when there is memory for it.
func (a *Album) clean(ctx context.Context, data []byte) (media.Clean, error) {
	size, err := media.MeasurePhoto(data)
	if err != nil {
		return media.Clean{}, err
	}
	if err := a.memory.Acquire(ctx, size.Memory()); err != nil {
		return media.Clean{}, fmt.Errorf("wait for memory: %w", err)
	}
	defer a.memory.Release(size.Memory())
	return media.CleanPhoto(data)
}
