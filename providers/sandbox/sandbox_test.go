package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/google/go-cmp/cmp"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"

	"castad/providers/sandbox"
)

// start serves a quick sandbox on dir.
func start(t *testing.T, dir string) (url string, stop func()) {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	url = "http://" + srv.Listener.Addr().String()
	box, err := sandbox.New(sandbox.Config{Dir: dir, PublicURL: url, Quick: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Config.Handler = box.Handler()
	srv.Start()
	return url, func() {
		srv.Close()
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	}
}

func call(t *testing.T, method, url, body string, header ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer key")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

const songOrder = `{"customMode":true,"instrumental":false,"model":"V4_5","prompt":"[Verse]\n숲길 끝에 만난 하루\n\n[Chorus]\n다시 오자","style":"K-pop","title":"하루","callBackUrl":"CALLBACK"}`

func TestSuno_SongSurvivesRestartAndIsBilledOnce(t *testing.T) {
	t.Parallel()
	kinds := make(chan string, 9)
	hooks := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var in struct{ Data struct{ CallbackType string } }
		_ = json.NewDecoder(r.Body).Decode(&in)
		kinds <- in.Data.CallbackType
	}))
	defer hooks.Close()
	dir := t.TempDir()
	url, stop := start(t, dir)
	_, body, _ := call(t, "POST", url+"/suno/api/v1/generate", strings.Replace(songOrder, "CALLBACK", hooks.URL, 1))
	var made struct{ Data struct{ TaskID string } }
	if err := json.Unmarshal([]byte(body), &made); err != nil || made.Data.TaskID == "" {
		t.Fatalf("create answered %s", body)
	}
	for seen := ""; seen != "complete"; {
		seen = <-kinds
	}
	stop()
	url, stop = start(t, dir)
	defer stop()
	_, body, _ = call(t, "GET", url+"/suno/api/v1/generate/record-info?taskId="+made.Data.TaskID, "")
	var info struct {
		Data struct {
			Status   string
			Response struct {
				SunoData []struct{ ID, AudioURL string }
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &info); err != nil || info.Data.Status != "SUCCESS" || len(info.Data.Response.SunoData) != 2 {
		t.Fatalf("record-info answered %s", body)
	}
	status, _, header := call(t, "GET", info.Data.Response.SunoData[0].AudioURL, "", "Range", "bytes=0-9")
	if status != 206 || header.Get("Content-Type") != "audio/mpeg" {
		t.Errorf("audio answered %d %s", status, header.Get("Content-Type"))
	}
	if diff := cmp.Diff(sandbox.Total{Calls: 1, Micros: 60_000}, billAt(t, url).Providers["suno"]); diff != "" {
		t.Error(diff)
	}
}

func TestFault_LostAnswerIsBilled(t *testing.T) {
	t.Parallel()
	url, stop := start(t, t.TempDir())
	defer stop()
	status, _, _ := call(t, "POST", url+"/admin/faults", `{"provider":"creatomate","what":"lost","count":1}`)
	if status != 204 {
		t.Fatalf("faults answered %d", status)
	}
	order := `{"elements":[{"type":"text","name":"Name","text":"a"}],"duration":3,"metadata":"{\"task_id\":\"t\",\"stage\":\"video\",\"revision\":1}"}`
	if status, _, _ := call(t, "POST", url+"/creatomate/v2/renders", order); status != 0 {
		t.Errorf("answer with status %d wasn't lost", status)
	}
	if status, body, _ := call(t, "POST", url+"/creatomate/v2/renders", order); status != 202 {
		t.Errorf("second call: %d %s", status, body)
	}
	_, body, _ := call(t, "GET", url+"/bill", "")
	if !strings.Contains(body, `"creatomate:t/video/1":2`) {
		t.Errorf("bill is %s", body)
	}
}

func TestYouTube_ResumesAndAnswersAfterEnd(t *testing.T) {
	t.Parallel()
	url, stop := start(t, t.TempDir())
	defer stop()
	_, _, header := call(t, "POST", url+"/youtube/upload/youtube/v3/videos?uploadType=resumable&part=snippet,status",
		`{"snippet":{"title":"a"},"status":{"privacyStatus":"public"}}`, "X-Upload-Content-Length", "6")
	to := header.Get("Location")
	if status, _, h := call(t, "PUT", to, "abc", "Content-Range", "bytes 0-2/6"); status != 308 || h.Get("Range") != "bytes=0-2" {
		t.Fatalf("first half: %d %s", status, h.Get("Range"))
	}
	if status, body, _ := call(t, "PUT", to, "def", "Content-Range", "bytes 3-5/6"); status != 200 {
		t.Fatalf("second half: %d %s", status, body)
	}
	_, body, _ := call(t, "PUT", to, "", "Content-Range", "bytes */6")
	var v struct{ ID string }
	if err := json.Unmarshal([]byte(body), &v); err != nil || v.ID == "" {
		t.Fatalf("asking after the end: %s", body)
	}
	if _, got, _ := call(t, "GET", url+"/files/videos/"+v.ID+".mp4", ""); got != "abcdef" {
		t.Errorf("stored %q", got)
	}
}

func TestOpenAI_OfficialClientReadsBackgroundAnswer(t *testing.T) {
	t.Parallel()
	url, stop := start(t, t.TempDir())
	defer stop()
	client := responses.NewResponseService(option.WithAPIKey("key"), option.WithBaseURL(url+"/openai/v1"), option.WithMaxRetries(0))
	var params responses.ResponseNewParams
	raw := `{"model":"gpt-5-mini","background":true,"input":"{}","text":{"format":{"type":"json_schema","name":"x","strict":true,"schema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}}}}`
	resp, err := client.New(context.Background(), params, option.WithRequestBody("application/json", []byte(raw)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.Get(context.Background(), resp.ID, responses.ResponseGetParams{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"a":"sandbox"}`, got.OutputText()); diff != "" {
		t.Error(diff)
	}
}

func TestAzure_OfficialClientStagesBlocksAndReads(t *testing.T) {
	t.Parallel()
	url, stop := start(t, t.TempDir())
	defer stop()
	key, err := container.NewSharedKeyCredential("devstoreaccount1", "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==")
	if err != nil {
		t.Fatal(err)
	}
	media, err := container.NewClientWithSharedKeyCredential(url+"/devstoreaccount1/media", key, nil)
	if err != nil {
		t.Fatal(err)
	}
	access := container.PublicAccessTypeBlob
	if _, err := media.Create(context.Background(), &container.CreateOptions{Access: &access}); err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("0123456789"), 300_000)
	kind := "audio/mpeg"
	b := media.NewBlockBlobClient("t/1/song.mp3")
	_, err = b.UploadStream(context.Background(), bytes.NewReader(want), &blockblob.UploadStreamOptions{BlockSize: 1 << 20,
		HTTPHeaders: &blob.HTTPHeaders{BlobContentType: &kind}})
	if err != nil {
		t.Fatal(err)
	}
	status, got, header := call(t, "GET", b.URL(), "", "Authorization", "")
	if status != 200 || got != string(want) || header.Get("Content-Type") != kind {
		t.Errorf("read %d, %d bytes, %s", status, len(got), header.Get("Content-Type"))
	}
}
