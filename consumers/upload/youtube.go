package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"castad/internal/fault"
	"castad/internal/worker"
	"castad/providers"
	"castad/providers/azblob"
	"castad/providers/youtube"
	"castad/store"
)

// youtubeClient uploads in sessions that another process can continue.
type youtubeClient interface {
	StartSession(ctx context.Context, post providers.Post, size int64, contentType string) (session string, err error)
	Send(ctx context.Context, session string, size int64, open func(offset int64) (io.ReadCloser, error)) (providers.Published, error)
	Find(ctx context.Context, mark string) (providers.Published, bool, error)
	LookAt(ctx context.Context, id string) (youtube.Video, error)
}

// blobReader opens kept files.
type blobReader interface {
	Open(ctx context.Context, name string) (io.ReadCloser, azblob.Info, error)
}

// YouTube publishes a video once a run: it comes into being with the last byte of a session, so the session is kept
// before the first byte, and asked whatever happened.
type YouTube struct {
	DB     *store.DB
	Client youtubeClient
	Blobs  blobReader
}

const (
	movieType       = "video/mp4"
	mostSessions    = 5 // a session lives about a week
	sendTimeout     = 10 * time.Minute
	codeSessionGone = "youtube_session_gone"

	lookAtVideo       = 5 * time.Second  // between two looks at first
	longestProcessing = 30 * time.Minute // that its end is waited for; mostly it takes a minute
)

// Publish uploads the video, or finds it uploaded, rests while YouTube works on it, and reads what it has become.
func (y *YouTube) Publish(ctx context.Context, c store.Claim, video store.Video, post providers.Post) (providers.Published, time.Duration, error) {
	published, age, err := y.upload(ctx, c, video, post)
	if err != nil {
		return providers.Published{}, 0, err
	}
	return y.become(ctx, published, age, post)
}

// upload returns the uploaded video, and how long ago that was.
func (y *YouTube) upload(ctx context.Context, c store.Claim, video store.Video, post providers.Post) (providers.Published, time.Duration, error) {
	for n := 1; n <= mostSessions; n++ {
		published, age, err := y.session(ctx, c, video, post, n)
		if err == nil || fault.Of(err).Code != codeSessionGone {
			return published, age, err
		}
		// The session is gone, but its last byte may have arrived before: look before beginning another.
		if published, found, err := y.Client.Find(ctx, post.Mark); err != nil || found {
			return published, longestProcessing, err
		}
	}
	return providers.Published{}, 0, fault.Stop(codeSessionGone, fmt.Errorf("%d upload sessions have vanished", mostSessions))
}

// become reads what has become of an uploaded video. It is out whatever the look says, so a look that doesn't come
// through for too long is told with the post and doesn't fail it.
func (y *YouTube) become(ctx context.Context, published providers.Published, age time.Duration, post providers.Post) (providers.Published, time.Duration, error) {
	seen, err := y.Client.LookAt(ctx, published.ID)
	late := age >= longestProcessing
	switch {
	case err != nil && (late || fault.Of(err).Kind == fault.RateLimited):
		published.Code, published.Note = "youtube_state_unknown", "Uploaded; YouTube doesn't say what has become of it."
	case err != nil:
		return published, 0, err
	case seen.Progress == providers.Broken:
		return published, 0, fault.Stop("youtube_video_ended", fmt.Errorf("YouTube has ended video %s as %s: change what it holds against, and make it again", published.ID, seen.Reason))
	case seen.Progress == providers.Working && !late:
		return published, worker.LookAgain(age, lookAtVideo), nil
	case seen.Privacy != "" && seen.Privacy != post.Privacy:
		published.Privacy, published.Code = seen.Privacy, "youtube_privacy_differs"
		published.Note = fmt.Sprintf("Uploaded, but YouTube keeps it %s, not %s: YouTube Studio tells why and can change it.", seen.Privacy, post.Privacy)
	case seen.Progress == providers.Working:
		published.Code, published.Note = "youtube_still_processing", "Uploaded; YouTube is still working on it."
	}
	return published, 0, nil
}

// session goes through with the n-th session of the run.
func (y *YouTube) session(ctx context.Context, c store.Claim, video store.Video, post providers.Post, n int) (providers.Published, time.Duration, error) {
	name := movieName(video)
	size, err := y.size(ctx, name)
	if err != nil {
		return providers.Published{}, 0, err
	}
	// A session that nobody sends to is invisible and free.
	session, err := y.DB.PayOnce(ctx, c, store.Paid{
		Purpose: fmt.Sprintf("youtube-session-%d", n), Provider: "youtube", Request: post, Harmless: true,
		Call: func(ctx context.Context, job store.Job) (string, error) {
			var frozen providers.Post
			if err := job.Decode(&frozen); err != nil {
				return "", fault.Stop("request_unreadable", err)
			}
			return y.Client.StartSession(ctx, frozen, size, movieType)
		},
	})
	if err != nil {
		return providers.Published{}, 0, err
	}
	// Sending asks the session first what it has, and a session makes one video.
	sent, err := y.DB.PayOnce(ctx, c, store.Paid{
		Purpose: fmt.Sprintf("youtube-video-%d", n), Provider: "youtube", Request: name, Harmless: true, Timeout: sendTimeout,
		Call: func(ctx context.Context, _ store.Job) (string, error) {
			published, err := y.Client.Send(ctx, session.ExternalID, size, func(offset int64) (io.ReadCloser, error) { return y.open(ctx, name, offset) })
			return packed(published), err
		},
	})
	if err != nil {
		return providers.Published{}, 0, err
	}
	published, err := unpacked(sent.ExternalID)
	return published, sent.Age(), err
}

func (y *YouTube) size(ctx context.Context, name string) (int64, error) {
	file, info, err := y.Blobs.Open(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("open movie %s: %w", name, err)
	}
	return info.Bytes, file.Close()
}

// open returns the movie from an offset on.
func (y *YouTube) open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	file, _, err := y.Blobs.Open(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open movie %s: %w", name, err)
	}
	if _, err := io.CopyN(io.Discard, file, offset); err != nil {
		file.Close()
		return nil, fmt.Errorf("skip %d bytes of movie %s: %w", offset, name, err)
	}
	return file, nil
}

// movieName is the name under which the video stage keeps its file.
func movieName(video store.Video) string {
	return fmt.Sprintf("%s/video-%d.mp4", video.TaskID, video.Revision)
}

// packed puts where a post can be seen into the one text that a provider job keeps.
func packed(p providers.Published) string {
	if p.ID == "" {
		return ""
	}
	raw, _ := json.Marshal(p) // two strings: can't fail
	return string(raw)
}

func unpacked(text string) (providers.Published, error) {
	var p providers.Published
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return p, fmt.Errorf("read where the post is: %w", err)
	}
	return p, nil
}
