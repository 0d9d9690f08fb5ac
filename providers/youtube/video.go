package youtube

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"castad/internal/fault"
	"castad/providers"
)

// Video is what the channel says of an uploaded video.
type Video struct {
	Progress providers.Progress // Done: people can see it, as far as Privacy lets them
	Privacy  string             // public | unlisted | private, which isn't always what was asked for
	Reason   string             // when Broken: YouTube's words, "rejected: copyright"
}

// LookAt reads the state of a video: 1 unit of the quota for reads. Processing takes tens of seconds to minutes. A video
// that YouTube doesn't know is a Retryable fault "youtube_video_missing": it was deleted, or isn't listed yet.
func (c *Client) LookAt(ctx context.Context, id string) (Video, error) {
	var out struct {
		Items []struct {
			Status struct {
				Upload    string `json:"uploadStatus"`
				Failure   string `json:"failureReason"`
				Rejection string `json:"rejectionReason"`
				Privacy   string `json:"privacyStatus"`
			} `json:"status"`
			Details struct {
				Status string `json:"processingStatus"`
			} `json:"processingDetails"`
		} `json:"items"`
	}
	if err := c.read(ctx, "/youtube/v3/videos", url.Values{"part": {"status,processingDetails"}, "id": {id}}, &out); err != nil {
		return Video{}, fmt.Errorf("look at video %s: %w", id, err)
	}
	if len(out.Items) == 0 {
		return Video{}, fault.Retry("youtube_video_missing", fmt.Errorf("look at video %s: %w", id, errors.New("YouTube doesn't know it")))
	}
	status := out.Items[0].Status
	video := Video{Progress: providers.Working, Privacy: status.Privacy}
	switch {
	case status.Upload == "processed":
		video.Progress = providers.Done
	case status.Upload == "failed" || status.Upload == "rejected" || status.Upload == "deleted":
		video.Progress = providers.Broken
		video.Reason = strings.TrimSuffix(status.Upload+": "+status.Failure+status.Rejection, ": ")
	case out.Items[0].Details.Status == "failed" || out.Items[0].Details.Status == "terminated":
		video.Progress, video.Reason = providers.Broken, "processing "+out.Items[0].Details.Status
	}
	return video, nil
}
