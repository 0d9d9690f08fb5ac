package scraper

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"castad/internal/fault"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]Ref{
		"1234567890": {PlaceID: "1234567890", Type: "place"},
		"https://map.naver.com/p/entry/place/1234567890?c=15.00,0,0,0,dh&placePath=/home":                         {PlaceID: "1234567890", Type: "place"},
		"https://map.naver.com/p/search/%EA%B0%80%ED%8F%89/place/1234567890?isCorrectAnswer=true&placePath=/home": {PlaceID: "1234567890", Type: "place"},
		"https://map.naver.com/v5/entry/place/1234567890?c=15":                                                    {PlaceID: "1234567890", Type: "place"},
		"https://map.naver.com/v5/search/x/place/1234567890":                                                      {PlaceID: "1234567890", Type: "place"},
		"http://m.place.naver.com/accommodation/1234567890/home":                                                  {PlaceID: "1234567890", Type: "accommodation"},
		"m.place.naver.com/restaurant/1234567890/review/visitor":                                                  {PlaceID: "1234567890", Type: "restaurant"},
		"https://pcmap.place.naver.com/place/1234567890/photo":                                                    {PlaceID: "1234567890", Type: "place"},
		"https://place.naver.com/popupstore/1234567890":                                                           {PlaceID: "1234567890", Type: "place"},
		"https://map.naver.com/?lat=37&pinType=site&pinId=1234567890":                                             {PlaceID: "1234567890", Type: "place"},
		"https://m.map.naver.com/?pinId=1234567890":                                                               {PlaceID: "1234567890", Type: "place"},
		"https://naver.me/x0AbCdEf":                                                                               {Type: "place", Short: true},
		"[네이버 지도]\n숲속하루펜션\n경기 가평군 설악면 숲속길 12\nhttps://naver.me/x0AbCdEf":                                          {Type: "place", Short: true},
		"naver.me/x0AbCdEf": {Type: "place", Short: true},
	} {
		got, err := ParseURL(raw)
		got.URL = ""
		if diff := cmp.Diff(got, want); diff != "" || err != nil {
			t.Errorf("%s: %v (-got +want):\n%s", raw, err, diff)
		}
	}
}

func TestParseURL_Refuses(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"":                                "not_a_place_url",
		"숲속하루펜션":                          "not_a_place_url",
		"123":                             "not_a_place_url",
		"https://naver.me/":               "not_a_place_url",
		"https://naver.me@evil.example/a": "not_a_place_url",
		"https://map.naver.com:8443/p/entry/place/1234567890":   "not_a_place_url",
		"https://evil.example/p/entry/place/1234567890":         "url_not_naver",
		"https://naver.com.evil.example/place/1234567890":       "url_not_naver",
		"https://evilnaver.me/x":                                "url_not_naver",
		"http://127.0.0.1/place/1234567890":                     "url_not_naver",
		"https://map.naver.com/p/search/%EA%B0%80%ED%8F%89":     "place_id_missing",
		"https://map.naver.com/p/search/x?isCorrectAnswer=true": "place_id_missing",
		"https://map.naver.com/p/entry/address/127,37,x":        "place_id_missing",
	} {
		ref, err := ParseURL(raw)
		if err == nil {
			t.Errorf("%s gave %+v", raw, ref)
			continue
		}
		if got := fault.Of(err); got.Code != want || got.Kind != fault.Permanent {
			t.Errorf("%s: %v %s, want permanent %s", raw, got.Kind, got.Code, want)
		}
	}
}

func TestRegion(t *testing.T) {
	t.Parallel()
	for address, want := range map[string][2]string{
		"경기 가평군 설악면 숲속길 12":       {"경기 가평군", "설악면 숲속길 12"},
		"경기도 가평군 설악면 숲속길 12":      {"경기 가평군", "설악면 숲속길 12"},
		"경기도 수원시 팔달구 정조로 800":     {"경기 수원시 팔달구", "정조로 800"},
		"경기 광주시 남한산성면 남한산성로 1":    {"경기 광주시", "남한산성면 남한산성로 1"},
		"강원특별자치도 강릉시 경강로 1":       {"강원 강릉시", "경강로 1"},
		"강원도 양양군 현남면 인구길 1":       {"강원 양양군", "현남면 인구길 1"},
		"전북특별자치도 군산시 해망로 240":     {"전북 군산시", "해망로 240"},
		"전라북도 전주시 완산구 태조로 1":      {"전북 전주시 완산구", "태조로 1"},
		"전라남도 여수시 돌산읍 1":          {"전남 여수시", "돌산읍 1"},
		"충청북도 단양군 단양읍 1":          {"충북 단양군", "단양읍 1"},
		"충청남도 태안군 안면읍 1":          {"충남 태안군", "안면읍 1"},
		"경상북도 포항시 북구 1":           {"경북 포항시 북구", "1"},
		"경상남도 창원시 마산회원구 산호천동길 2":  {"경남 창원시 마산회원구", "산호천동길 2"},
		"제주특별자치도 서귀포시 중문로 1":      {"제주 서귀포시", "중문로 1"},
		"제주특별자치도 제주시 애월읍 1":       {"제주 제주시", "애월읍 1"},
		"세종특별자치시 조치원읍 새내로 1":      {"세종", "조치원읍 새내로 1"},
		"서울특별시 중구 세종대로 110":       {"서울 중구", "세종대로 110"},
		"부산광역시 부산진구 시민공원로 73":     {"부산 부산진구", "시민공원로 73"},
		"인천광역시 강화군 길상면 1":         {"인천 강화군", "길상면 1"},
		"대구 군위군 부계면 1":            {"대구 군위군", "부계면 1"},
		"울산광역시 울주군 1":             {"울산 울주군", "1"},
		"광주광역시 북구 1":              {"광주 북구", "1"},
		"대전시 유성구 1":               {"대전 유성구", "1"},
		"가평군 설악면 숲속길 12":          {"가평군", "설악면 숲속길 12"},
		"12 Forest-gil, Gapyeong": {"", "12 Forest-gil, Gapyeong"},
		"":                        {"", ""},
	} {
		region, detail := Region(address)
		if got := [2]string{region, detail}; got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}
