package clients

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
	"google.golang.org/api/youtube/v3"

	"castad/internal/testkit/sandboxed"
	"castad/providers/sandbox"
)

// channel returns Google's own client on a sandbox, and the sandbox.
func channel(t *testing.T, refresh string) (*youtube.Service, *sandboxed.Server) {
	t.Helper()
	box := sandboxed.Open(t, sandbox.Config{}, nil)
	conf := oauth2.Config{ClientID: "id", ClientSecret: "secret", Endpoint: oauth2.Endpoint{TokenURL: box.URL + "/google/token", AuthStyle: oauth2.AuthStyleInParams}}
	tokens := conf.TokenSource(t.Context(), &oauth2.Token{RefreshToken: refresh})
	service, err := youtube.NewService(t.Context(), option.WithTokenSource(tokens), option.WithEndpoint(box.URL+"/youtube/"))
	if err != nil {
		t.Fatal(err)
	}
	return service, box
}

func post(title string) *youtube.Video {
	return &youtube.Video{
		Snippet: &youtube.VideoSnippet{Title: title, Description: "소개\n\nref 0199", Tags: []string{"가평 펜션"}, CategoryId: "19", DefaultLanguage: "ko"},
		Status:  &youtube.VideoStatus{PrivacyStatus: "unlisted", ForceSendFields: []string{"SelfDeclaredMadeForKids"}},
	}
}

// Larger files go in a session of POSTed chunks, smaller ones in one request of two parts.
func TestYouTube_UploadsOfEverySize(t *testing.T) {
	t.Parallel()
	service, box := channel(t, "refresh")
	for name, size := range map[string]int{"many chunks": 5*googleapi.MinUploadChunkSize + 17, "whole chunks": 2 * googleapi.MinUploadChunkSize, "one request": 1000} {
		film := bytes.Repeat([]byte("x"), size)
		video, err := service.Videos.Insert([]string{"snippet", "status"}, post("숲속펜션 "+name)).
			Media(bytes.NewReader(film), googleapi.ChunkSize(googleapi.MinUploadChunkSize), googleapi.ContentType("video/mp4")).Do()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := box.Get(t, box.URL+"/files/videos/"+video.Id+".mp4"); !bytes.Equal(got, film) {
			t.Errorf("%s: %d bytes of %d arrived", name, len(got), len(film))
		}
		list, err := service.Videos.List([]string{"snippet", "status", "processingDetails"}).Id(video.Id).Do()
		if err != nil || len(list.Items) != 1 {
			t.Fatalf("%s: %+v, %v", name, list, err)
		}
		if v := list.Items[0]; v.Snippet.Title != "숲속펜션 "+name || v.Status.PrivacyStatus != "unlisted" || v.Status.UploadStatus != "processed" ||
			v.ProcessingDetails.ProcessingStatus != "succeeded" {
			t.Errorf("%s: %+v, %+v", name, v.Snippet, v.Status)
		}
	}
}

// The channel's uploads are found by way of its playlist, page by page.
func TestYouTube_ChannelAndItsUploads(t *testing.T) {
	t.Parallel()
	service, _ := channel(t, "refresh")
	var ids []string
	for range 7 {
		video, err := service.Videos.Insert([]string{"snippet", "status"}, post("숲속펜션")).Media(strings.NewReader("x")).Do()
		if err != nil {
			t.Fatal(err)
		}
		ids = append([]string{video.Id}, ids...)
	}
	channels, err := service.Channels.List([]string{"snippet", "contentDetails"}).Mine(true).Do()
	if err != nil || len(channels.Items) != 1 {
		t.Fatalf("channels %+v, %v", channels, err)
	}
	var found []string
	err = service.PlaylistItems.List([]string{"snippet", "contentDetails"}).PlaylistId(channels.Items[0].ContentDetails.RelatedPlaylists.Uploads).
		MaxResults(3).Pages(t.Context(), func(page *youtube.PlaylistItemListResponse) error {
		for _, item := range page.Items {
			found = append(found, item.ContentDetails.VideoId)
		}
		return nil
	})
	if err != nil || strings.Join(found, " ") != strings.Join(ids, " ") {
		t.Errorf("uploaded %v, found %v, %v", ids, found, err)
	}
}

func TestYouTube_RefusalsAreUnderstood(t *testing.T) {
	t.Parallel()
	service, _ := channel(t, "refresh")
	for reason, v := range map[string]*youtube.Video{
		"invalidTitle":       post(strings.Repeat("가", 101)),
		"invalidDescription": {Snippet: &youtube.VideoSnippet{Title: "t", Description: strings.Repeat("가", 1667)}},
		"invalidTags":        {Snippet: &youtube.VideoSnippet{Title: "t", Tags: []string{strings.Repeat("가", 501)}}},
		"invalidCategoryId":  {Snippet: &youtube.VideoSnippet{Title: "t", CategoryId: "99999"}},
		"invalidPublishAt":   {Snippet: &youtube.VideoSnippet{Title: "t"}, Status: &youtube.VideoStatus{PrivacyStatus: "private", PublishAt: "2020-01-01T00:00:00Z"}},
	} {
		_, err := service.Videos.Insert([]string{"snippet", "status"}, v).Media(strings.NewReader("x")).Do()
		refused, ok := errors.AsType[*googleapi.Error](err)
		if !ok || refused.Code != http.StatusBadRequest || len(refused.Errors) != 1 || refused.Errors[0].Reason != reason {
			t.Errorf("%s: got %v", reason, err)
		}
	}
}

func TestYouTube_RevokedToken(t *testing.T) {
	t.Parallel()
	service, _ := channel(t, "revoked")
	_, err := service.Channels.List([]string{"snippet"}).Mine(true).Do()
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok || refused.ErrorCode != "invalid_grant" {
		t.Errorf("got %v", err)
	}
}
