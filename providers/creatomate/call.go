package creatomate

import (
	"context"
	"encoding/json"
	"fmt"

	"castad/providers/wire"
)

const maxAnswerBytes = 8 << 20 // a list of renders repeats their scripts

// call makes one request. Its errors are those of wire.Caller.Call.
func (c *Client) call(ctx context.Context, method, path string, in any) (wire.Answer, error) {
	req, err := wire.NewJSONRequest(ctx, method, c.cfg.BaseURL+path, in)
	if err != nil {
		return wire.Answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+c.cfg.Key)
	return c.wire.Call(req)
}

// problem is a refusal as an error's text; the documented part of an error body is its hint.
func problem(a wire.Answer) error {
	var doc struct {
		Hint    string `json:"hint"`
		Message string `json:"message"`
	}
	if json.Unmarshal(a.Body, &doc) != nil {
		return fmt.Errorf("HTTP status %d", a.Status)
	}
	return fmt.Errorf("HTTP status %d: %.300s", a.Status, doc.Hint+doc.Message)
}
