package prompts

import (
	"slices"
	"strings"
)

// rankOfProvince are the endings that make a province or a metropolitan city of a name, longest
// first: 세종특별자치시 is 세종 to whoever speaks or sings of it.
var rankOfProvince = []string{"특별자치시", "특별자치도", "특별시", "광역시"}

// shortOfProvince are the provinces whose short name isn't the long one without its ending.
var shortOfProvince = map[string]string{
	"충청북": "충북", "충청남": "충남",
	"전라북": "전북", "전라남": "전남",
	"경상북": "경북", "경상남": "경남",
}

// regionNames are the names that people call a region by: "경기 가평군" is 경기 or 가평,
// "경상북도" and "경북" both are 경상북 or 경북.
func regionNames(region string) []string {
	var out []string
	for word := range strings.FieldsSeq(region) {
		for _, name := range bothForms(withoutRank(word)) {
			if name = folded(name); len([]rune(name)) >= 2 && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

func withoutRank(word string) string {
	for _, rank := range rankOfProvince {
		if name, had := strings.CutSuffix(word, rank); had && name != "" {
			return name
		}
	}
	runes := []rune(word)
	if len(runes) > 2 && strings.ContainsRune("시군구읍면동도", runes[len(runes)-1]) {
		return string(runes[:len(runes)-1])
	}
	return word
}

func bothForms(name string) []string {
	for long, short := range shortOfProvince {
		if name == long || name == short {
			return []string{short, long}
		}
	}
	return []string{name}
}
