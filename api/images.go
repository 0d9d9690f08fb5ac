package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	_ "image/jpeg" // the formats that DecodeConfig knows
	_ "image/png"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/google/uuid"
	_ "golang.org/x/image/webp"

	"castad/providers"
)

const (
	imagesPath    = "/images"
	minPixels     = 64         // of a side: less is a thumbnail or a tracking dot
	maxPixels     = 12_000     // of a side
	maxArea       = 60_000_000 // pixels: what a renderer has to unpack
	uploadTimeout = 10 * time.Minute
)

type imagesInput struct{ RawBody multipart.Form }

type imagesOutput struct {
	Body struct {
		Images []storedImage `json:"images"`
	}
}

type storedImage struct {
	providers.Photo
	Name        string `json:"name" doc:"of the file, as it was sent"`
	ContentType string `json:"content_type" enum:"image/jpeg,image/png,image/webp"`
	SizeBytes   int64  `json:"size_bytes"`
}

func (s *server) addImages(api huma.API) {
	if s.Blobs == nil {
		return
	}
	op := tagged(owner(operation(http.MethodPost, imagesPath, "upload-images", "Store photos for a place given by hand")), "Tasks")
	op.Description = "multipart/form-data: up to 20 files of at most 15 MiB, JPEG, PNG or WebP, whatever the fields' names. All are stored or none."
	op.DefaultStatus = http.StatusCreated
	op.MaxBodyBytes = maxUploadBytes
	op.BodyReadTimeout = uploadTimeout
	op.Metadata = map[string]any{"unbounded": true}
	op.Middlewares = huma.Middlewares{s.patient}
	add(s, api, op, s.uploadImages)
}

// patient gives the upload of large files more time than other requests have.
func (s *server) patient(ctx huma.Context, next func(huma.Context)) {
	_ = humafiber.UnwrapV2(ctx).Context().Conn().SetReadDeadline(time.Now().Add(uploadTimeout))
	next(ctx)
}

func (s *server) uploadImages(ctx context.Context, in *imagesInput) (*imagesOutput, error) {
	files := filesOf(&in.RawBody)
	if len(files) == 0 || len(files) > maxImages {
		return nil, refused("validation_failed", "body", fmt.Sprintf("Send 1 to %d files as multipart/form-data; there are %d.", maxImages, len(files)))
	}
	var out imagesOutput
	for _, file := range files {
		stored, err := inspect(file)
		if err != nil {
			return nil, err
		}
		out.Body.Images = append(out.Body.Images, stored)
	}
	for i, file := range files {
		url, err := s.keep(ctx, file, out.Body.Images[i].ContentType)
		if err != nil {
			return nil, err
		}
		out.Body.Images[i].URL = url
	}
	return &out, nil
}

// filesOf returns the files by their fields' names, and those of one field in the order in which they were sent.
func filesOf(form *multipart.Form) []*multipart.FileHeader {
	var files []*multipart.FileHeader
	for _, field := range slices.Sorted(maps.Keys(form.File)) {
		files = append(files, form.File[field]...)
	}
	return files
}

// inspect looks at a file's content; its name and declared type are the sender's word and aren't believed.
func inspect(file *multipart.FileHeader) (storedImage, error) {
	refusal := func(why string) error {
		return refused("image_refused", "body", fmt.Sprintf("%q %s.", shortName(file.Filename), why))
	}
	if file.Size > maxImageBytes {
		return storedImage{}, refusal("has more than 15 MiB")
	}
	f, err := file.Open()
	if err != nil {
		return storedImage{}, fmt.Errorf("open uploaded file: %w", err)
	}
	defer f.Close()
	config, format, err := image.DecodeConfig(f)
	switch {
	case err != nil:
		return storedImage{}, refusal("isn't a JPEG, PNG or WebP image")
	case config.Width < minPixels || config.Height < minPixels || config.Width > maxPixels || config.Height > maxPixels || config.Width*config.Height > maxArea:
		return storedImage{}, refusal(fmt.Sprintf("has %d x %d pixels: sides of %d to %d are taken, and 60 million in all", config.Width, config.Height, minPixels, maxPixels))
	}
	return storedImage{Photo: providers.Photo{Width: config.Width, Height: config.Height}, Name: shortName(file.Filename),
		ContentType: "image/" + format, SizeBytes: file.Size}, nil
}

func shortName(name string) string {
	runes := []rune(name)
	return string(runes[:min(len(runes), 100)])
}

// keep stores a file under a name of our own: never one from outside.
func (s *server) keep(ctx context.Context, file *multipart.FileHeader, contentType string) (string, error) {
	f, err := file.Open()
	if err != nil {
		return "", fmt.Errorf("open uploaded file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxImageBytes))
	if err != nil {
		return "", fmt.Errorf("read uploaded file: %w", err)
	}
	name := fmt.Sprintf("uploads/%s/%s.%s", callerOf(ctx).UUID, uuid.Must(uuid.NewV7()), contentType[len("image/"):])
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	kept, err := s.Blobs.Keep(ctx, name, contentType, bytes.NewReader(data))
	if err != nil {
		p := problem(http.StatusServiceUnavailable, "blobs_unavailable", problemCodes["blobs_unavailable"])
		return "", fmt.Errorf("keep uploaded image: %w", &causedProblem{Problem: p, cause: err})
	}
	return s.Blobs.Sign(kept) // for the caller, who gives it back with the place soon
}

// causedProblem is an answer that keeps its cause for the log.
type causedProblem struct {
	*Problem
	cause error
}

// Error returns the cause's text: it is for the log. The answer is in the Problem.
func (c *causedProblem) Error() string { return c.cause.Error() }

// Unwrap returns the answer and the cause.
func (c *causedProblem) Unwrap() []error { return []error{c.Problem, c.cause} }
