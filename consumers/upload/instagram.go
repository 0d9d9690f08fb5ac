package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"castad/internal/fault"
	"castad/internal/worker"
	"castad/providers"
	"castad/providers/instagram"
	"castad/store"
)

// instagramClient publishes Reels in two steps: a container that fetches the video, and its publication.
type instagramClient interface {
	CreateContainer(ctx context.Context, videoURL, caption, coverURL string) (id string, err error)
	ContainerStatus(ctx context.Context, id string) (status, detail string, err error)
	Publish(ctx context.Context, containerID string) (mediaID string, err error)
	FindByMark(ctx context.Context, mark string, since time.Time) (mediaID string, found bool, err error)
	Permalink(ctx context.Context, mediaID string) (url string, err error)
	PublishingLimit(ctx context.Context) (used, may int, err error)
}

// blobSigner makes a kept file's address readable for a while without our key.
type blobSigner interface {
	Sign(address string) (url string, err error)
}

// Instagram publishes a Reel once a run. A container is free and invisible; only its publication must not be repeated
// blindly, and the container itself tells whether it was.
type Instagram struct {
	DB       *store.DB
	Client   instagramClient
	Blobs    blobSigner
	Interval time.Duration // between two looks at a container
}

const (
	captionRunes      = 2200
	mostHashtags      = 20
	publishTimeout    = 60 * time.Second
	containerLife     = 24 * time.Hour // of one that wasn't published
	publication       = "instagram-publish"
	codeContainerLost = "instagram_container_lost"
	codeUnreadable    = "instagram_object_unreadable"
)

// order is what a container is made of.
type order struct {
	VideoURL string `json:"video_url"`
	Caption  string `json:"caption"`
	CoverURL string `json:"cover_url"`
}

// Publish makes the container, rests while Instagram works on it, publishes it, and finds its link. Reels are public:
// anything else is refused with "instagram_only_public".
func (i *Instagram) Publish(ctx context.Context, c store.Claim, video store.Video, post providers.Post) (providers.Published, time.Duration, error) {
	if post.Privacy != "public" {
		return providers.Published{}, 0, fault.Stop("instagram_only_public",
			fmt.Errorf("a reel can't be %s: submit the video without Instagram, or as public", post.Privacy))
	}
	container, err := i.DB.PayOnce(ctx, c, store.Paid{
		Purpose: "instagram-container", Provider: "instagram", Harmless: true,
		Request: order{VideoURL: video.MovieURL, Caption: caption(post), CoverURL: video.CoverURL},
		Call: func(ctx context.Context, job store.Job) (string, error) {
			var o order
			if err := job.Decode(&o); err != nil {
				return "", fault.Stop("request_unreadable", err)
			}
			return i.create(ctx, o)
		},
	})
	if err != nil {
		return providers.Published{}, 0, err
	}
	status, detail, err := i.Client.ContainerStatus(ctx, container.ExternalID)
	switch {
	case lost(err) || err != nil && fault.Of(err).Code == codeUnreadable && container.Age() > containerLife:
		published, err := i.replace(ctx, c, container, post.Mark, err)
		return published, 0, err
	case err != nil:
		return providers.Published{}, 0, fmt.Errorf("look at container %s: %w", container.ExternalID, err)
	case status == instagram.Errored, status == instagram.Expired:
		return providers.Published{}, 0, i.spoilt(ctx, container, instagram.Failure(status, detail))
	case status != instagram.Finished && status != instagram.Published:
		return providers.Published{}, worker.LookAgain(container.Age(), i.Interval), nil
	}
	published, err := i.release(ctx, c, container, post.Mark)
	return published, 0, err
}

// create signs the files last before the call: the frozen order may be days old.
func (i *Instagram) create(ctx context.Context, o order) (string, error) {
	video, err := i.Blobs.Sign(o.VideoURL)
	if err != nil {
		return "", err
	}
	cover, err := i.Blobs.Sign(o.CoverURL)
	if err != nil {
		return "", err
	}
	return i.Client.CreateContainer(ctx, video, o.Caption, cover)
}

// release publishes the container, or finds it published.
func (i *Instagram) release(ctx context.Context, c store.Claim, made store.Job, mark string) (providers.Published, error) {
	container := made.ExternalID
	job, err := i.DB.PayOnce(ctx, c, store.Paid{
		Purpose: publication, Provider: "instagram", Request: container, Timeout: publishTimeout,
		Call: func(ctx context.Context, _ store.Job) (string, error) {
			if err := i.room(ctx); err != nil {
				return "", err
			}
			return i.Client.Publish(ctx, container)
		},
		Find: func(ctx context.Context, _ store.Job) (string, error) { return i.published(ctx, made, mark) },
	})
	switch {
	case lost(err):
		return i.replace(ctx, c, made, mark, err)
	case err != nil:
		return providers.Published{}, err
	}
	return i.link(ctx, job.ExternalID)
}

func (i *Instagram) link(ctx context.Context, media string) (providers.Published, error) {
	url, err := i.Client.Permalink(ctx, media)
	if err != nil {
		return providers.Published{}, fmt.Errorf("ask for the link of media %s: %w", media, err)
	}
	return providers.Published{ID: media, URL: url}, nil
}

func lost(err error) bool { return err != nil && fault.Of(err).Code == codeContainerLost }

// replace has the next attempt make another container for one that Instagram doesn't know any more. It may have vanished
// because it was published, so the account's posts are looked through first; and as long as nobody knows what became of
// its publication there is no other.
func (i *Instagram) replace(ctx context.Context, c store.Claim, container store.Job, mark string, cause error) (providers.Published, error) {
	media, found, err := i.Client.FindByMark(ctx, mark, container.PlannedAt)
	switch {
	case err != nil:
		return providers.Published{}, fmt.Errorf("look for the reel of container %s: %w", container.ExternalID, err)
	case found:
		return i.link(ctx, media)
	}
	job, err := i.DB.FindJob(ctx, c.Run, publication)
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return providers.Published{}, err
	case err == nil && job.Uncertain():
		return providers.Published{}, fault.Unsure(store.CodeOutcomeUnknown, fmt.Errorf("container %s may have been published: %w", container.ExternalID, cause))
	}
	return providers.Published{}, i.spoilt(ctx, container, fault.Retry(codeContainerLost, cause))
}

// published asks the container whether a lost call has published it. "" means that it surely has not.
func (i *Instagram) published(ctx context.Context, container store.Job, mark string) (string, error) {
	status, _, err := i.Client.ContainerStatus(ctx, container.ExternalID)
	switch {
	case err != nil:
		return "", err
	case status == instagram.Finished:
		return "", nil
	case status != instagram.Published:
		return "", fault.Unsure(store.CodeOutcomeUnknown, fmt.Errorf("container %s is %s", container.ExternalID, status))
	}
	id, found, err := i.Client.FindByMark(ctx, mark, container.PlannedAt)
	if err == nil && !found {
		err = fault.Unsure(store.CodeOutcomeUnknown, errors.New("the reel is out, but isn't among the account's posts yet"))
	}
	return id, err
}

// caption puts title, description, hashtags and our mark into what a Reel's caption may hold.
func caption(post providers.Post) string {
	tail := "\n\n"
	for _, tag := range post.Tags[:min(len(post.Tags), mostHashtags)] {
		tail += "#" + strings.ReplaceAll(strings.TrimPrefix(tag, "#"), " ", "") + " "
	}
	tail += "\nref " + post.Mark
	text := []rune(post.Title + "\n\n" + post.Description)
	return string(text[:min(len(text), captionRunes-len([]rune(tail)))]) + tail
}
