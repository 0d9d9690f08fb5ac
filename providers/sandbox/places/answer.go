package places

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"slices"
	"strings"
)

//go:embed texts
var texts embed.FS

var languages = []string{"Korean", "English", "Chinese", "Japanese", "Thai", "Vietnamese"}

// facts is what Answer reads of the JSON object that a prompt asks about.
type facts struct {
	Name     string `json:"name"`
	Region   string `json:"region"`
	Language string `json:"language"`
}

// Answer returns the document of a schema (marketing, lyric or youtube) on the business that
// the facts name, in their language: for a place of All a text written for it, for any other
// a general one with its name and region put in. The same facts get the same answer.
//
// Facts are a JSON object with name, language ("Korean") and, where known, region.
func Answer(schemaName string, object json.RawMessage) (json.RawMessage, error) {
	f, err := readFacts(object)
	if err != nil {
		return nil, fmt.Errorf("answer %q: %w", schemaName, err)
	}
	if !slices.Contains([]string{"marketing", "lyric", "youtube"}, schemaName) {
		return nil, fmt.Errorf("answer %q: there are texts for marketing, lyric and youtube only", schemaName)
	}
	if p, ok := named(f.Name); ok {
		if doc, err := readText(p.ID, schemaName+"-"+f.Language, schemaName); err == nil {
			return doc, nil
		}
	}
	return general(schemaName, f)
}

func readFacts(object json.RawMessage) (facts, error) {
	var f facts
	if err := json.Unmarshal(object, &f); err != nil {
		return f, fmt.Errorf("read facts: %w", err)
	}
	f.Name, f.Region = strings.TrimSpace(f.Name), strings.TrimSpace(f.Region)
	switch {
	case f.Name == "":
		return f, errors.New("the facts have no name")
	case f.Language == "":
		return f, errors.New("the facts have no language")
	case !slices.Contains(languages, f.Language):
		return f, fmt.Errorf("the facts' language is %q, known are %s", f.Language, strings.Join(languages, ", "))
	}
	return f, nil
}

// readText reads texts/{folder}/{file}.json. A file without a language at its end is Korean.
func readText(folder, file, schemaName string) (json.RawMessage, error) {
	doc, err := texts.ReadFile("texts/" + folder + "/" + file + ".json")
	if errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(file, "-Korean") {
		doc, err = texts.ReadFile("texts/" + folder + "/" + schemaName + ".json")
	}
	if err != nil {
		return nil, fmt.Errorf("read text: %w", err)
	}
	return doc, nil
}

// general fills one of the texts for any business. Which one depends on the name alone.
func general(schemaName string, f facts) (json.RawMessage, error) {
	file := schemaName + "-" + f.Language
	doc, err := readText("any", file, schemaName)
	if errors.Is(err, fs.ErrNotExist) {
		h := fnv.New32a()
		_, _ = h.Write([]byte(f.Name)) // a hash takes everything
		doc, err = readText("any", fmt.Sprintf("%s-%d", file, 1+h.Sum32()%2), schemaName)
	}
	if err != nil {
		return nil, fmt.Errorf("answer %q for any business: %w", schemaName, err)
	}
	if schemaName == "lyric" {
		return fill(doc, sung(f.Name), f)
	}
	return fill(doc, printed(f.Name), f)
}

// fill puts name, region and town into every string of a document.
func fill(doc json.RawMessage, name string, f facts) (json.RawMessage, error) {
	var tree any
	if err := json.Unmarshal(doc, &tree); err != nil {
		return nil, fmt.Errorf("read text: %w", err)
	}
	region, town := where(f.Region, f.Language)
	words := strings.NewReplacer("{{name}}", cmp.Or(name, region), "{{region}}", region, "{{town}}", town)
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(replace(tree, words)); err != nil {
		return nil, fmt.Errorf("write text: %w", err)
	}
	return out.Bytes(), nil
}

// replace works on values, so that no name can break out of its string.
func replace(node any, words *strings.Replacer) any {
	switch v := node.(type) {
	case string:
		return replaceString(v, words)
	case []any:
		return replaceList(v, words)
	case map[string]any:
		for key, val := range v {
			v[key] = replace(val, words)
		}
	}
	return node
}

// replaceString keeps a hashtag one word.
func replaceString(s string, words *strings.Replacer) string {
	filled := words.Replace(s)
	if !strings.HasPrefix(s, "#") {
		return filled
	}
	return "#" + strings.Map(func(r rune) rune {
		if strings.ContainsRune(" #,\t\n", r) {
			return -1
		}
		return r
	}, filled)
}

// maxKeyword is YouTube's for one tag, in characters; hashtags may have a few more.
const maxKeyword = 30

// replaceList leaves out keywords that a name made too long, or the same as another.
func replaceList(list []any, words *strings.Replacer) []any {
	out := make([]any, 0, len(list))
	for _, node := range list {
		was, isText := node.(string)
		now := replace(node, words)
		if text, _ := now.(string); isText && (slices.Contains(out, now) || text != was && len([]rune(text)) > maxKeyword) {
			continue
		}
		out = append(out, now)
	}
	return out
}

// where returns the region's town as it is written on maps (강릉시) and as people say it
// (강릉), or the country in the answer's language when no region is known.
func where(region, language string) (town, said string) {
	words := strings.Fields(sung(region))
	if len(words) == 0 {
		country := map[string]string{"Korean": "한국", "English": "Korea", "Chinese": "韩国", "Japanese": "韓国", "Thai": "เกาหลี", "Vietnamese": "Hàn Quốc"}[language]
		return country, country
	}
	town = words[len(words)-1]
	return town, cmp.Or(bare(town), town)
}

// bare drops 시, 군 or 구 where a name is left: 중구 stays 중구.
func bare(town string) string {
	runes := []rune(town)
	if len(runes) > 2 && strings.ContainsRune("시군구", runes[len(runes)-1]) {
		return string(runes[:len(runes)-1])
	}
	return town
}
