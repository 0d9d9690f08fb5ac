package youtube

import (
	"strings"
	"unicode/utf8"

	"castad/providers"
)

const (
	maxTitleRunes       = 100
	maxDescriptionBytes = 5000
	maxTagsRunes        = 500
)

type resource struct {
	Snippet struct {
		Title                string   `json:"title"`
		Description          string   `json:"description"`
		Tags                 []string `json:"tags,omitempty"`
		CategoryID           string   `json:"categoryId"`
		DefaultLanguage      string   `json:"defaultLanguage,omitempty"`
		DefaultAudioLanguage string   `json:"defaultAudioLanguage,omitempty"`
	} `json:"snippet"`
	Status struct {
		PrivacyStatus           string `json:"privacyStatus"`
		SelfDeclaredMadeForKids bool   `json:"selfDeclaredMadeForKids"` // sent even when false: YouTube asks for a word
		Embeddable              bool   `json:"embeddable"`
		License                 string `json:"license"`
		ContainsSyntheticMedia  bool   `json:"containsSyntheticMedia"`
	} `json:"status"`
}

// resource cuts a post to what the videos resource allows. An unknown privacy becomes private, the one that
// can be put right later.
func (c *Client) resource(post providers.Post) resource {
	var out resource
	out.Snippet.Title = orElse(firstRunes(plain(post.Title), maxTitleRunes), "Video")
	out.Snippet.Description = description(post)
	out.Snippet.Tags = tagsWithin(post.Tags)
	out.Snippet.CategoryID = c.cfg.CategoryID
	out.Snippet.DefaultLanguage, out.Snippet.DefaultAudioLanguage = post.Language.Tag(), post.Language.Tag()
	out.Status.PrivacyStatus = "private"
	if post.Privacy == "public" || post.Privacy == "unlisted" {
		out.Status.PrivacyStatus = post.Privacy
	}
	out.Status.Embeddable, out.Status.License, out.Status.ContainsSyntheticMedia = true, "youtube", true
	return out
}

// description ends with the mark, for which room is always left.
func description(post providers.Post) string {
	end := ""
	if post.Mark != "" {
		end = "\n\n" + markLine(post.Mark)
	}
	return strings.TrimLeft(firstBytes(plain(post.Description), maxDescriptionBytes-len(end))+end, "\n")
}

func markLine(mark string) string { return "ref " + mark }

// plain removes the two letters that YouTube refuses.
func plain(s string) string {
	return strings.TrimSpace(strings.NewReplacer("<", "", ">", "").Replace(s))
}

func firstRunes(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return strings.TrimSpace(string(runes[:n]))
	}
	return s
}

// firstBytes cuts at the start of a letter.
func firstBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.TrimSpace(s[:n])
}

// tagsWithin keeps leading tags while they fit: a comma counts between tags, quotation marks around one with a blank.
func tagsWithin(tags []string) []string {
	var out []string
	used := 0
	for _, tag := range tags {
		tag = strings.ReplaceAll(plain(tag), ",", " ")
		cost := utf8.RuneCountInString(tag)
		if strings.Contains(tag, " ") {
			cost += 2
		}
		if len(out) > 0 {
			cost++
		}
		if tag == "" || used+cost > maxTagsRunes {
			continue
		}
		used += cost
		out = append(out, tag)
	}
	return out
}
