package openai

import (
	"context"
	"fmt"
	"strings"

	"github.com/openai/openai-go/v3/conversations"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/shared"

	"castad/internal/fault"
	"castad/providers"
)

// Prepare makes an empty conversation, which costs nothing, and returns its id. A response that is made in it leaves its
// items there once it is completed, and while it is being made a second one is refused with "conversation_locked": so a
// response whose id was lost is found by the conversation, and can't be made twice at the same time.
func (c *Client) Prepare(ctx context.Context, metadata map[string]string) (conversation string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	made, err := c.conversations.New(ctx, conversations.ConversationNewParams{Metadata: shared.Metadata(metadata)})
	switch {
	case err != nil:
		return "", c.readFault("make a conversation", err)
	case !isConversation(made.ID):
		return "", fault.Retry("openai_unreadable", fmt.Errorf("the conversation's id is %.100q", made.ID))
	}
	return made.ID, nil
}

// Find returns an id for Look if an answer was completed in the conversation, and "" otherwise: none was accepted, it is
// still being made, or it has failed.
func (c *Client) Find(ctx context.Context, conversation string) (id string, err error) {
	answer, err := c.Look(ctx, conversation)
	if answer.Progress == providers.Working && err == nil {
		return "", nil
	}
	if answer.ID != "" { // it is there, whatever Look thinks of it
		return conversation, nil
	}
	return "", err
}

func isConversation(id string) bool { return strings.HasPrefix(id, "conv_") }

// newestItems holds an answer's message and its reasoning; the conversation has one answer and one question.
const newestItems = 20

// lookInto reads the answer out of the conversation that it was made in.
func (c *Client) lookInto(ctx context.Context, conversation string) (providers.Answer, error) {
	page, err := c.conversations.Items.List(ctx, conversation, conversations.ItemListParams{Limit: param.NewOpt[int64](newestItems)})
	if err != nil {
		return providers.Answer{}, c.readFault("look into conversation "+conversation, err)
	}
	for _, item := range page.Data {
		if item.Type == "message" && item.Role == "assistant" {
			return answerIn(conversation, item)
		}
	}
	return providers.Answer{Progress: providers.Working}, nil
}

func answerIn(conversation string, item conversations.ConversationItemUnion) (providers.Answer, error) {
	out := providers.Answer{ID: conversation, Progress: providers.Done}
	message := item.AsMessage()
	for _, part := range message.Content {
		if part.Type == "refusal" {
			return broken(out, fault.Stop("model_refused", fmt.Errorf("answer in %s: %.300s", conversation, part.Refusal)))
		}
		out.JSON += part.Text
	}
	if message.Status == conversations.MessageStatusIncomplete {
		return broken(out, fault.Retry("model_answer_cut", fmt.Errorf("answer in %s is incomplete", conversation)))
	}
	if strings.TrimSpace(out.JSON) == "" {
		return broken(out, fault.Retry("model_failed", fmt.Errorf("answer in %s is empty", conversation)))
	}
	return out, nil
}
