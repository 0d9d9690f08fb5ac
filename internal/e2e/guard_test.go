package e2e_test

import (
	"testing"

	"castad/internal/e2e"
)

// What the record of intents is there for: the same programs, without looking at it, pay twice for each song and each video
// whose answer was lost. TestLost_SongsAndVideos is the same with it.
func TestGuard_WithoutIntentsLostAnswersArePaidTwice(t *testing.T) {
	t.Parallel()
	const lost = 6
	p := withLostAnswers(t, lost, map[string]string{"CASTAD_WITHOUT": "intent"})
	bill := p.Bill()
	for _, provider := range []string{"suno", "creatomate"} {
		if got := bill.Providers[provider].Calls; got != 2*lost {
			t.Errorf("%s was paid %d times for %d tasks: is there another guard?", provider, got, lost)
		}
	}
}

// Songs and videos whose answers were lost are found by the callbacks on their own addresses, and paid once.
func TestLost_SongsAndVideos(t *testing.T) {
	t.Parallel()
	const lost = 6
	p := withLostAnswers(t, lost, nil)
	bill := p.Bill()
	for _, provider := range []string{"suno", "creatomate"} {
		if got := bill.Providers[provider].Calls; got != lost {
			t.Errorf("%s was paid %d times for %d tasks", provider, got, lost)
		}
	}
	p.LedgerIsBill(t)
	if decided := p.Decided(t); len(decided) != 0 {
		t.Errorf("a person had to decide: %v", decided)
	}
}

// withLostAnswers has that many tasks made, each of which loses the answers about its song and its video.
func withLostAnswers(t *testing.T, n int, env map[string]string) *e2e.Product {
	t.Helper()
	all := map[string]string{"CASTAD_SANDBOX_SONG": "300ms", "CASTAD_SANDBOX_RENDER": "300ms"}
	for name, value := range env {
		all[name] = value
	}
	p := e2e.Start(t, e2e.Options{Env: all})
	p.Login()
	p.FaultN("suno", "/hooks/suno/", "lost", n)
	p.FaultN("creatomate", "/hooks/creatomate/", "lost", n) // not the check of the script before it, which is free
	p.Completed(submitAll(p, n)...)
	return p
}
