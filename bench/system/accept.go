package system

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
)

// Taken is what a system answers when it has accepted a task.
type Taken struct {
	TaskID string `json:"task_id"`
}

var client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 512, MaxConnsPerHost: 512}}

// Post hands a task in and returns its id.
func Post(ctx context.Context, url string, body []byte, header map[string]string) (taskID string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	var taken Taken
	if resp.StatusCode >= 300 {
		return "", fmt.Errorf("the task was refused: %s: %s", resp.Status, raw)
	}
	if err := json.Unmarshal(raw, &taken); err != nil || taken.TaskID == "" {
		return "", errors.Join(errors.New("the answer names no task"), err)
	}
	return taken.TaskID, nil
}

// Payload is a task's body: PayloadBytes of JSON.
func Payload() []byte {
	const frame = `{"name":"","pad":""}`
	return []byte(`{"name":"` + strings.Repeat("n", 100) + `","pad":"` + strings.Repeat("p", PayloadBytes-100-len(frame)) + `"}`)
}

// ServeAccept is the accepting program of systems that bring none: POST /tasks keeps the body under a new id by accept,
// and answers 201 with the id. It ends with ctx.
func ServeAccept(ctx context.Context, addr string, ready func(), accept func(ctx context.Context, payload []byte) (taskID string, err error)) error {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Post("/tasks", func(c *fiber.Ctx) error {
		id, err := accept(c.UserContext(), bytes.Clone(c.Body()))
		if err != nil {
			return err
		}
		return c.Status(http.StatusCreated).JSON(Taken{TaskID: id})
	})
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen for tasks: %w", err)
	}
	ready()
	go func() { <-ctx.Done(); _ = app.Shutdown() }()
	return app.Listener(listener)
}
