// Package azblob keeps files in Azure Blob Storage, or in anything that speaks its protocol.
//
// Names are the caller's and deterministic, so keeping the same file twice leaves one. A blob appears
// whole or not at all. Start with New.
package azblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"castad/internal/fault"
)

const (
	blockBytes  = 4 << 20 // memory of one upload is blockBytes times concurrency
	concurrency = 2
)

// Config says where files go and who may read them.
type Config struct {
	ConnectionString string        // with AccountName, AccountKey and maybe BlobEndpoint; never logged
	Container        string        // 3 to 63 lower-case letters, digits, single hyphens
	SignedFor        time.Duration // > 0: readers need a signature (Sign), which lives at least this long; 0: files are public
	TryTimeout       time.Duration // of one try of one request; 0 means 2 minutes
	Retries          int32         // of one request by the SDK; 0 means 3, negative none
	Now              func() time.Time
}

// Client is safe for concurrent use.
type Client struct {
	cfg          Config
	credential   *blob.SharedKeyCredential
	containerURL string
	http         *http.Client
	options      azcore.ClientOptions
}

// New reads the connection string and fills the defaults. It makes no call.
// An error never repeats the connection string.
func New(cfg Config) (*Client, error) {
	account, err := parseConnection(cfg.ConnectionString)
	if err != nil {
		return nil, fmt.Errorf("read blob connection string: %w", err)
	}
	credential, err := blob.NewSharedKeyCredential(account.name, account.key)
	if err != nil {
		return nil, errors.New("read blob connection string: AccountKey isn't base64")
	}
	if cfg.TryTimeout <= 0 {
		cfg.TryTimeout = 2 * time.Minute
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	client := &http.Client{Transport: &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: cfg.TryTimeout,
		IdleConnTimeout:       time.Minute,
		MaxIdleConnsPerHost:   2 * concurrency,
		ForceAttemptHTTP2:     true,
	}}
	return &Client{cfg: cfg, credential: credential, http: client,
		containerURL: account.endpoint + "/" + cfg.Container,
		options: azcore.ClientOptions{Transport: client,
			Retry: policy.RetryOptions{MaxRetries: cfg.Retries, TryTimeout: cfg.TryTimeout, MaxRetryDelay: 5 * time.Second}}}, nil
}

func (c *Client) blob(name string, options azcore.ClientOptions) (*blockblob.Client, error) {
	if name == "" || strings.HasPrefix(name, "/") || len(name) > 1024 {
		return nil, fault.Stop("blob_name_invalid", fmt.Errorf("blob name of %d bytes", len(name)))
	}
	return blockblob.NewClientWithSharedKeyCredential(c.address(name), c.credential,
		&blockblob.ClientOptions{ClientOptions: options})
}

// address escapes the whole name, slashes too, as the SDK itself does.
func (c *Client) address(name string) string { return c.containerURL + "/" + url.PathEscape(name) }

// Keep stores what r gives under name, in place of what was there, and returns its address: what is written down,
// because it never ends. Whoever is to read the file without our key gets Sign of it.
// It holds 8 MiB at most. contentType is what readers of the file will be told. r is read once and not
// closed; when it fails, the old blob stays as it was.
func (c *Client) Keep(ctx context.Context, name, contentType string, r io.Reader) (string, error) {
	b, err := c.blob(name, c.options)
	if err != nil {
		return "", err
	}
	source := &watched{r: r}
	_, err = b.UploadStream(ctx, source, &blockblob.UploadStreamOptions{BlockSize: blockBytes,
		Concurrency: concurrency, HTTPHeaders: &blob.HTTPHeaders{BlobContentType: &contentType}})
	if source.err != nil { // the source's own classification counts
		return "", fmt.Errorf("keep %s: %w", name, source.err)
	} else if err != nil {
		return "", classified("keep "+name, err)
	}
	return c.address(name), nil
}

// watched remembers why its reader failed.
type watched struct {
	r   io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// KeepFile is Keep for the file at path.
func (c *Client) KeepFile(ctx context.Context, name, contentType, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("keep %s: %w", name, err)
	}
	defer f.Close()
	return c.Keep(ctx, name, contentType, f)
}

// Info describes a blob.
type Info struct {
	Bytes       int64
	ContentType string
	ETag        string
	ModifiedAt  time.Time // UTC
}

// Open returns the blob's bytes; the caller closes them. A blob that isn't there is a Permanent
// fault "blob_not_found".
func (c *Client) Open(ctx context.Context, name string) (io.ReadCloser, Info, error) {
	options := c.options
	options.Retry.TryTimeout = 0 // it would count the reading too, which the caller's context bounds
	b, err := c.blob(name, options)
	if err != nil {
		return nil, Info{}, err
	}
	resp, err := b.DownloadStream(ctx, nil)
	if err != nil {
		return nil, Info{}, classified("open "+name, err)
	}
	info := Info{Bytes: value(resp.ContentLength), ContentType: value(resp.ContentType),
		ETag: string(value(resp.ETag)), ModifiedAt: value(resp.LastModified).UTC()}
	return resp.NewRetryReader(ctx, nil), info, nil
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// Exists reports whether there is a blob of this name.
func (c *Client) Exists(ctx context.Context, name string) (bool, error) {
	b, err := c.blob(name, c.options)
	if err != nil {
		return false, err
	}
	_, err = b.GetProperties(ctx, nil)
	if absent(err) {
		return false, nil
	}
	return err == nil, classified("look for "+name, err)
}

// Delete removes the blob. One that isn't there counts as removed.
func (c *Client) Delete(ctx context.Context, name string) error {
	b, err := c.blob(name, c.options)
	if err != nil {
		return err
	}
	if _, err = b.Delete(ctx, nil); absent(err) {
		return nil
	}
	return classified("delete "+name, err)
}

func absent(err error) bool {
	var refused *azcore.ResponseError
	return bloberror.HasCode(err, bloberror.BlobNotFound) ||
		errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound && refused.ErrorCode == ""
}

// classified turns an answered refusal into a fault without the SDK's text, which repeats the URL and the whole answer.
func classified(doing string, err error) error {
	if err == nil {
		return nil
	}
	var refused *azcore.ResponseError
	if !errors.As(err, &refused) {
		return fmt.Errorf("%s: %w", doing, cause(err))
	}
	return refusal(doing, refused.StatusCode, refused.ErrorCode)
}

func refusal(doing string, status int, code string) error {
	err := fmt.Errorf("%s: HTTP status %d %s", doing, status, code)
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fault.Stop("blob_access_refused", err)
	case code == string(bloberror.ContainerNotFound):
		return fault.Retry("blob_container_missing", err)
	case status == http.StatusNotFound:
		return fault.Stop("blob_not_found", err)
	case code == string(bloberror.ContainerBeingDeleted), code == string(bloberror.MD5Mismatch),
		status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout:
		return fault.Retry("blob_unavailable", err)
	default:
		return fault.Stop("blob_refused", err)
	}
}

// cause drops the URL that net/http puts around an error: it may be signed.
func cause(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
