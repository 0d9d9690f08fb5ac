package azblob

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"

	"castad/internal/fault"
)

// signSteps divides the life of a signature: all that is signed within one step gets the same URL, so that what is
// answered to somebody who asks again hasn't changed.
const signSteps = 8

// Sign returns where the file at one of our addresses can be read without our key. Files that are public, and
// addresses that aren't of our container, come back as they are. Otherwise a signature that was there is
// replaced by one that lives from now between SignedFor and an eighth more. Who holds a signed URL can read the
// file: it doesn't belong into logs or rows. It makes no call, and its errors are Permanent: what wasn't signed wasn't sent.
//
// It is for addresses that CastAD wrote down itself, not for what users say: it would open other people's files to them.
func (c *Client) Sign(address string) (string, error) {
	name, ours := c.nameOf(address)
	if !ours {
		return address, nil
	}
	if c.cfg.SignedFor <= 0 {
		return c.address(name), nil
	}
	step := max(c.cfg.SignedFor/signSteps, time.Second)
	query, err := sas.BlobSignatureValues{Protocol: c.protocol(), ContainerName: c.cfg.Container, BlobName: name,
		Permissions: (&sas.BlobPermissions{Read: true}).String(),
		ExpiryTime:  c.cfg.Now().UTC().Truncate(step).Add(c.cfg.SignedFor + step)}.SignWithSharedKey(c.credential)
	if err != nil {
		return "", fault.Stop("blob_unsigned", fmt.Errorf("sign the address of %s: %w", name, err))
	}
	return c.address(name) + "?" + query.Encode(), nil
}

// protocol keeps a signature from being sent in the clear where the account itself is reached by TLS.
func (c *Client) protocol() sas.Protocol {
	if strings.HasPrefix(c.containerURL, "https:") {
		return sas.ProtocolHTTPS
	}
	return sas.ProtocolHTTPSandHTTP
}

// nameOf is the blob's name when the address lies in our container.
func (c *Client) nameOf(address string) (name string, ours bool) {
	path, _, _ := strings.Cut(address, "?")
	escaped, ours := strings.CutPrefix(path, c.containerURL+"/")
	if !ours {
		return "", false
	}
	name, err := url.PathUnescape(escaped)
	return name, err == nil && name != ""
}
