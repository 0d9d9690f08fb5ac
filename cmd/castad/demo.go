package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

type demoCommand struct {
	URL      string   `arg:"" optional:"" default:"https://map.naver.com/p/entry/place/1100000001" help:"A place on Naver Map; in the sandbox 1100000001 to 1100000004."`
	Language string   `default:"Korean" help:"Korean, English, Chinese, Japanese, Thai or Vietnamese."`
	Name     string   `help:"A place given by hand: its name, with --region and --photo."`
	Region   string   `help:"Its region: 강원 강릉시"`
	Photo    []string `help:"A photo of it; several times." type:"existingfile"`
	Mood     string   `default:"warm" help:"How the song shall feel."`
	Genre    string   `default:"K-pop ballad" help:"And of what kind it shall be."`
	API      string   `help:"Address of the API; without it that of a running dev."`
}

// demoTask is the part of a task that demo shows.
type demoTask struct {
	TaskID   string `json:"task_id"`
	Status   string `json:"status"`
	Reason   string `json:"reason"`
	VideoURL string `json:"video_url"`
	Posts    []struct {
		Platform string `json:"platform"`
		Title    string `json:"title"`
		URL      string `json:"url"`
	} `json:"posts"`
}

// Run submits, watches, and tells where the video is.
func (c *demoCommand) Run(s *session) error {
	api := c.API
	if api == "" {
		api = s.getenv("CASTAD_PUBLIC_URL")
	}
	if api == "" {
		api = "http://127.0.0.1:8080"
	}
	remote := &client{base: strings.TrimSuffix(api, "/")}
	if err := remote.login(s.ctx); err != nil {
		return err
	}
	order, err := c.order(s.ctx, remote)
	if err != nil {
		return err
	}
	var task demoTask
	if err := remote.call(s.ctx, http.MethodPost, "/tasks", nil, bytes.NewReader(order), &task); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "task %s is accepted\n", task.TaskID)
	if err := follow(s.ctx, remote, task.TaskID, s.out); err != nil {
		return err
	}
	return result(s.ctx, remote, task.TaskID, s.out)
}

// order builds the submission.
func (c *demoCommand) order(ctx context.Context, remote *client) ([]byte, error) {
	order := map[string]any{
		"language": c.Language, "music": map[string]string{"genre": c.Genre, "mood": c.Mood},
		"publish": []map[string]string{{"platform": "youtube"}, {"platform": "instagram"}},
	}
	if c.Name == "" {
		order["url"] = c.URL
		return json.Marshal(order)
	}
	if c.Region == "" || len(c.Photo) == 0 {
		return nil, errors.New("a place given by hand needs --region and at least one --photo beside its --name")
	}
	images, err := remote.upload(ctx, c.Photo)
	if err != nil {
		return nil, err
	}
	order["place"] = map[string]any{"name": c.Name, "region": c.Region, "images": images}
	return json.Marshal(order)
}

// follow prints a task's events until it has ended, going on after the last one it saw when the stream breaks.
func follow(ctx context.Context, remote *client, taskID string, out io.Writer) error {
	begun, last := time.Now(), ""
	for ctx.Err() == nil {
		header := http.Header{"Accept": {"text/event-stream"}}
		if last != "" {
			header.Set("Last-Event-ID", last)
		}
		stream, err := remote.send(ctx, http.MethodGet, "/tasks/"+taskID+"/events", header, nil)
		if err != nil {
			return err
		}
		ended, err := printEvents(stream.Body, out, begun, &last)
		stream.Body.Close()
		if ended || err != nil {
			return err
		}
	}
	return ctx.Err()
}

// event is one change of a task.
type event struct {
	Stage      string `json:"stage"`
	What       string `json:"what"`
	Attempt    int    `json:"attempt"`
	TaskStatus string `json:"task_status"`
	Reason     string `json:"reason"`
}

const widestEvent = 1 << 20

func printEvents(stream io.Reader, out io.Writer, begun time.Time, last *string) (ended bool, err error) {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, widestEvent)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			*last = value
		case "data":
			var e event
			if err := json.Unmarshal([]byte(value), &e); err != nil {
				return false, fmt.Errorf("read an event: %w", err)
			}
			fmt.Fprintf(out, "%6.1fs  %-7s %-11s %s\n", time.Since(begun).Seconds(), e.Stage, e.What, e.Reason)
			if e.Stage == "task" && (e.What == "completed" || e.What == "failed" || e.What == "cancelled" || e.What == "held") {
				return true, nil
			}
		}
	}
	return false, nil // the stream broke: its caller connects again
}

func result(ctx context.Context, remote *client, taskID string, out io.Writer) error {
	var task demoTask
	if err := remote.call(ctx, http.MethodGet, "/tasks/"+taskID, nil, nil, &task); err != nil {
		return err
	}
	if task.Status != "completed" {
		return fmt.Errorf("the task is %s: %s", task.Status, task.Reason)
	}
	fmt.Fprintf(out, "\nvideo      %s\n", task.VideoURL)
	for _, post := range task.Posts {
		fmt.Fprintf(out, "%-10s %s\n           %s\n", post.Platform, post.Title, post.URL)
	}
	return nil
}
