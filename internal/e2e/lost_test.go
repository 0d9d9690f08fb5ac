package e2e_test

import (
	"fmt"
	"testing"

	"castad/internal/e2e"
)

// The language model accepts calls and the answers are lost: they are found in their conversations, and not paid for
// again. Calls that never arrived show nothing there, and are made again by themselves.
func TestLost_LanguageModelAnswers(t *testing.T) {
	t.Parallel()
	p := e2e.Start(t, e2e.Options{Env: map[string]string{"CASTAD_OPENAI_TIMEOUT": "3s"}})
	p.Login()
	var all []string
	for name, fault := range map[string]string{
		"answer lost":       `{"provider":"openai","call":"create","what":"lost","count":6}`,
		"call never came":   `{"provider":"openai","call":"create","what":"cut","count":6}`,
		"gateway's 502":     `{"provider":"openai","call":"create","what":"status","status":502,"body":"<html>","count":6}`,
		"garbage":           `{"provider":"openai","call":"create","what":"garbage","count":6}`,
		"conversation lost": `{"provider":"openai","call":"conversation","what":"lost","count":6}`,
	} {
		p.Fault(fault)
		var ids []string
		for i := range 6 {
			ids = append(ids, p.Submit(fmt.Sprintf("%s %d", name, i), order(i, languages[i])))
		}
		p.Completed(ids...)
		all = append(all, ids...)
	}
	paidOnce(t, p, all)
	if decided := p.Decided(t); len(decided) != 0 {
		t.Errorf("a person had to decide: %v", decided)
	}
}
