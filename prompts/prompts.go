// Package prompts holds what CastAD says to language models and how it judges their answers.
//
// There are three prompts: marketing, lyric and youtube. Each is a template file with the
// rules, a typed input, an answer type whose strict JSON Schema is generated, and checks
// for all that a program can check. The package calls no model. Start with Open, then
// Library.Marketing, DecodeReport and CheckReport, and so on for the others.
//
// Facts come from crawled pages and are hostile: they never stand in the instructions,
// only inside one JSON object of the input, cut to length.
package prompts

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"text/template"

	"castad/providers"
)

//go:embed marketing.md lyric.md youtube.md
var standard embed.FS

// Models overrides the model names that the templates set; "" keeps a template's own.
type Models struct{ Marketing, Lyric, YouTube string }

// Library is the loaded set of prompts. It is safe for concurrent use; Reload changes all three at once.
type Library struct {
	files  fs.FS
	models Models
	set    atomic.Pointer[set]
}

type set struct{ marketing, lyric, youtube text }

// text is one template with its settings.
type text struct {
	name      string
	version   string
	model     string
	effort    string
	maxTokens int64
	rules     *template.Template
	schema    []byte
}

// Open loads the prompts of a directory that has marketing.md, lyric.md and youtube.md, or
// those that are built in when dir is "".
func Open(dir string, models Models) (*Library, error) {
	l := &Library{files: standard, models: models}
	if dir != "" {
		l.files = os.DirFS(dir)
	}
	return l, l.Reload()
}

// Reload reads the files again. After an error the set that was loaded before stays in use.
func (l *Library) Reload() error {
	var s set
	var err error
	if s.marketing, err = load(l.files, "marketing", l.models.Marketing, Report{}); err != nil {
		return err
	}
	if s.lyric, err = load(l.files, "lyric", l.models.Lyric, Lyric{}); err != nil {
		return err
	}
	if s.youtube, err = load(l.files, "youtube", l.models.YouTube, SEO{}); err != nil {
		return err
	}
	l.set.Store(&s)
	return nil
}

const maxTemplateBytes = 64 << 10

func load(files fs.FS, name, model string, answer any) (text, error) {
	raw, err := fs.ReadFile(files, name+".md")
	if err != nil {
		return text{}, fmt.Errorf("read prompt %s: %w", name, err)
	}
	if len(raw) > maxTemplateBytes {
		return text{}, fmt.Errorf("prompt %s is larger than %d bytes", name, maxTemplateBytes)
	}
	t := text{name: name}
	if t.schema, err = schemaOf(answer); err != nil {
		return text{}, fmt.Errorf("schema of prompt %s: %w", name, err)
	}
	if err := t.parse(string(raw)); err != nil {
		return text{}, fmt.Errorf("prompt %s: %w", name, err)
	}
	if model != "" {
		t.model = model
	}
	return t, t.tryAll()
}

// parse splits the settings ("key: value" lines between two lines of ---) from the rules.
func (t *text) parse(raw string) (err error) {
	raw = strings.ReplaceAll(raw, "\r\n", "\n")
	head, body, ok := strings.Cut(strings.TrimPrefix(raw, "---\n"), "\n---\n")
	if !ok || !strings.HasPrefix(raw, "---\n") {
		return fmt.Errorf("it has to begin with settings between two lines of ---")
	}
	for line := range strings.Lines(head) {
		if err := t.setting(strings.TrimSpace(line)); err != nil {
			return err
		}
	}
	if t.version == "" || t.model == "" || t.maxTokens <= 0 {
		return fmt.Errorf("version, model and max_tokens have to be set")
	}
	t.rules, err = template.New(t.name).Option("missingkey=error").Parse(strings.TrimSpace(body))
	return err
}

func (t *text) setting(line string) (err error) {
	key, val, _ := strings.Cut(line, ":")
	val = strings.TrimSpace(val)
	switch strings.TrimSpace(key) {
	case "":
	case "version":
		t.version = val
	case "model":
		t.model = val
	case "effort":
		t.effort = val
	case "max_tokens":
		if t.maxTokens, err = strconv.ParseInt(val, 10, 64); err != nil {
			return fmt.Errorf("max_tokens is no number: %q", val)
		}
	default:
		return fmt.Errorf("unknown setting %q", key)
	}
	return nil
}

// tryAll renders the rules for every language, so that a broken file is found when it is loaded.
func (t *text) tryAll() error {
	for _, language := range providers.Languages {
		if _, err := t.render(language); err != nil {
			return err
		}
	}
	return nil
}

// render fills in the one thing that rules depend on. Nothing crawled gets here.
func (t *text) render(language providers.Language) (string, error) {
	var out bytes.Buffer
	err := t.rules.Execute(&out, struct{ Language string }{string(language)})
	if err != nil {
		return "", fmt.Errorf("render prompt %s for %s: %w", t.name, language, err)
	}
	return out.String(), nil
}

// prompt puts rules, facts and schema together.
func (t *text) prompt(language providers.Language, sentence string, facts any) (providers.Prompt, error) {
	if !language.Known() {
		return providers.Prompt{}, fmt.Errorf("prompt %s: unknown language %q", t.name, language)
	}
	rules, err := t.render(language)
	if err != nil {
		return providers.Prompt{}, err
	}
	object, err := json.Marshal(facts)
	if err != nil {
		return providers.Prompt{}, fmt.Errorf("facts of prompt %s: %w", t.name, err)
	}
	var schema map[string]any
	if err := json.Unmarshal(t.schema, &schema); err != nil {
		return providers.Prompt{}, fmt.Errorf("schema of prompt %s: %w", t.name, err)
	}
	p := providers.Prompt{
		Name: t.name, Model: t.model, Effort: t.effort, MaxTokens: t.maxTokens,
		Instructions: rules, Input: sentence + "\n\n" + string(object) + "\n", Schema: schema,
	}
	return stamped(p, map[string]string{"prompt": t.name, "prompt_version": t.version}), nil
}

// stamped adds the metadata and the hash of what the model gets to see.
func stamped(p providers.Prompt, metadata map[string]string) providers.Prompt {
	p.Metadata = map[string]string{"prompt_hash": Hash(p)}
	for key, val := range metadata {
		if key != "prompt_hash" {
			p.Metadata[key] = val
		}
	}
	return p
}

// Hash is the SHA-256, in hex, of a prompt's instructions, input and schema: the same for the same question.
func Hash(p providers.Prompt) string {
	schema, _ := json.Marshal(p.Schema) // maps are marshalled in the order of their keys
	h := sha256.New()
	for _, part := range [][]byte{[]byte(p.Instructions), []byte(p.Input), schema} {
		fmt.Fprintf(h, "%d\n", len(part)) // so that no two divisions of a text hash alike
		h.Write(part)
	}
	return hex.EncodeToString(h.Sum(nil))
}
