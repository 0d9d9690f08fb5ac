package providers

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// TokenPrices are what a language model's tokens cost, by model.
type TokenPrices struct{ models map[string]tokenPrice }

// tokenPrice is in millionths of a US dollar for a million tokens.
type tokenPrice struct{ input, output int64 }

// UnmarshalText reads "model=input/output" entries by commas, in micro-dollars for a million tokens; the model "*" stands
// for all that aren't named.
func (p *TokenPrices) UnmarshalText(text []byte) error {
	p.models = map[string]tokenPrice{}
	for entry := range strings.SplitSeq(string(text), ",") {
		model, price, ok := strings.Cut(strings.TrimSpace(entry), "=")
		input, output, both := strings.Cut(price, "/")
		in, err := strconv.ParseInt(input, 10, 64)
		out, err2 := strconv.ParseInt(output, 10, 64)
		if !ok || !both || err != nil || err2 != nil || in < 0 || out < 0 {
			return fmt.Errorf("%q isn't model=input/output in micro-dollars for a million tokens", entry)
		}
		p.models[model] = tokenPrice{in, out}
	}
	if _, ok := p.models["*"]; !ok {
		return fmt.Errorf(`there is no price for the model "*", which stands for all others`)
	}
	return nil
}

func (p TokenPrices) of(model string) tokenPrice {
	if price, ok := p.models[model]; ok {
		return price
	}
	return p.models["*"]
}

const perMillion = 1_000_000

// Of returns what so many tokens cost, in micro-dollars.
func (p TokenPrices) Of(model string, input, output int64) int64 {
	price := p.of(model)
	return input*price.input/perMillion + output*price.output/perMillion
}

// overheadTokens is what a service adds to a prompt of its own, generously.
const overheadTokens = 500

// Most returns the most that an answer to a prompt can cost, in micro-dollars: no text has more tokens than bytes, and no
// answer more than its limit.
func (p TokenPrices) Most(prompt Prompt) int64 {
	schema, _ := json.Marshal(prompt.Schema) // was unmarshalled from JSON
	input := int64(len(prompt.Instructions) + len(prompt.Input) + len(schema) + overheadTokens)
	return p.Of(prompt.Model, input, prompt.MaxTokens) + 2 // for what was rounded off
}
