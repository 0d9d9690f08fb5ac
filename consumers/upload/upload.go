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

const (
	scheduled  = "scheduled"
	publishing = "platform_working"
)

// Work may be called any number of times for one run: every step that the world can see has a provider job.
func (s *Stage) Work(ctx context.Context, c store.Claim) (worker.Outcome[[]store.SocialUpload], error) {
	video, err := s.DB.LoadVideo(ctx, c.TaskID)
	if err != nil {
		return worker.Outcome[[]store.SocialUpload]{}, err
	}
	seo, charges, rest, err := s.describe(ctx, c)
	if err != nil {
		return worker.Outcome[[]store.SocialUpload]{}, err
	}
	if rest > 0 {
		return worker.Wait[[]store.SocialUpload](rest, author.Writing, "Title and description are being written.")
	}
	outcome, err := s.publish(ctx, c, video, seo)
	outcome.Charges = charges
	return outcome, err
}

// describe has the title, description and keywords written.
func (s *Stage) describe(ctx context.Context, c store.Claim) (prompts.SEO, []store.Charge, time.Duration, error) {
	facts, err := s.facts(ctx, c)
	if err != nil {
		return prompts.SEO{}, nil, 0, err
	}
	prompt, err := s.Prompts.YouTube(facts)
	if err != nil {
		return prompts.SEO{}, nil, 0, fmt.Errorf("build the title prompt: %w", err)
	}
	doc, rest, err := s.Author.Write(ctx, c, "title", prompt, func(answer []byte) []prompts.Miss {
		seo, err := prompts.DecodeSEO(answer)
		if err != nil {
			return author.Unreadable(err)
		}
		return prompts.CheckSEO(prompts.TrimSEO(seo), facts)
	})
	if err != nil || rest > 0 {
		return prompts.SEO{}, nil, rest, err
	}
	seo, err := prompts.DecodeSEO(doc.JSON)
	return prompts.TrimSEO(seo), doc.Charges, 0, err
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

// publish goes to all targets whose time has come; one that has to wait holds up no other. What is out is found by its
// provider job when the run comes back.
func (s *Stage) publish(ctx context.Context, c store.Claim, video store.Video, seo prompts.SEO) (worker.Outcome[[]store.SocialUpload], error) {
	var uploads []store.SocialUpload
	var later worker.Outcome[[]store.SocialUpload]
	for _, target := range c.Task.Publish.V {
		if at := target.PublishAt; at != nil && time.Until(*at) > 0 {
			later = sooner(later, time.Until(*at), scheduled, "Publishing is planned for "+at.UTC().Format(time.RFC3339)+".")
			continue
		}
		post := postOf(c, target, seo)
		published, rest, err := s.Platforms[target.Platform].Publish(ctx, c, video, post)
		if err != nil {
			return worker.Outcome[[]store.SocialUpload]{}, fmt.Errorf("publish on %s: %w", target.Platform, err)
		}
		if rest > 0 {
			later = sooner(later, rest, publishing, target.Platform+" is working on the video.")
			continue
		}
		uploads = append(uploads, store.SocialUpload{TaskID: c.TaskID, Revision: c.Revision, UserUUID: c.Task.UserUUID,
			Platform: target.Platform, Status: "published", Title: post.Title, Description: post.Description,
			Tags: store.JSON[[]string]{V: post.Tags}, Privacy: post.Privacy, ExternalID: published.ID, URL: published.URL})
	}
	if later.Rest > 0 {
		return later, nil
	}
	return worker.Done(uploads)
}

// sooner returns the wait that is over first.
func sooner(later worker.Outcome[[]store.SocialUpload], rest time.Duration, code, reason string) worker.Outcome[[]store.SocialUpload] {
	if later.Rest > 0 && later.Rest <= rest {
		return later
	}
	wait, _ := worker.Wait[[]store.SocialUpload](rest, code, reason) // waiting is no failure
	return wait
}

func postOf(c store.Claim, target store.Target, seo prompts.SEO) providers.Post {
	privacy := target.Privacy
	if privacy == "" {
		privacy = "public"
	}
	return providers.Post{Title: seo.Title, Description: seo.Description, Tags: seo.Keywords, Language: c.Task.Language,
		Privacy: privacy, Mark: fmt.Sprintf("%s-%d", c.TaskID, c.Revision)}
}

// Save writes what was published.
func (s *Stage) Save(ctx context.Context, tx *store.Tx, _ store.Claim, uploads []store.SocialUpload) error {
	return tx.SaveUploads(ctx, uploads)
}
