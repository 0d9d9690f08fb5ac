package youtube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"castad/internal/fault"
	"castad/providers"
)

// Send brings the file of size bytes to the session and returns the video. open gives the file from offset
// on; Send closes what it opened.
//
// It asks first what the session already has, so a second call continues, or, after the end, returns the
// same video again. A session that is gone is a Retryable fault "youtube_session_gone": look with Find before
// starting another.
func (c *Client) Send(ctx context.Context, session string, size int64, open func(offset int64) (io.ReadCloser, error)) (providers.Published, error) {
	if err := c.ours(session); err != nil {
		return providers.Published{}, fmt.Errorf("send video: %w", err)
	}
	s := &sending{c: c, session: session, size: size, open: open}
	defer s.close()
	failures, best := 0, int64(0)
	for {
		video, asked, err := s.step(ctx)
		switch {
		case video.ID != "":
			return video, nil
		case fault.Classified(err):
			return video, fmt.Errorf("send video: %w", err)
		case err == nil && s.stored > best:
			failures, best = 0, s.stored
			continue
		case err == nil && asked && s.stored < size:
			continue
		case err == nil:
			err = errors.New("session takes no more bytes")
		}
		if failures++; failures >= c.cfg.Tries {
			return video, fmt.Errorf("send video: stuck at byte %d of %d: %w", s.stored, size, err)
		}
		if err := rest(ctx, c.cfg.Pause<<min(failures-1, 6)); err != nil {
			return video, fmt.Errorf("send video: %w", err)
		}
	}
}

func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// sending is one call of Send.
type sending struct {
	c       *Client
	session string
	size    int64
	open    func(offset int64) (io.ReadCloser, error)

	stored int64         // bytes that the session has
	synced bool          // stored is what the session last said
	file   io.ReadCloser // stands at offset at, when not nil
	at     int64
}

// step asks, when the session's state isn't known, or else sends the next chunk. After any trouble the state isn't known.
func (s *sending) step(ctx context.Context) (video providers.Published, asked bool, err error) {
	r := request{method: http.MethodPut, url: s.session,
		header: map[string]string{"Content-Range": fmt.Sprintf("bytes */%d", s.size)}}
	asked = !s.synced || s.stored >= s.size
	s.synced = false
	if !asked {
		n := min(s.c.cfg.ChunkBytes, s.size-s.stored)
		if err := s.seek(); err != nil {
			return video, false, fmt.Errorf("open video: %w", err)
		}
		r.header["Content-Range"] = fmt.Sprintf("bytes %d-%d/%d", s.stored, s.stored+n-1, s.size)
		r.file, r.bytes = io.LimitReader(s.file, n), n
		s.at = -1 // net/http may have read any part of it
	}
	got, err := s.c.call(ctx, r)
	if err != nil {
		return video, asked, err
	}
	if r.bytes > 0 {
		s.at = s.stored + r.bytes
	}
	video, err = s.read(got)
	return video, asked, err
}

func (s *sending) seek() error {
	if s.file != nil && s.at == s.stored {
		return nil
	}
	s.close()
	file, err := s.open(s.stored)
	if err != nil {
		return err
	}
	s.file, s.at = file, s.stored
	return nil
}

func (s *sending) close() {
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
}

func (s *sending) read(got answer) (providers.Published, error) {
	switch {
	case got.Status == http.StatusOK || got.Status == http.StatusCreated:
		var video struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(got.Body, &video); err != nil || video.ID == "" {
			return providers.Published{}, errors.New("answer without a video")
		}
		return s.c.published(video.ID), nil
	case got.Status == http.StatusPermanentRedirect: // here "Resume Incomplete"
		stored, ok := storedBytes(got.Header.Get("Range"), s.size)
		if !ok {
			return providers.Published{}, errors.New("answer with an unreadable range")
		}
		s.stored, s.synced = stored, true
		return providers.Published{}, nil
	case got.Status == http.StatusNotFound || got.Status == http.StatusGone:
		return providers.Published{}, fault.Retry("youtube_session_gone", got.problem())
	case got.Status == http.StatusUnauthorized || got.Status == http.StatusTooManyRequests && !got.daily() || got.Status >= 500:
		return providers.Published{}, got.problem() // ask again, after a pause
	default:
		return providers.Published{}, s.c.refusal(got)
	}
}

// storedBytes reads "bytes=0-8388607"; no header means that nothing is stored.
func storedBytes(header string, size int64) (int64, bool) {
	if header == "" {
		return 0, true
	}
	last, ok := strings.CutPrefix(strings.TrimPrefix(header, "bytes="), "0-")
	n, err := strconv.ParseInt(last, 10, 64)
	return n + 1, ok && err == nil && n >= 0 && n < size
}
