// Package author has documents written by a language model: paid for once, looked at until they are done, checked, and
// sent back once with what was wrong. It is what the intel, lyric and upload stages share. Start with Author.Write.
package author

import (
	"context"
	"fmt"
	"time"

	"castad/internal/config"
	"castad/internal/fault"
	"castad/internal/worker"
	"castad/prompts"
	"castad/providers"
	"castad/providers/openai"
	"castad/store"
)

// Model is a language model that takes a prompt and works on it by itself.
type Model interface {
	// Start submits a prompt; the answer may be there already.
	Start(ctx context.Context, p providers.Prompt) (providers.Answer, error)
	// Look returns what has become of it.
	Look(ctx context.Context, id string) (providers.Answer, error)
}

// Author pays for documents.
type Author struct {
	DB          *store.DB
	Model       Model
	Interval    time.Duration // between two looks
	PriceMicros int64         // of a call, as expected: millionths of a US dollar
	Repeat      bool          // call again when nobody knows whether a call was accepted
}

// New returns an author on the official service, or wherever its address points.
func New(db *store.DB, cfg config.OpenAI) *Author {
	return &Author{DB: db, Model: openai.New(openai.Config{BaseURL: cfg.URL, Key: cfg.Key.Reveal()}), Interval: cfg.Look,
		PriceMicros: cfg.Price, Repeat: cfg.Repeat}
}

// Document is an answer that passed its checks.
type Document struct {
	JSON    []byte
	Model   string
	Version string // of the prompt's template
	Hash    string // of the prompt as it was sent
}

// startTimeout bounds the call that starts an answer. The model works in the background, so its id comes at once.
const startTimeout = 20 * time.Second

// Write returns the document, or how long to rest before the next look. check returns what the answer misses; hard
// misses go back to the model once, and a second miss is a fault "answer_rejected".
func (a *Author) Write(ctx context.Context, c store.Claim, purpose string, p providers.Prompt,
	check func(answer []byte) []prompts.Miss) (Document, time.Duration, error) {
	doc, rest, err := a.ask(ctx, c, purpose, p)
	if err != nil || rest > 0 {
		return Document{}, rest, err
	}
	misses := check(doc.JSON)
	if len(prompts.Hard(misses)) == 0 {
		return doc, 0, nil
	}
	doc, rest, err = a.ask(ctx, c, purpose+"-repair", prompts.Repair(p, misses))
	if err != nil || rest > 0 {
		return Document{}, rest, err
	}
	if hard := prompts.Hard(check(doc.JSON)); len(hard) > 0 {
		return Document{}, 0, fault.Stop("answer_rejected",
			fmt.Errorf("the model's second answer still breaks the rules: %s", prompts.Reasons(hard)))
	}
	return doc, 0, nil
}

// ask pays for one answer and looks at it once.
func (a *Author) ask(ctx context.Context, c store.Claim, purpose string, p providers.Prompt) (Document, time.Duration, error) {
	job, err := a.DB.PayOnce(ctx, c, store.Paid{
		Purpose: purpose, Provider: "openai", Request: p, PriceMicros: a.PriceMicros, Timeout: startTimeout, Repeat: a.Repeat,
		Call: func(ctx context.Context, job store.Job) (string, error) {
			var frozen providers.Prompt
			if err := job.Decode(&frozen); err != nil {
				return "", fault.Stop("request_unreadable", err)
			}
			answer, err := a.Model.Start(ctx, marked(frozen, c))
			if answer.ID != "" { // accepted and paid, whatever the answer is
				return answer.ID, nil
			}
			return "", err
		},
	})
	if err != nil {
		return Document{}, 0, err
	}
	answer, err := a.Model.Look(ctx, job.ExternalID)
	if err != nil {
		return Document{}, 0, a.failed(ctx, job, answer, err)
	}
	if answer.Progress != providers.Done {
		return Document{}, worker.LookAgain(job.Age(), a.Interval), nil
	}
	var frozen providers.Prompt
	if err := job.Decode(&frozen); err != nil {
		return Document{}, 0, err
	}
	return Document{JSON: []byte(answer.JSON), Model: frozen.Model, Version: frozen.Metadata["prompt_version"],
		Hash: frozen.Metadata["prompt_hash"]}, 0, nil
}

// marked adds what lets a person find the call in the provider's own records.
func marked(p providers.Prompt, c store.Claim) providers.Prompt {
	metadata := map[string]string{"task_id": c.TaskID, "stage": string(c.Stage), "revision": fmt.Sprint(c.Revision)}
	for key, value := range p.Metadata {
		metadata[key] = value
	}
	p.Metadata = metadata
	return p
}

// failed closes the job where the model has ended it without an answer, so that another attempt may ask again. A look
// that didn't come through leaves the job as it is; a refusal would be repeated, and paid for again.
func (a *Author) failed(ctx context.Context, job store.Job, answer providers.Answer, err error) error {
	f := fault.Of(err)
	if answer.Progress != providers.Broken || f.Kind == fault.Permanent {
		return fmt.Errorf("look at answer %s: %w", job.ExternalID, err)
	}
	return a.DB.Broken(ctx, job, f.Code, err)
}
