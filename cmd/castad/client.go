package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
)

// client speaks with the HTTP API.
type client struct {
	base  string
	token string
}

// problem is how the API tells of an error.
type problem struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
}

// call sends a request and reads its JSON answer into out (nil for none).
func (c *client) call(ctx context.Context, method, path string, header http.Header, body io.Reader, out any) error {
	resp, err := c.send(ctx, method, path, header, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("read the answer of %s %s: %w", method, path, err)
	}
	return nil
}

// send returns the answer of a request that succeeded; its caller closes the body.
func (c *client) send(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("prepare %s %s: %w", method, path, err)
	}
	req.Header.Set("Content-Type", "application/json")
	for name, values := range header {
		req.Header[name] = values
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("reach the API at %s (is 'go tool task dev' running?): %w", c.base, err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		defer resp.Body.Close()
		var p problem
		if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&p); err != nil {
			return nil, fmt.Errorf("%s %s: %s", method, path, resp.Status)
		}
		return nil, fmt.Errorf("%s %s: %s: %s (%s)", method, path, resp.Status, p.Detail, p.Code)
	}
	return resp, nil
}

// login takes a development token.
func (c *client) login(ctx context.Context) error {
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := c.call(ctx, http.MethodPost, "/auth/dev/login", nil, strings.NewReader(`{"nickname":"owner"}`), &answer); err != nil {
		return err
	}
	c.token = answer.AccessToken
	return nil
}

// upload sends photos and returns the addresses that a submission by hand takes.
func (c *client) upload(ctx context.Context, paths []string) ([]string, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read a photo: %w", err)
		}
		part, err := form.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {fmt.Sprintf(`form-data; name="images"; filename=%q`, filepath.Base(path))},
			"Content-Type":        {http.DetectContentType(raw)}})
		if err != nil {
			return nil, fmt.Errorf("build the upload: %w", err)
		}
		if _, err := part.Write(raw); err != nil {
			return nil, fmt.Errorf("build the upload: %w", err)
		}
	}
	if err := form.Close(); err != nil {
		return nil, fmt.Errorf("build the upload: %w", err)
	}
	var answer struct {
		Images []struct {
			URL string `json:"url"`
		} `json:"images"`
	}
	header := http.Header{"Content-Type": {form.FormDataContentType()}}
	if err := c.call(ctx, http.MethodPost, "/images", header, &body, &answer); err != nil {
		return nil, err
	}
	urls := make([]string, len(answer.Images))
	for i, image := range answer.Images {
		urls[i] = image.URL
	}
	return urls, nil
}
