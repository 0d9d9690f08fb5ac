package prompts

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"castad/internal/fault"
)

// Bounds of lyrics that a person wrote: wider than those for a model, narrow enough for a song of a minute or two.
const (
	maxTextLines = 40
	maxLineRunes = 120
	maxTextRunes = 2500
)

var headings = map[string]string{"verse": "Verse", "chorus": "Chorus", "outro": "Outro"}

// Sheet is the song as Suno sings it: section tags, a blank line between sections, and
// the tag that ends the song. (Suno has no length parameter: few lines and [End] keep it short.)
func (l Lyric) Sheet() string { return l.Text() + "\n[End]" }

// Text is the song as people read and edit it; ParseText reads it back.
func (l Lyric) Text() string {
	var out strings.Builder
	section := ""
	for _, line := range l.Lines {
		text := sungText(line.Text)
		if text == "" {
			continue
		}
		if line.Section != section {
			if out.Len() > 0 {
				out.WriteString("\n")
			}
			section = line.Section
			out.WriteString("[" + cmp.Or(headings[section], "Verse") + "]\n")
		}
		out.WriteString(text + "\n")
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// Texts are the sung lines alone, in order: those that a video shows.
func (l Lyric) Texts() []string {
	out := make([]string, 0, len(l.Lines))
	for _, line := range l.Lines {
		if text := sungText(line.Text); text != "" {
			out = append(out, text)
		}
	}
	return out
}

// sungText keeps a line one line, and from being taken for a section tag.
func sungText(s string) string {
	return strings.Join(strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(cut(s, maxLineRunes))), " ")
}

var heading = regexp.MustCompile(`^\[\s*([^\[\]\d]+?)\s*\d*\s*\]$`)

// sections are the headings that people write.
var sections = map[string]string{
	"verse": "verse", "chorus": "chorus", "hook": "chorus", "outro": "outro", "end": "end",
	"절": "verse", "벌스": "verse", "후렴": "chorus", "코러스": "chorus", "아웃트로": "outro",
}

// ParseText reads lyrics as Text writes them or as a person types them. Section headings
// in square brackets are optional; lines before the first one are a verse. The title stays empty.
// What can't be used is a fault "lyric_unreadable" (Permanent) that says which line and why.
func ParseText(text string) (Lyric, error) {
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxTextRunes {
		return Lyric{}, lyricUnreadable("lyrics have at most %d characters", maxTextRunes)
	}
	var l Lyric
	section := "verse"
	number := 0
	for raw := range strings.Lines(strings.ReplaceAll(text, "\r\n", "\n")) {
		number++
		line := strings.TrimSpace(raw)
		if line == "" {
			continue
		}
		if m := heading.FindStringSubmatch(line); m != nil {
			if section = sections[strings.ToLower(m[1])]; section == "" {
				return Lyric{}, lyricUnreadable("line %d: the sections are [Verse], [Chorus] and [Outro]", number)
			}
			continue
		}
		if err := addLine(&l, section, line, number); err != nil {
			return Lyric{}, err
		}
	}
	if len(l.Lines) == 0 {
		return Lyric{}, lyricUnreadable("the lyrics are empty")
	}
	return l, nil
}

func addLine(l *Lyric, section, line string, number int) error {
	switch {
	case section == "end":
		return lyricUnreadable("line %d: nothing may follow [End]", number)
	case strings.ContainsAny(line, "[]"):
		return lyricUnreadable("line %d: square brackets are for sections, on lines of their own", number)
	case utf8.RuneCountInString(line) > maxLineRunes:
		return lyricUnreadable("line %d: a line has at most %d characters", number, maxLineRunes)
	case len(l.Lines) >= maxTextLines:
		return lyricUnreadable("there are more than %d lines", maxTextLines)
	}
	l.Lines = append(l.Lines, LyricLine{Section: section, Text: sungText(line)})
	return nil
}

func lyricUnreadable(why string, args ...any) error {
	return fault.Stop("lyric_unreadable", fmt.Errorf(why, args...))
}
