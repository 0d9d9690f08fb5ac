package main

import (
	"context"
	"fmt"
	"time"

	"castad/internal/author"
	"castad/internal/worker"
	"castad/prompts"
	"castad/providers"
	"castad/store"
)

// platform publishes a post of a video, once a run, and says how long to rest while the platform works.
type platform interface {
	Publish(ctx context.Context, c store.Claim, video store.Video, post providers.Post) (providers.Published, time.Duration, error)
}

// Stage writes a title and a description for search, and publishes the video to each of the task's targets.
type Stage struct {
	DB        *store.DB
	Author    *author.Author
	Prompts   *prompts.Library
	Platforms map[string]platform // by name: youtube, instagram
}

// Work may be called any number of times for one run: every step that the world can see has a provider job.
func (s *Stage) Work(ctx context.Context, c store.Claim) (worker.Outcome[[]store.SocialUpload], error) {
	var none worker.Outcome[[]store.SocialUpload]
	video, err := s.DB.LoadVideo(ctx, c.TaskID)
	if err != nil {
		return none, err
	}
	uploads, err := s.DB.RunUploads(ctx, c.Run)
	if err != nil {
		return none, err
	}
	if len(uploads) == 0 {
		seo, rest, err := s.describe(ctx, c)
		if err != nil {
			return none, err
		}
		if rest > 0 {
			return worker.Wait[[]store.SocialUpload](rest, author.Writing, "Title and description are being written.")
		}
		uploads = begun(c, seo)
	}
	return s.publish(ctx, c, video, uploads)
}

// describe has the title, description and keywords written. What that has cost is noted at once: the run may go on for
// days, and doesn't come by here again.
func (s *Stage) describe(ctx context.Context, c store.Claim) (prompts.SEO, time.Duration, error) {
	facts, err := s.facts(ctx, c)
	if err != nil {
		return prompts.SEO{}, 0, err
	}
	prompt, err := s.Prompts.YouTube(facts)
	if err != nil {
		return prompts.SEO{}, 0, fmt.Errorf("build the title prompt: %w", err)
	}
	doc, rest, err := s.Author.Write(ctx, c, "title", prompt, func(answer []byte) []prompts.Miss {
		seo, err := prompts.DecodeSEO(answer)
		if err != nil {
			return author.Unreadable(err)
		}
		return prompts.CheckSEO(prompts.TrimSEO(seo), facts)
	})
	if err != nil || rest > 0 {
		return prompts.SEO{}, rest, err
	}
	for _, charge := range doc.Charges {
		if err := s.DB.Charge(ctx, charge); err != nil {
			return prompts.SEO{}, 0, err
		}
	}
	seo, err := prompts.DecodeSEO(doc.JSON)
	return prompts.TrimSEO(seo), 0, err
}

func (s *Stage) facts(ctx context.Context, c store.Claim) (prompts.SEOFacts, error) {
	project, err := s.DB.LoadProject(ctx, c.TaskID)
	if err != nil {
		return prompts.SEOFacts{}, err
	}
	marketing, err := s.DB.LoadMarketing(ctx, c.TaskID)
	if err != nil {
		return prompts.SEOFacts{}, err
	}
	report, err := prompts.DecodeReport(marketing.Result)
	return prompts.SEOFacts{Facts: author.Facts(project), Report: report}, err
}

// Save writes what was published.
func (s *Stage) Save(ctx context.Context, tx *store.Tx, _ store.Claim, uploads []store.SocialUpload) error {
	return tx.SaveUploads(ctx, uploads)
}
