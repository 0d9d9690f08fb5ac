// Package openai asks a language model of OpenAI for JSON that fits a schema.
//
// It uses the Responses API in its background form, so that a call's id is known within milliseconds
// and a lost connection costs no answer. It doesn't wait, repeat or check the JSON. Start with New.
package openai

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/openai/openai-go/v3/conversations"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"

	"castad/internal/fault"
	"castad/providers"
	"castad/providers/wire"
)

// Config says where the service is and who we are there.
type Config struct {
	BaseURL string           // "" means https://api.openai.com/v1
	Key     string           // sent as a bearer token; never logged
	Timeout time.Duration    // of one call, answer included; 0 means 60 s
	Now     func() time.Time // nil means time.Now
}

// Client is safe for concurrent use.
type Client struct {
	cfg           Config
	api           responses.ResponseService
	conversations conversations.ConversationService
}

// New fills the defaults of cfg. It makes no call.
func New(cfg Config) *Client {
	if cfg.BaseURL == "" {
		cfg.BaseURL = "https://api.openai.com/v1"
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 60 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	options := []option.RequestOption{
		option.WithBaseURL(cfg.BaseURL), option.WithAPIKey(cfg.Key),
		option.WithMaxRetries(0), // a retry after a lost answer would be a second paid answer
		option.WithHTTPClient(newDoer(cfg.Timeout))}
	return &Client{cfg: cfg, api: responses.NewResponseService(options...), conversations: conversations.NewConversationService(options...)}
}

// Start asks for one answer in a conversation of its own, made by Prepare, and returns its id; the answer may be Done
// already.
//
// Each accepted call is charged. Fault kind Uncertain with "openai_outcome_unknown" means that the call may have been
// accepted, and Find will tell; every other kind means that it wasn't, but for the codes that Look returns too
// ("model_…"): those answers were paid.
func (c *Client) Start(ctx context.Context, conversation string, p providers.Prompt) (providers.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	ctx, sent := wire.Watch(ctx)
	resp, err := c.api.New(ctx, params(conversation, p))
	if refused, ok := errors.AsType[*apiError](err); ok {
		if refused.status < 500 || refused.named() {
			return providers.Answer{}, c.refusal(refused)
		}
	}
	switch {
	case err != nil && !sent():
		return providers.Answer{}, fault.Retry("openai_unreachable", fmt.Errorf("ask model %s: %w", p.Model, err))
	case err != nil:
		return providers.Answer{}, fault.Unsure("openai_outcome_unknown", fmt.Errorf("ask model %s: %w", p.Model, err))
	case resp.ID == "":
		return providers.Answer{}, fault.Unsure("openai_outcome_unknown", errors.New("answer without an id"))
	}
	return answerOf(resp)
}

func params(conversation string, p providers.Prompt) responses.ResponseNewParams {
	format := responses.ResponseFormatTextConfigParamOfJSONSchema(p.Name, p.Schema)
	format.OfJSONSchema.Strict = param.NewOpt(true)
	out := responses.ResponseNewParams{
		Model:      p.Model,
		Input:      responses.ResponseNewParamsInputUnion{OfString: param.NewOpt(p.Input)},
		Text:       responses.ResponseTextConfigParam{Format: format},
		Metadata:   shared.Metadata(p.Metadata),
		Background: param.NewOpt(true),
		Store:      param.NewOpt(true),
	}
	if conversation != "" {
		out.Conversation = responses.ResponseNewParamsConversationUnion{OfString: param.NewOpt(conversation)}
	}
	if p.Instructions != "" {
		out.Instructions = param.NewOpt(p.Instructions)
	}
	if p.MaxTokens > 0 {
		out.MaxOutputTokens = param.NewOpt(p.MaxTokens)
	}
	if p.Effort != "" {
		out.Reasoning = shared.ReasoningParam{Effort: shared.ReasoningEffort(p.Effort)}
	}
	return out
}

// Look returns the state of an answer. A state that isn't known is Working. A Broken one comes with a fault
// that says why: "model_refused", "model_answer_filtered", "model_prompt_invalid" and "model_cancelled" are
// Permanent; "model_answer_cut" (needs a higher MaxTokens) and "model_failed" are Retryable by a new Start.
// An id that isn't known is Permanent with "openai_answer_gone" (answers are kept 30 days).
//
// An id that Find has returned is looked at through its conversation, which doesn't tell what the answer has used.
func (c *Client) Look(ctx context.Context, id string) (providers.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	if isConversation(id) {
		return c.lookInto(ctx, id)
	}
	resp, err := c.api.Get(ctx, id, responses.ResponseGetParams{})
	if err != nil {
		return providers.Answer{}, c.readFault("look at answer "+id, err)
	}
	return answerOf(resp)
}

// Cancel stops work on an answer. Cancelling twice, or what has ended, is harmless.
func (c *Client) Cancel(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	if _, err := c.api.Cancel(ctx, id); err != nil {
		return c.readFault("cancel answer "+id, err)
	}
	return nil
}

func (c *Client) readFault(doing string, err error) error {
	refused, ok := errors.AsType[*apiError](err)
	switch {
	case !ok || refused.status >= 500:
		return fmt.Errorf("%s: %w", doing, err)
	case refused.status == http.StatusNotFound:
		return fault.Stop("openai_answer_gone", fmt.Errorf("%s: %w", doing, err))
	}
	return c.refusal(refused)
}

func answerOf(resp *responses.Response) (providers.Answer, error) {
	out := providers.Answer{ID: resp.ID, Progress: providers.Working,
		InputTokens: resp.Usage.InputTokens, OutputTokens: resp.Usage.OutputTokens}
	switch string(resp.Status) {
	case "completed":
		if text := refusalText(resp); text != "" {
			return broken(out, fault.Stop("model_refused", fmt.Errorf("answer %s: %.300s", resp.ID, text)))
		}
		out.Progress, out.JSON = providers.Done, resp.OutputText()
		if strings.TrimSpace(out.JSON) == "" {
			return broken(out, fault.Retry("model_failed", fmt.Errorf("answer %s is empty", resp.ID)))
		}
	case "incomplete":
		return broken(out, cut(resp))
	case "failed":
		return broken(out, failed(resp))
	case "cancelled":
		return broken(out, fault.Stop("model_cancelled", fmt.Errorf("answer %s was cancelled", resp.ID)))
	}
	return out, nil
}

func broken(a providers.Answer, err error) (providers.Answer, error) {
	a.Progress, a.JSON = providers.Broken, ""
	return a, err
}

func refusalText(resp *responses.Response) string {
	for _, item := range resp.Output {
		for _, part := range item.Content {
			if part.Type == "refusal" {
				return part.Refusal + " " // a refusal without words is one all the same
			}
		}
	}
	return ""
}

func cut(resp *responses.Response) error {
	reason := resp.IncompleteDetails.Reason
	err := fmt.Errorf("answer %s is incomplete: %s", resp.ID, reason)
	if reason == "content_filter" {
		return fault.Stop("model_answer_filtered", err)
	}
	return fault.Retry("model_answer_cut", err)
}

func failed(resp *responses.Response) error {
	err := fmt.Errorf("answer %s failed: %s: %.300s", resp.ID, resp.Error.Code, resp.Error.Message)
	switch string(resp.Error.Code) {
	case "invalid_prompt", "bio_policy", "data_residency_mismatch", "misalignment_policy_violation":
		return fault.Stop("model_prompt_invalid", err)
	default:
		return fault.Retry("model_failed", err)
	}
}
