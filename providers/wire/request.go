package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
)

// NewRequest is http.NewRequestWithContext with errors as Do has them: without the URL, and ErrNotSent.
func NewRequest(ctx context.Context, method, url string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, notSent(withoutURL(err))
	}
	return req, nil
}

// NewJSONRequest returns a request with in as its JSON body, or without a body if in is nil. Errors as for NewRequest.
func NewJSONRequest(ctx context.Context, method, url string, in any) (*http.Request, error) {
	if in == nil {
		return NewRequest(ctx, method, url, nil)
	}
	raw, err := json.Marshal(in)
	if err != nil {
		return nil, notSent(err)
	}
	req, err := NewRequest(ctx, method, url, bytes.NewReader(raw))
	if err == nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, err
}

func withoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
