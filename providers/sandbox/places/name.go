package places

import (
	"cmp"
	"regexp"
	"strings"
)

// maxName is how many characters of a name are used. Longer ones are no names.
const maxName = 40

var (
	aside     = regexp.MustCompile(`\s*[(（\[【].*?[)）\]】]`)
	notSung   = regexp.MustCompile(`[\pC<>{}\[\]()（）【】#@*_|~^=\\/"“”'‘’]+`)
	notInText = regexp.MustCompile(`[\pC<>{}]+`)
)

// sung is a name as it can stand in a song: without what is in brackets, without marks.
func sung(name string) string {
	return cmp.Or(tidy(aside.ReplaceAllString(name, ""), notSung), tidy(name, notSung))
}

// printed is a name as it stands on its sign, on one line.
func printed(name string) string { return tidy(name, notInText) }

func tidy(name string, marks *regexp.Regexp) string {
	words := strings.Fields(marks.ReplaceAllString(name, " "))
	runes := []rune(strings.Join(words, " "))
	return strings.TrimSpace(string(runes[:min(len(runes), maxName)]))
}
