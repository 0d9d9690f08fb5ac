package azblob_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"

	"castad/internal/fault"
	"castad/providers/azblob"
)

// shop is a container of its own, reached by the official client and by ours.
type shop struct {
	azurite   bool
	base      string // of the account
	name      string // of the container
	key       *container.SharedKeyCredential
	container *container.Client
	ours      *azblob.Client
}

const devKey = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

// once lets the official client try once, so that a refusal is seen as it is.
var once = azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}}

func openShop(t *testing.T, base, access string, azurite bool) *shop {
	t.Helper()
	key, err := container.NewSharedKeyCredential("devstoreaccount1", devKey)
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{azurite: azurite, base: base + "/devstoreaccount1", name: fmt.Sprintf("c%d", time.Now().UnixNano()), key: key}
	if s.container, err = container.NewClientWithSharedKeyCredential(s.base+"/"+s.name, key, &container.ClientOptions{ClientOptions: once}); err != nil {
		t.Fatal(err)
	}
	options := &container.CreateOptions{}
	if access != "" {
		options.Access = to.Ptr(container.PublicAccessType(access))
	}
	if _, err := s.container.Create(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	if s.ours, err = azblob.New(azblob.Config{Container: s.name, SignedFor: time.Hour, Retries: -1, ConnectionString: devAccount(base)}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shop) blob(name string) *blockblob.Client { return s.container.NewBlockBlobClient(name) }

func (s *shop) put(t *testing.T, name, content string, options *blockblob.UploadOptions) blockblob.UploadResponse {
	t.Helper()
	got, err := s.blob(name).Upload(t.Context(), body(content), options)
	if err != nil {
		t.Fatalf("put %s: %v", name, err)
	}
	return got
}

type closer struct{ *strings.Reader }

func (closer) Close() error { return nil }

func body(text string) io.ReadSeekCloser { return closer{strings.NewReader(text)} }

func (s *shop) read(t *testing.T, name string) (string, blob.DownloadStreamResponse) {
	t.Helper()
	got, err := s.blob(name).DownloadStream(t.Context(), nil)
	if err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	defer got.Body.Close()
	raw, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw), got
}

// wantCode wants a refusal with this code, in the header and, where there is a body, in it.
func wantCode(t *testing.T, err error, status int, code bloberror.Code) {
	t.Helper()
	refused, ok := as[*azcore.ResponseError](err)
	if !ok || refused.StatusCode != status || !bloberror.HasCode(err, code) {
		t.Fatalf("got %v, want %d %s", err, status, code)
	}
	header := refused.RawResponse.Header
	if got := header.Get("x-ms-error-code"); got != string(code) {
		t.Errorf("header says %q, want %s", got, code)
	}
	if header.Get("x-ms-request-id") == "" {
		t.Error("no request id")
	}
	raw, _ := io.ReadAll(refused.RawResponse.Body)
	if refused.RawResponse.Request.Method != http.MethodHead && !strings.Contains(string(raw), "<Code>"+string(code)+"</Code>") {
		t.Errorf("body has no code: %s", raw)
	}
}

// row is one line of the contract; it holds for every server that speaks the protocol.
type row struct {
	name   string
	access string
	holds  func(t *testing.T, s *shop)
}

// rows are what we use of Blob Storage, in the order of its page.
var rows = []row{
	{"container that exists is 409 ContainerAlreadyExists", "", func(t *testing.T, s *shop) {
		_, err := s.container.Create(t.Context(), nil)
		wantCode(t, err, 409, bloberror.ContainerAlreadyExists)
		if err := s.ours.EnsureContainer(t.Context()); err != nil {
			t.Errorf("ours: %v", err)
		}
	}},
	{"container that ours makes takes files", "", func(t *testing.T, s *shop) {
		other, err := azblob.New(azblob.Config{Container: s.name + "-b", Retries: -1, ConnectionString: devAccount(strings.TrimSuffix(s.base, "/devstoreaccount1"))})
		if err != nil {
			t.Fatal(err)
		}
		if err := other.EnsureContainer(t.Context()); err != nil {
			t.Fatal(err)
		}
		kept, err := other.Keep(t.Context(), "a/b.txt", "text/plain", strings.NewReader("abc"))
		if err != nil {
			t.Fatal(err)
		}
		if code, text := status(t, kept); code != 200 || text != "abc" {
			t.Errorf("the public file answers %d %q", code, text)
		}
	}},
	{"put blob keeps content, type and metadata", "", func(t *testing.T, s *shop) {
		s.put(t, "t/1/노래 a+b%.mp3", "abc", &blockblob.UploadOptions{Metadata: map[string]*string{"task": to.Ptr("0199")},
			HTTPHeaders: &blob.HTTPHeaders{BlobContentType: to.Ptr("audio/mpeg")}})
		text, got := s.read(t, "t/1/노래 a+b%.mp3")
		if text != "abc" || *got.ContentType != "audio/mpeg" || len(got.Metadata) != 1 || got.ETag == nil || got.LastModified == nil || *got.ContentLength != 3 {
			t.Errorf("read %q, %v %v", text, *got.ContentType, got.Metadata)
		}
		for _, v := range got.Metadata {
			if *v != "0199" {
				t.Errorf("metadata %q", *v)
			}
		}
	}},
	{"upload stream in blocks is whole and in order", "", func(t *testing.T, s *shop) {
		file := bytes.Repeat([]byte("0123456789abcdef"), (9<<20)/16+1)
		if _, err := s.ours.Keep(t.Context(), "t/v.mp4", "video/mp4", bytes.NewReader(file)); err != nil {
			t.Fatal(err)
		}
		text, got := s.read(t, "t/v.mp4")
		if text != string(file) || *got.ContentType != "video/mp4" {
			t.Errorf("read %d of %d bytes as %s", len(text), len(file), *got.ContentType)
		}
	}},
	{"staged blocks aren't a blob", "", func(t *testing.T, s *shop) {
		if _, err := s.blob("n").StageBlock(t.Context(), "AAAA", body("abc"), nil); err != nil {
			t.Fatal(err)
		}
		if there, err := s.ours.Exists(t.Context(), "n"); there || err != nil {
			t.Errorf("exists before the commit: %v, %v", there, err)
		}
		if _, err := s.blob("n").CommitBlockList(t.Context(), []string{"AAAA"}, nil); err != nil {
			t.Fatal(err)
		}
		if text, _ := s.read(t, "n"); text != "abc" {
			t.Errorf("read %q", text)
		}
	}},
	{"a list with an unknown block is 400 InvalidBlockList", "", func(t *testing.T, s *shop) {
		_, err := s.blob("n").CommitBlockList(t.Context(), []string{"BBBB"}, nil)
		wantCode(t, err, 400, bloberror.InvalidBlockList)
	}},
	{"an absent blob is 404 BlobNotFound on GET, HEAD and DELETE", "", func(t *testing.T, s *shop) {
		_, err := s.blob("n").DownloadStream(t.Context(), nil)
		wantCode(t, err, 404, bloberror.BlobNotFound)
		_, err = s.blob("n").GetProperties(t.Context(), nil)
		wantCode(t, err, 404, bloberror.BlobNotFound)
		_, err = s.blob("n").Delete(t.Context(), nil)
		wantCode(t, err, 404, bloberror.BlobNotFound)
		if _, _, err := s.ours.Open(t.Context(), "n"); fault.Of(err).Code != "blob_not_found" {
			t.Errorf("ours: %v", err)
		}
		if err := s.ours.Delete(t.Context(), "n"); err != nil {
			t.Errorf("ours: %v", err)
		}
	}},
	{"an absent container is 404 ContainerNotFound", "", func(t *testing.T, s *shop) {
		if _, err := s.container.Delete(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		_, err := s.blob("n").Upload(t.Context(), body("abc"), nil)
		wantCode(t, err, 404, bloberror.ContainerNotFound)
		if _, err := s.ours.Keep(t.Context(), "n", "a/b", strings.NewReader("abc")); fault.Of(err).Code != "blob_container_missing" || fault.Of(err).Kind != fault.Retryable {
			t.Errorf("ours: %v", err)
		}
	}},
	{"delete removes, 202", "", func(t *testing.T, s *shop) {
		s.put(t, "n", "abc", nil)
		if err := s.ours.Delete(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
		if there, err := s.ours.Exists(t.Context(), "n"); there || err != nil {
			t.Errorf("exists: %v, %v", there, err)
		}
	}},
	{"a name again replaces the file and its etag", "", func(t *testing.T, s *shop) {
		first, second := s.put(t, "n", "abc", nil), s.put(t, "n", "defg", nil)
		if text, got := s.read(t, "n"); text != "defg" || *got.ETag != *second.ETag || *first.ETag == *second.ETag {
			t.Errorf("read %q, etags %s %s", text, *first.ETag, *second.ETag)
		}
	}},
	{"If-None-Match: * on a blob that exists is 409 BlobAlreadyExists", "", func(t *testing.T, s *shop) {
		fresh := &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)}}
		s.put(t, "n", "abc", &blockblob.UploadOptions{AccessConditions: fresh})
		_, err := s.blob("n").Upload(t.Context(), body("other"), &blockblob.UploadOptions{AccessConditions: fresh})
		wantCode(t, err, 409, bloberror.BlobAlreadyExists)
		if text, _ := s.read(t, "n"); text != "abc" {
			t.Errorf("read %q", text)
		}
	}},
	{"If-Match with another etag is 412 ConditionNotMet", "", func(t *testing.T, s *shop) {
		first := s.put(t, "n", "abc", nil)
		s.put(t, "n", "defg", nil)
		_, err := s.blob("n").Upload(t.Context(), body("x"), &blockblob.UploadOptions{AccessConditions: &blob.AccessConditions{
			ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: first.ETag}}})
		wantCode(t, err, 412, bloberror.ConditionNotMet)
	}},
	{"reading with If-Match of another etag is 412 ConditionNotMet", "", func(t *testing.T, s *shop) {
		s.put(t, "n", "abc", nil)
		_, err := s.blob("n").DownloadStream(t.Context(), &blob.DownloadStreamOptions{AccessConditions: &blob.AccessConditions{
			ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: to.Ptr(azcore.ETag(`"0x1"`))}}})
		wantCode(t, err, 412, bloberror.ConditionNotMet)
	}},
	{"a range is 206 with its bytes", "", func(t *testing.T, s *shop) {
		s.put(t, "n", "0123456789", nil)
		got, err := s.blob("n").DownloadStream(t.Context(), &blob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: 3, Count: 4}})
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		if raw, _ := io.ReadAll(got.Body); string(raw) != "3456" || *got.ContentRange != "bytes 3-6/10" {
			t.Errorf("read %q, %s", raw, *got.ContentRange)
		}
	}},
	{"a range behind the end is 416 InvalidRange", "", func(t *testing.T, s *shop) {
		s.put(t, "n", "0123456789", nil)
		_, err := s.blob("n").DownloadStream(t.Context(), &blob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: 30, Count: 4}})
		wantCode(t, err, 416, bloberror.InvalidRange)
	}},
	{"a signed URL answers GET, HEAD and ranges with the type", "", func(t *testing.T, s *shop) {
		kept, err := s.ours.Keep(t.Context(), "t/v.mp4", "video/mp4", strings.NewReader("0123456789"))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := s.ours.Sign(kept)
		if err != nil {
			t.Fatal(err)
		}
		for _, ask := range []struct {
			method, ranged, want string
			status               int
		}{{"GET", "", "0123456789", 200}, {"HEAD", "", "", 200}, {"GET", "bytes=2-4", "234", 206}, {"GET", "bytes=8-", "89", 206}} {
			code, header, text := plain(t, ask.method, signed, "Range", ask.ranged)
			if code != ask.status || text != ask.want || header.Get("Content-Type") != "video/mp4" || header.Get("Accept-Ranges") != "bytes" {
				t.Errorf("%+v answers %d %q %v", ask, code, text, header)
			}
		}
	}},
	{"an expired signature is 403 AuthenticationFailed", "", func(t *testing.T, s *shop) {
		s.put(t, "n", "abc", nil)
		status, code := s.denied(403, "AuthenticationFailed")
		wantRefused(t, "GET", s.signed(t, "n", "r", -time.Minute), status, code)
	}},
	{"a signature that was changed is 403 AuthenticationFailed", "", func(t *testing.T, s *shop) {
		s.put(t, "n", "abc", nil)
		other := strings.Replace(s.signed(t, "n", "r", time.Hour), "/n?", "/m?", 1)
		status, code := s.denied(403, "AuthenticationFailed")
		wantRefused(t, "GET", other, status, code)
	}},
	{"a signature to read doesn't write: 403 AuthorizationPermissionMismatch", "", func(t *testing.T, s *shop) {
		s.put(t, "n", "abc", nil)
		wantRefused(t, "PUT", s.signed(t, "n", "r", time.Hour), 403, bloberror.AuthorizationPermissionMismatch)
	}},
	{"a wrong key is 403 AuthenticationFailed", "", func(t *testing.T, s *shop) {
		wrong, err := container.NewSharedKeyCredential("devstoreaccount1", "d3Jvbmc=")
		if err != nil {
			t.Fatal(err)
		}
		c, err := blockblob.NewClientWithSharedKeyCredential(s.container.URL()+"/n", wrong, &blockblob.ClientOptions{ClientOptions: once})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Upload(t.Context(), body("abc"), nil)
		status, code := s.denied(403, bloberror.AuthenticationFailed)
		wantCode(t, err, status, code)
	}},
	{"without a signature a private container is 404 ResourceNotFound", "", func(t *testing.T, s *shop) {
		s.put(t, "n", "abc", nil)
		status, code := s.denied(404, "ResourceNotFound")
		wantRefused(t, "GET", s.container.URL()+"/n", status, code)
	}},
	{"a public container is read by exact URL, not listed", "blob", func(t *testing.T, s *shop) {
		s.put(t, "t/n", "abc", nil)
		if code, text := status(t, s.container.URL()+"/t%2Fn"); code != 200 || text != "abc" {
			t.Errorf("read %d %q", code, text)
		}
		status, code := s.denied(404, "ResourceNotFound")
		wantRefused(t, "GET", s.container.URL()+"?restype=container&comp=list", status, code)
	}},
	{"a list has the prefix's names in order, by pages", "", func(t *testing.T, s *shop) {
		for _, name := range []string{"b/2", "a/1", "b/1", "b/3"} {
			s.put(t, name, "abc", nil)
		}
		pager := s.container.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: to.Ptr("b/"), MaxResults: to.Ptr(int32(2))})
		var names []string
		pages := 0
		for pager.More() {
			page, err := pager.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			pages++
			for _, item := range page.Segment.BlobItems {
				names = append(names, *item.Name)
			}
		}
		if strings.Join(names, " ") != "b/1 b/2 b/3" || pages != 2 {
			t.Errorf("listed %v in %d pages", names, pages)
		}
	}},
	{"set tier shows in the properties", "", func(t *testing.T, s *shop) {
		s.put(t, "n", "abc", nil)
		if _, err := s.blob("n").SetTier(t.Context(), blob.AccessTierCool, nil); err != nil {
			t.Fatal(err)
		}
		if got, err := s.blob("n").GetProperties(t.Context(), nil); err != nil || *got.AccessTier != "Cool" {
			t.Errorf("tier %v, %v", got.AccessTier, err)
		}
	}},
	{"a container's name out of the rules is 400", "", func(t *testing.T, s *shop) {
		c, err := container.NewClientWithSharedKeyCredential(s.base+"/A_b", s.key, &container.ClientOptions{ClientOptions: once})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Create(t.Context(), nil)
		wantCode(t, err, 400, bloberror.InvalidResourceName)
	}},
	{"a wrong MD5 is 400 Md5Mismatch", "", func(t *testing.T, s *shop) {
		_, err := s.blob("n").Upload(t.Context(), body("abc"), &blockblob.UploadOptions{
			TransactionalValidation: blob.TransferValidationTypeMD5(bytes.Repeat([]byte{1}, 16))})
		code := bloberror.MD5Mismatch
		if s.azurite {
			code = "InvalidOperation"
		}
		wantCode(t, err, 400, code)
	}},
}

