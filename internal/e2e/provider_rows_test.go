package e2e_test

import (
	"encoding/json"
	"maps"
	"slices"
)

// What becomes of a call.
const (
	again   = "nothing was done: called again after a rest"
	looked  = "asked again after a rest"
	chat    = "found in its conversation, or missing there after the longest time and called again"
	called  = "accepted: the callback on the call's own address tells the id"
	polled  = "nobody waits for callbacks: the job is looked at when it is due"
	twofold = "the second one changes nothing"
	session = "the session says how much it has, or that it is finished"
	posted  = "the container says whether it is published"
	forgery = "an id is taken for ours only if the provider says so: the job itself is asked"
	person  = "it may have been accepted, and can't be asked for: a person decides (`castad job`)"
)

// providerFault is something that a provider does to a kind of call.
type providerFault struct {
	provider, call string
	name           string         // for people
	fault          map[string]any // as the sandbox takes it; nil for what is forged
	then           string
}

func (f providerFault) String() string { return f.provider + " " + f.call + " " + f.name }

func (f providerFault) order() string {
	order := map[string]any{"provider": f.provider, "call": f.call, "count": perRow}
	if f.provider == "creatomate" && f.call == "create" {
		order["contains"] = "/hooks/creatomate/" // the check of the script before the order is free
	}
	maps.Copy(order, f.fault)
	b, _ := json.Marshal(order) // texts and numbers: can't fail
	return string(b)
}

// kinds of faults, by the name that people know them by.
var kinds = map[string]map[string]any{
	"429 with Retry-After":         {"what": "status", "status": 429, "retry_after": "1"},
	"429 without Retry-After":      {"what": "status", "status": 429},
	"500":                          {"what": "status", "status": 500},
	"502 with a page of HTML":      {"what": "status", "status": 502, "body": "<html>"},
	"503":                          {"what": "status", "status": 503},
	"200 that is no answer":        {"what": "garbage"},
	"connection cut":               {"what": "cut"},
	"carried out, the answer lost": {"what": "lost"},
	"answers drop by drop":         {"what": "slow"},
	"callback never":               {"what": "callback_never"},
	"callback half a minute late":  {"what": "callback_late"},
	"callback twice":               {"what": "callback_double"},
	"carried out after the caller has given up": {"what": "delay", "delay_ms": 35_000},
}

// lasting makes rows of one end.
func lasting(provider, call, then string, names ...string) (rows []providerFault) {
	for _, name := range names {
		rows = append(rows, providerFault{provider: provider, call: call, name: name, fault: kinds[name], then: then})
	}
	return rows
}

// inOK is an error in an answer with status 200.
func inOK(provider, call, body, then string) []providerFault {
	return []providerFault{{provider: provider, call: call, name: "200 with an error: `" + body + "`", then: then,
		fault: map[string]any{"what": "status", "status": 200, "body": body}}}
}

// trouble is what any server does.
var trouble = []string{"429 with Retry-After", "429 without Retry-After", "500", "502 with a page of HTML", "503", "200 that is no answer", "connection cut"}

// passing is trouble without the refusal after which Naver isn't asked for five minutes; the scraper has a test of it.
var passing = slices.DeleteFunc(slices.Clone(trouble), func(name string) bool { return name == "429 without Retry-After" })

func providerFaults() (rows []providerFault) {
	add := func(more ...[]providerFault) {
		for _, m := range more {
			rows = append(rows, m...)
		}
	}
	const limits = "429 with Retry-After"
	add(
		lasting("naver", "read", looked, passing...),
		inOK("naver", "read", `{"errors":[{"message":"timeout"}]}`, looked),
		lasting("naver", "photo", again, passing...),
		lasting("openai", "conversation", again, trouble...),
		lasting("openai", "create", again, limits, "429 without Retry-After"),
		lasting("openai", "create", chat, "500", "502 with a page of HTML", "503", "200 that is no answer", "connection cut",
			"carried out, the answer lost", "answers drop by drop", "carried out after the caller has given up"),
		inOK("openai", "create", `{"error":{"message":"overloaded"}}`, chat),
		lasting("openai", "read", looked, trouble...),
		lasting("suno", "create", again, limits, "429 without Retry-After"),
		inOK("suno", "create", `{"code":430,"msg":"too frequent","data":null}`, again),
		lasting("suno", "create", called, "carried out, the answer lost", "answers drop by drop", "carried out after the caller has given up"),
		lasting("suno", "create", polled, "callback never", "callback half a minute late"),
		lasting("suno", "create", twofold, "callback twice"),
		lasting("suno", "create", forgery, "callback forged: another's id, out of order, unreadable"),
		lasting("suno", "create", person, "502 with a page of HTML", "200 that is no answer", "connection cut"),
		lasting("suno", "read", looked, trouble...),
		inOK("suno", "read", `{"code":500,"msg":"internal","data":null}`, looked),
		lasting("suno", "words", looked, trouble...),
		lasting("suno", "download", again, trouble...),
		lasting("creatomate", "create", again, limits, "429 without Retry-After"),
		lasting("creatomate", "create", called, "carried out, the answer lost", "answers drop by drop", "carried out after the caller has given up"),
		lasting("creatomate", "create", polled, "callback never", "callback half a minute late"),
		lasting("creatomate", "create", twofold, "callback twice"),
		lasting("creatomate", "create", forgery, "callback forged: another's id, out of order, unreadable"),
		lasting("creatomate", "create", person, "502 with a page of HTML", "200 that is no answer", "connection cut"),
		lasting("creatomate", "read", looked, trouble...),
		lasting("creatomate", "download", again, trouble...),
		lasting("azure", "create", again, limits, "500", "503", "connection cut", "carried out, the answer lost"),
		lasting("azure", "read", looked, limits, "500", "503", "connection cut"),
		lasting("youtube", "create", again, "500", "503", "200 that is no answer", "connection cut", "carried out, the answer lost"),
		lasting("youtube", "send", session, "500", "503", "connection cut", "carried out, the answer lost"),
		lasting("youtube", "read", looked, "500", "503", "200 that is no answer", "connection cut"),
		lasting("instagram", "create", again, "500", "503", "200 that is no answer", "connection cut", "carried out, the answer lost"),
		inOK("instagram", "create", `{"error":{"message":"Simulated.","code":2,"is_transient":true}}`, again),
		lasting("instagram", "read", looked, "500", "503", "200 that is no answer", "connection cut"),
		lasting("instagram", "publish", posted, "500", "503", "200 that is no answer", "connection cut", "carried out, the answer lost"),
	)
	return rows
}
