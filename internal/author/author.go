// Package author has documents written by a language model: paid for once, looked at until they are done, checked, and
// sent back once with what was wrong. It is what the intel, lyric and upload stages share. Start with Author.Write.
package author

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"strconv"
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
	// Prepare makes what an answer can be found by, free of charge.
	Prepare(ctx context.Context, metadata map[string]string) (handle string, err error)
	// Start submits a prompt; the answer may be there already.
	Start(ctx context.Context, handle string, p providers.Prompt) (providers.Answer, error)
	// Find returns the id of the answer that was started under a handle, or "" as long as there is none to be seen.
	Find(ctx context.Context, handle string) (id string, err error)
	// Look returns what has become of an answer.
	Look(ctx context.Context, id string) (providers.Answer, error)
}

// Author pays for documents.
type Author struct {
	DB       *store.DB
	Model    Model
	Timeout  time.Duration // of the call that starts an answer
	Interval time.Duration // between two looks
	Longest  time.Duration // that an answer may take
	Prices   providers.TokenPrices
	Repeat   bool // don't wait for Longest when nobody knows whether a call was accepted
}

// New returns an author on the official service, or wherever its address points.
func New(db *store.DB, cfg config.OpenAI, prices providers.TokenPrices) *Author {
	return &Author{DB: db, Model: openai.New(openai.Config{BaseURL: cfg.URL, Key: cfg.Key.Reveal()}), Timeout: cfg.Timeout,
		Interval: cfg.Look, Longest: cfg.Longest, Prices: prices, Repeat: cfg.Repeat}
}

// Document is an answer that passed its checks.
type Document struct {
	JSON    []byte
	Model   string
	Version string // of the prompt's template
	Hash    string // of the prompt as it was sent

	Charges []store.Charge // of this answer, and of one that was sent back
}

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
	charges := doc.Charges
	doc, rest, err = a.ask(ctx, c, purpose+"-repair", prompts.Repair(p, misses))
	if err != nil || rest > 0 {
		return Document{}, rest, err
	}
	doc.Charges = append(charges, doc.Charges...)
	if hard := prompts.Hard(check(doc.JSON)); len(hard) > 0 {
		if err := a.note(ctx, doc.Charges); err != nil {
			return Document{}, 0, err
		}
		return Document{}, 0, fault.Stop("answer_rejected",
			fmt.Errorf("the model's second answer still breaks the rules: %s", prompts.Reasons(hard)))
	}
	return doc, 0, nil
}

// ask pays for one answer and looks at it once.
func (a *Author) ask(ctx context.Context, c store.Claim, purpose string, p providers.Prompt) (Document, time.Duration, error) {
	job, err := a.DB.PayOnce(ctx, c, store.Paid{
		Purpose: purpose, Provider: "openai", Request: p, PriceMicros: a.Prices.Most(p), Metered: true,
		Timeout: a.Timeout, Longest: a.Longest, Repeat: a.Repeat,
		Prepare: func(ctx context.Context, job store.Job) (string, error) { return a.Model.Prepare(ctx, mark(job)) },
		Call:    a.start,
		Find:    func(ctx context.Context, job store.Job) (string, error) { return a.Model.Find(ctx, job.Handle) },
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
	doc := Document{JSON: []byte(answer.JSON), Model: frozen.Model, Version: frozen.Metadata["prompt_version"], Hash: frozen.Metadata["prompt_hash"]}
	if cost, told := a.cost(job, answer); told {
		doc.Charges = []store.Charge{{JobID: job.ID, Micros: cost}}
	}
	return doc, 0, nil
}

// cost returns what an answer has cost; one that was found in its conversation doesn't tell what it has used.
func (a *Author) cost(job store.Job, answer providers.Answer) (micros int64, told bool) {
	var frozen providers.Prompt
	if job.Decode(&frozen) != nil || answer.InputTokens+answer.OutputTokens == 0 {
		return 0, false
	}
	return a.Prices.Of(frozen.Model, answer.InputTokens, answer.OutputTokens), true
}

// note writes down what answers have cost that come to nothing.
func (a *Author) note(ctx context.Context, charges []store.Charge) error {
	for _, charge := range charges {
		if err := a.DB.Charge(ctx, charge); err != nil {
			return err
		}
	}
	return nil
}

// start sends the prompt as it was planned.
func (a *Author) start(ctx context.Context, job store.Job) (string, error) {
	var frozen providers.Prompt
	if err := job.Decode(&frozen); err != nil {
		return "", fault.Stop("request_unreadable", err)
	}
	metadata := mark(job)
	maps.Copy(metadata, frozen.Metadata)
	frozen.Metadata = metadata
	answer, err := a.Model.Start(ctx, job.Handle, frozen)
	if answer.ID != "" { // accepted and paid, whatever the answer is
		return answer.ID, nil
	}
	return "", err
}

// mark is what a person finds the call by in the provider's own records.
func mark(job store.Job) map[string]string {
	return map[string]string{"task_id": job.TaskID, "stage": string(job.Stage), "revision": strconv.Itoa(job.Revision),
		"purpose": job.Purpose, "try": strconv.Itoa(job.Try)}
}

// failed closes the job where the model has ended it without an answer, so that another attempt may ask again. A look
// that didn't come through leaves the job as it is; a refusal would be repeated, and paid for again.
func (a *Author) failed(ctx context.Context, job store.Job, answer providers.Answer, err error) error {
	f := fault.Of(err)
	if answer.Progress != providers.Broken {
		return fmt.Errorf("look at answer %s: %w", job.ExternalID, err)
	}
	cost, told := a.cost(job, answer)
	job.Charged = sql.Null[int64]{V: cost, Valid: told}
	if f.Kind != fault.Permanent {
		return a.DB.Broken(ctx, job, f.Code, err)
	}
	if told {
		err = errors.Join(err, a.DB.Charge(ctx, store.Charge{JobID: job.ID, Micros: cost}))
	}
	return fmt.Errorf("look at answer %s: %w", job.ExternalID, err)
}
