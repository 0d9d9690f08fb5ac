package azblob

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
)

type account struct{ name, key, endpoint string }

// parseConnection reads a storage account's connection string. The SDK's own reader isn't exported apart
// from packages that bring Apache Arrow.
func parseConnection(text string) (account, error) {
	fields := map[string]string{"DefaultEndpointsProtocol": "https", "EndpointSuffix": "core.windows.net"}
	for part := range strings.SplitSeq(text, ";") {
		if key, val, ok := strings.Cut(strings.TrimSpace(part), "="); ok {
			fields[key] = val
		}
	}
	out := account{name: fields["AccountName"], key: fields["AccountKey"], endpoint: fields["BlobEndpoint"]}
	if out.name == "" || out.key == "" {
		return account{}, errors.New("AccountName or AccountKey is missing")
	}
	if out.endpoint == "" {
		out.endpoint = fields["DefaultEndpointsProtocol"] + "://" + out.name + ".blob." + fields["EndpointSuffix"]
	}
	out.endpoint = strings.TrimRight(out.endpoint, "/")
	if at, err := url.Parse(out.endpoint); err != nil || at.Host == "" {
		return account{}, errors.New("BlobEndpoint isn't a URL")
	}
	return out, nil
}

// EnsureContainer creates the container, readable by all who know a blob's name unless URLs are signed.
// One that is there is left as it is.
//
// It is one signed request by hand: the SDK's container package brings Apache Arrow into every program.
func (c *Client) EnsureContainer(ctx context.Context) error {
	query, err := sas.AccountSignatureValues{Protocol: sas.ProtocolHTTPSandHTTP,
		ExpiryTime:    c.cfg.Now().UTC().Add(15 * time.Minute),
		Permissions:   (&sas.AccountPermissions{Create: true, Write: true}).String(),
		ResourceTypes: (&sas.AccountResourceTypes{Container: true}).String()}.SignWithSharedKey(c.credential)
	if err != nil {
		return fmt.Errorf("create container %s: %w", c.cfg.Container, err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.TryTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, c.containerURL+"?restype=container&"+query.Encode(), nil)
	if err != nil {
		return fmt.Errorf("create container %s: %w", c.cfg.Container, cause(err))
	}
	req.Header.Set("x-ms-version", query.Version())
	if c.cfg.SignedFor <= 0 {
		req.Header.Set("x-ms-blob-public-access", "blob")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("create container %s: %w", c.cfg.Container, cause(err))
	}
	defer resp.Body.Close()
	code := resp.Header.Get("x-ms-error-code")
	if resp.StatusCode == http.StatusCreated || resp.StatusCode == http.StatusConflict && code == string(bloberror.ContainerAlreadyExists) {
		return nil
	}
	return refusal("create container "+c.cfg.Container, resp.StatusCode, code)
}
