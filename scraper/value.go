package scraper

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// value is a part of an untyped JSON document. Every look-up may fail and then gives the
// zero value: a field of a wrong type is as good as none and spoils no other.
type value struct {
	v     any            // as encoding/json makes it with UseNumber
	cache map[string]any // what {"__ref": key} refers to; nil for plain documents
}

// field returns the member of that name; in an Apollo cache also one with arguments behind it: name({"…"}).
func (v value) field(name string) value {
	m, ok := v.v.(map[string]any)
	if !ok {
		return value{cache: v.cache}
	}
	if f, ok := m[name]; ok && f != nil {
		return v.to(f)
	}
	for key, f := range m {
		if strings.HasPrefix(key, name+"(") && f != nil {
			return v.to(f)
		}
	}
	return value{cache: v.cache}
}

// to follows one reference; the cache has no chains of them.
func (v value) to(f any) value {
	m, _ := f.(map[string]any)
	if ref, ok := m["__ref"].(string); ok && v.cache != nil {
		return value{v: v.cache[ref], cache: v.cache}
	}
	return value{v: f, cache: v.cache}
}

func (v value) present() bool { return v.v != nil }

func (v value) list() []value {
	items, _ := v.v.([]any)
	out := make([]value, 0, len(items))
	for _, item := range items {
		out = append(out, v.to(item))
	}
	return out
}

// text returns a string or number as trimmed text of at most limit characters, without control characters.
func (v value) text(limit int) string {
	switch t := v.v.(type) {
	case string:
		return clean(t, limit)
	case json.Number:
		return clean(t.String(), limit)
	}
	return ""
}

// texts returns the non-empty texts of a list, each once.
func (v value) texts(limit, count int) []string {
	var out []string
	for _, item := range v.list() {
		out = appendNew(out, item.text(limit), count)
	}
	return out
}

// number returns a number that comes as such or in a string; 0 when it is neither or not finite.
func (v value) number() float64 {
	var f float64
	switch t := v.v.(type) {
	case json.Number:
		f, _ = t.Float64()
	case string:
		f, _ = strconv.ParseFloat(strings.TrimSpace(t), 64)
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

func clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		if r < 0x20 || r == 0x7f || r == '\uFFFD' || r == '\uFEFF' || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return -1
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if runes := []rune(s); len(runes) > limit {
		s = strings.TrimSpace(string(runes[:limit]))
	}
	return s
}

func appendNew(list []string, s string, count int) []string {
	if s == "" || len(list) >= count {
		return list
	}
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}
