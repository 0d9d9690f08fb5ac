package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/gif"  // first frame
	_ "image/jpeg" // the usual photo
	_ "image/png"
	"io"
	"slices"
	"strings"

	"github.com/rs/zerolog"
	_ "golang.org/x/image/webp" // what new sites serve
	"golang.org/x/sync/errgroup"

	"castad/internal/fault"
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

// Album copies photos into the blob store.
type Album struct {
	Fetch imageFetcher
	Blobs blobStore
	Most  int // photos of one video
}

// Skipped is a photo that couldn't be used, and why.
type Skipped struct {
	URL    string
	Reason string
}

const (
	atOnce    = 4          // downloads of one run
	mostPixel = 80_000_000 // beyond that a picture is a bomb, not a photo
	leastSide = 64         // pixels; smaller ones are icons
)

// Keep copies the first usable photos, in order, to names that depend on the run alone, so that doing it again
// overwrites. Photos that aren't usable are left out and named. Errors: "no_usable_photo" when none is; anything
// passing when the store or the network is away.
func (a *Album) Keep(ctx context.Context, run store.Run, urls []string) ([]store.Image, []Skipped, error) {
	urls = urls[:min(len(urls), 2*a.Most)]
	kept := make([]*store.Image, len(urls))
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

func (a *Album) choose(ctx context.Context, urls []string, kept []*store.Image, failures []error) ([]store.Image, []Skipped, error) {
	var images []store.Image
	var skipped []Skipped
	for i, photo := range kept {
		if failures[i] != nil {
			skipped = append(skipped, Skipped{URL: urls[i], Reason: failures[i].Error()})
			zerolog.Ctx(ctx).Info().Int("photo", i).AnErr("cause", failures[i]).Msg("photo left out")
			continue
		}
		if len(images) < a.Most {
			photo.Position = len(images)
			images = append(images, *photo)
		}
	}
	if len(images) == 0 {
		return nil, nil, none(failures)
	}
	return images, skipped, nil
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

func (a *Album) one(ctx context.Context, run store.Run, position int, url string) (*store.Image, error) {
	data, contentType, err := a.Fetch.Image(ctx, url)
	if err != nil {
		return nil, err
	}
	config, format, err := image.DecodeConfig(bytes.NewReader(data))
	switch {
	case err != nil:
		return nil, fault.Stop("photo_unreadable", err)
	case config.Width < leastSide || config.Height < leastSide:
		return nil, fault.Stop("photo_too_small", fmt.Errorf("%dx%d pixels", config.Width, config.Height))
	case config.Width*config.Height > mostPixel:
		return nil, fault.Stop("photo_too_large", fmt.Errorf("%dx%d pixels", config.Width, config.Height))
	}
	name := fmt.Sprintf("%s/crawl-%d/photo-%02d.%s", run.TaskID, run.Revision, position, format)
	kept, err := a.Blobs.Keep(ctx, name, contentType, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return &store.Image{TaskID: run.TaskID, Revision: run.Revision, URL: kept, SourceURL: url, ContentType: contentType,
		Width: config.Width, Height: config.Height, SizeBytes: int64(len(data))}, nil
}
