package e2e_test

import (
	"fmt"
	"testing"

	"castad/internal/e2e"
)

func TestMain(m *testing.M) { e2e.Main(m) }

const place = "https://map.naver.com/p/entry/place/11000000%02d?c=15.00,0,0,0,dh"

func order(n int, language string) string {
	return fmt.Sprintf(`{"url":%q,"language":%q,"publish":[{"platform":"youtube"},{"platform":"instagram"}]}`, fmt.Sprintf(place, n%4+1), language)
}

func TestProduct_PublishesInSixLanguages(t *testing.T) {
	t.Parallel()
	p := e2e.Start(t, e2e.Options{})
	p.Login()
	for i, language := range []string{"Korean", "English", "Chinese", "Japanese", "Thai", "Vietnamese"} {
		id := p.Submit(language, order(i, language))
		p.Completed(id)
		task, err := p.Task(id)
		if err != nil || len(task.Posts) != 2 || task.VideoURL == "" {
			t.Errorf("%s: %+v, %v", language, task, err)
		}
	}
}
