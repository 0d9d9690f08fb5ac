package wire

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// Answer is what a provider has answered, whatever its status: redirects and refusals too.
type Answer struct {
	Status int // of HTTP
	Header http.Header
	Body   []byte // whole
}

// Call makes the request once, as Do does, and reads the answer to its end. An answer that breaks off, or is larger or
// slower than the limits allow, is an error: the provider has had the request.
func (c *Caller) Call(req *http.Request) (Answer, error) {
	resp, err := c.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("read answer with HTTP status %d: %w", resp.StatusCode, err)
	}
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// limitedBody fails, instead of ending, when there is more than left: half an answer must not look like a whole one.
type limitedBody struct {
	io.ReadCloser
	left, most int64
	done       context.CancelFunc // of the call's time
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("answer has more than %d bytes", b.most)
	}
	return n, err
}

func (b *limitedBody) Close() error {
	defer b.done()
	return b.ReadCloser.Close()
}
