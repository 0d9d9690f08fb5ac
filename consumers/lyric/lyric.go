package main

import (
	"context"
	"encoding/json"
	"fmt"

	"castad/internal/author"
	"castad/internal/fault"
	"castad/internal/worker"
	"castad/prompts"
	"castad/store"
)

// Stage has the lyrics written, or takes the owner's.
type Stage struct {
	DB      *store.DB
	Author  *author.Author
	Prompts *prompts.Library
}

// Work may be called any number of times for one run: the call is paid once.
func (s *Stage) Work(ctx context.Context, c store.Claim) (worker.Outcome[store.Lyric], error) {
	if edit := c.Edit.V; edit != nil && edit.Text != "" {
		return s.owners(ctx, c, edit)
	}
	facts, err := s.facts(ctx, c)
	if err != nil {
		return worker.Outcome[store.Lyric]{}, err
	}
	prompt, err := s.Prompts.Lyric(facts)
	if err != nil {
		return worker.Outcome[store.Lyric]{}, fmt.Errorf("build the lyric prompt: %w", err)
	}
	doc, rest, err := s.Author.Write(ctx, c, "lyric", prompt, func(answer []byte) []prompts.Miss {
		lyric, err := prompts.DecodeLyric(answer)
		if err != nil {
			return author.Unreadable(err)
		}
		return prompts.CheckLyric(lyric, facts.Language, facts.Name, facts.Region)
	})
	if err != nil {
		return worker.Outcome[store.Lyric]{}, err
	}
	if rest > 0 {
		return worker.Wait[store.Lyric](rest, author.Writing, "The lyrics are being written.")
	}
	lyric, err := prompts.DecodeLyric(doc.JSON)
	if err != nil {
		return worker.Outcome[store.Lyric]{}, err
	}
	row, err := rowOf(c, lyric, "model")
	row.Model, row.PromptVersion, row.PromptHash = doc.Model, doc.Version, doc.Hash
	return worker.Outcome[store.Lyric]{Result: row, Charges: doc.Charges}, err
}

func (s *Stage) facts(ctx context.Context, c store.Claim) (prompts.LyricFacts, error) {
	project, err := s.DB.LoadProject(ctx, c.TaskID)
	if err != nil {
		return prompts.LyricFacts{}, err
	}
	marketing, err := s.DB.LoadMarketing(ctx, c.TaskID)
	if err != nil {
		return prompts.LyricFacts{}, err
	}
	report, err := prompts.DecodeReport(marketing.Result)
	if err != nil {
		return prompts.LyricFacts{}, err
	}
	return prompts.LyricFacts{Facts: author.Facts(project), Report: report, Music: prompts.Music(c.Task.Music.V)}, nil
}

// owners takes lyrics that a person wrote: whatever can be sung is right.
func (s *Stage) owners(ctx context.Context, c store.Claim, edit *store.Edit) (worker.Outcome[store.Lyric], error) {
	lyric, err := prompts.ParseText(edit.Text)
	if err != nil {
		return worker.Outcome[store.Lyric]{}, err
	}
	lyric.Title = edit.Title
	if lyric.Title == "" {
		project, err := s.DB.LoadProject(ctx, c.TaskID)
		if err != nil {
			return worker.Outcome[store.Lyric]{}, err
		}
		lyric.Title = project.StoreName
	}
	row, err := rowOf(c, lyric, "owner")
	return worker.Outcome[store.Lyric]{Result: row}, err
}

func rowOf(c store.Claim, lyric prompts.Lyric, origin string) (store.Lyric, error) {
	lines, err := json.Marshal(lyric.Lines)
	if err != nil {
		return store.Lyric{}, fault.Stop("lyric_unreadable", err)
	}
	return store.Lyric{TaskID: c.TaskID, Revision: c.Revision, Language: c.Task.Language, Title: lyric.Title, Lines: lines, Origin: origin}, nil
}

// Save writes the lyrics.
func (s *Stage) Save(ctx context.Context, tx *store.Tx, _ store.Claim, lyric store.Lyric) error {
	return tx.SaveLyric(ctx, lyric)
}
