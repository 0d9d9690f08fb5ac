package scraper

import "strings"

// provinces maps every spelling of a province or metropolitan city to the short one that
// Naver's place pages use.
var provinces = map[string]string{
	"서울": "서울", "서울시": "서울", "서울특별시": "서울",
	"부산": "부산", "부산시": "부산", "부산광역시": "부산",
	"대구": "대구", "대구시": "대구", "대구광역시": "대구",
	"인천": "인천", "인천시": "인천", "인천광역시": "인천",
	"광주": "광주", "광주시": "광주", "광주광역시": "광주",
	"대전": "대전", "대전시": "대전", "대전광역시": "대전",
	"울산": "울산", "울산시": "울산", "울산광역시": "울산",
	"세종": "세종", "세종시": "세종", "세종특별자치시": "세종",
	"경기": "경기", "경기도": "경기",
	"강원": "강원", "강원도": "강원", "강원특별자치도": "강원",
	"충북": "충북", "충청북도": "충북",
	"충남": "충남", "충청남도": "충남",
	"전북": "전북", "전라북도": "전북", "전북특별자치도": "전북",
	"전남": "전남", "전라남도": "전남",
	"경북": "경북", "경상북도": "경북",
	"경남": "경남", "경상남도": "경남",
	"제주": "제주", "제주도": "제주", "제주특별자치도": "제주",
}

// Region splits a Korean address into the region that people know a place by (province
// or metropolitan city in its short form, then 시/군/구 where there is one) and the rest:
// "경기도 가평군 설악면 숲속길 12" is "경기 가평군" and "설악면 숲속길 12"; a city with
// districts keeps both: "경기 수원시 팔달구". An address that begins with neither comes
// back whole as detail.
func Region(roadAddress string) (region, detail string) {
	words := strings.Fields(roadAddress)
	var parts []string
	if len(words) > 0 && provinces[words[0]] != "" {
		parts, words = append(parts, provinces[words[0]]), words[1:]
	}
	if len(words) > 0 && isTown(words[0]) {
		city := strings.HasSuffix(words[0], "시")
		parts, words = append(parts, words[0]), words[1:]
		if city && len(words) > 0 && isTown(words[0]) && strings.HasSuffix(words[0], "구") {
			parts, words = append(parts, words[0]), words[1:]
		}
	}
	return strings.Join(parts, " "), strings.Join(words, " ")
}

// isTown tells a 시, 군 or 구 from what else an address may go on with (읍, 면, 로, 길, 동).
func isTown(word string) bool {
	runes := []rune(word)
	if len(runes) < 2 {
		return false
	}
	for _, r := range runes {
		if r < '가' || r > '힣' {
			return false
		}
	}
	return strings.ContainsRune("시군구", runes[len(runes)-1])
}
