package instagram

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"

	"castad/providers/wire"
)

const maxAnswerBytes = 1 << 20

// call makes one request; the token goes in a header, never into an address. Its errors are those of wire.Caller.Call.
func (c *Client) call(ctx context.Context, method, path string, in url.Values) (wire.Answer, error) {
	var body io.Reader
	if method == http.MethodGet {
		path += "?" + in.Encode()
	} else {
		body = strings.NewReader(in.Encode())
	}
	req, err := wire.NewRequest(ctx, method, c.cfg.BaseURL+path, body)
	if err != nil {
		return wire.Answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return c.wire.Call(req)
}
