package prompts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/invopop/jsonschema"

	"castad/internal/fault"
)

// Report is the marketing report on a business.
type Report struct {
	Brand         Brand          `json:"brand_identity"`
	Market        Market         `json:"market_positioning"`
	Personas      []Persona      `json:"target_personas" jsonschema:"minItems=2,maxItems=5"`
	SellingPoints []SellingPoint `json:"selling_points" jsonschema:"minItems=3,maxItems=8"`
	Keywords      []string       `json:"target_keywords" jsonschema:"minItems=5,maxItems=15"` // hashtags: "#가평펜션"
}

// Brand is what the business stands for.
type Brand struct {
	Concept string `json:"concept"`
	Tagline string `json:"tagline"`
	Tone    string `json:"tone"`
}

// Market is where the business stands among others.
type Market struct {
	Category  string `json:"category"`
	Position  string `json:"position"`
	Advantage string `json:"advantage"`
}

// Persona is one kind of guest.
type Persona struct {
	Name     string `json:"name"`
	AgeRange string `json:"age_range"`
	Needs    string `json:"needs"`
	Message  string `json:"message"`
}

// SellingPoint is a reason to come; Score is its strength, 0 to 100.
type SellingPoint struct {
	Title       string `json:"title"`
	Description string `json:"description"`
	Score       int    `json:"score" jsonschema:"minimum=0,maximum=100"`
}

// Lyric is a song's text.
type Lyric struct {
	Title string      `json:"title"`
	Lines []LyricLine `json:"lines" jsonschema:"minItems=8,maxItems=16"`
}

// LyricLine is one sung line.
type LyricLine struct {
	Section string `json:"section" jsonschema:"enum=verse,enum=chorus,enum=outro"`
	Text    string `json:"text"`
}

// SEO is what a video is published with.
type SEO struct {
	Title       string   `json:"title"`
	Description string   `json:"description"`
	Keywords    []string `json:"keywords" jsonschema:"minItems=5,maxItems=15"`
}

// schemaOf makes the strict schema that structured outputs ask for: everything required, nothing else allowed, no references.
func schemaOf(v any) ([]byte, error) {
	r := jsonschema.Reflector{AllowAdditionalProperties: false, DoNotReference: true, Anonymous: true}
	s := r.Reflect(v)
	s.Version = "" // "$schema" isn't among the keywords of strict schemas
	return json.Marshal(s)
}

// DecodeReport reads a model's answer; see decode for its error.
func DecodeReport(answer []byte) (Report, error) { return decode[Report]("report", answer) }

// DecodeLyric reads a model's answer; see decode for its error.
func DecodeLyric(answer []byte) (Lyric, error) { return decode[Lyric]("lyric", answer) }

// DecodeSEO reads a model's answer; see decode for its error.
func DecodeSEO(answer []byte) (SEO, error) { return decode[SEO]("title and description", answer) }

const maxAnswerBytes = 64 << 10

// decode reads one JSON object of exactly the type's fields. Whatever else comes is a
// fault "model_answer_unreadable" (Permanent: the same answer stays unreadable, and
// another one has to be paid for).
func decode[T any](what string, answer []byte) (T, error) {
	var v, none T
	if len(answer) > maxAnswerBytes || !utf8.Valid(answer) {
		return none, unreadable(what, fmt.Errorf("it has %d bytes, or is no UTF-8", len(answer)))
	}
	d := json.NewDecoder(bytes.NewReader(answer))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return none, unreadable(what, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return none, unreadable(what, errors.New("something follows the object"))
	}
	return v, nil
}

func unreadable(what string, err error) error {
	return fault.Stop("model_answer_unreadable", fmt.Errorf("read the model's %s: %w", what, err))
}