// denied is the answer to whom Azure doesn't let in. Azurite (3.35.0) has one answer for all of them.
func (s *shop) denied(status int, code bloberror.Code) (int, bloberror.Code) {
	if s.azurite {
		return http.StatusForbidden, bloberror.AuthorizationFailure
	}
	return status, code
}

// signed is a URL with these permissions, made by the SDK.
func (s *shop) signed(t *testing.T, name, permissions string, life time.Duration) string {
	t.Helper()
	query, err := sas.BlobSignatureValues{Protocol: sas.ProtocolHTTPSandHTTP, ContainerName: s.name, BlobName: name,
		Permissions: permissions, ExpiryTime: time.Now().UTC().Add(life)}.SignWithSharedKey(s.key)
	if err != nil {
		t.Fatal(err)
	}
	return s.container.URL() + "/" + name + "?" + query.Encode()
}

// plain is a request without the SDK, as a renderer or a browser makes it.
func plain(t *testing.T, method, address string, header ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] != "" {
			req.Header.Set(header[i], header[i+1])
		}
	}
	if method == http.MethodPut {
		req.Header.Set("x-ms-blob-type", "BlockBlob")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(raw)
}

func wantRefused(t *testing.T, method, address string, status int, code bloberror.Code) {
	t.Helper()
	got, header, text := plain(t, method, address)
	if got != status || header.Get("x-ms-error-code") != string(code) {
		t.Errorf("%s answers %d %s, want %d %s: %.300s", method, got, header.Get("x-ms-error-code"), status, code, text)
	}
}
