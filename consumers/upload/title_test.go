package main

import (
	"encoding/json"
	"strings"
	"testing"

	"castad/internal/fault"
	"castad/prompts"
	"castad/providers/sandbox"
	"castad/store"
)

// rewritten is the model's good answer with something wrong in it.
func rewritten(t *testing.T, change func(seo *prompts.SEO)) string {
	t.Helper()
	seo, err := prompts.DecodeSEO(written(t, "youtube"))
	if err != nil {
		t.Fatal(err)
	}
	change(&seo)
	raw, err := json.Marshal(seo)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// What can be cut is cut; what can't goes back to the model once, and nothing is published meanwhile.
func TestTitle_MendedOrWrittenAgain(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onYouTube)
	bad := map[string]string{
		"prices": rewritten(t, func(seo *prompts.SEO) {
			seo.Title = "가평펜션 특가 할인 “숲속하루펜션” 9만원부터!"
		}),
		"other language": rewritten(t, func(seo *prompts.SEO) {
			seo.Description = strings.Repeat("Visit our lovely pension in the forest. ", 8)
		}),
		"no keywords":    rewritten(t, func(seo *prompts.SEO) { seo.Keywords = nil }),
		"no JSON":        `"제목만 드립니다"`,
		"more than JSON": string(written(t, "youtube")) + "{}",
	}
	for name, answer := range bad {
		t.Run(name, func(t *testing.T) {
			r.claim = r.filmed(t, onYouTube)
			before, asked := r.posts(t, "youtube"), r.posts(t, "openai")
			r.desk.next(answer)
			r.published(t)
			if n := r.posts(t, "openai") - asked; n != 2 {
				t.Errorf("%d answers were paid, wanted one more than the bad one", n)
			}
			r.claim = r.filmed(t, onYouTube)
			r.desk.next(answer, answer)
			r.wantFault(t, fault.Permanent, "answer_rejected")
			r.wantFault(t, fault.Permanent, "answer_rejected") // and isn't asked for again
			if n := r.posts(t, "openai") - asked; n != 4 {
				t.Errorf("%d answers were paid after two bad ones", n)
			}
			r.wantPosts(t, before+1, 0)
		})
	}
}

// Markup and links that the model was talked into don't get out.
func TestTitle_MarkupAndLinksAreCut(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onYouTube, onInstagram)
	r.desk.next(rewritten(t, func(seo *prompts.SEO) {
		seo.Title += "!!!<script>"
		seo.Description += "\n<b>https://evil.example/펜션</b> www.evil.example"
		seo.Keywords = append(seo.Keywords, "#가평,야경<i>")
	}))
	for _, post := range r.published(t) {
		tags := strings.Join(post.Tags.V, " ")
		text := post.Title + post.Description + tags
		for _, bad := range []string{"<", ">", "http", "www", "!!", "#"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s got %q in %q, %q, %q", post.Platform, bad, post.Title, post.Description, tags)
			}
		}
		if !strings.HasSuffix(tags, " 가평 야경i") {
			t.Errorf("tags %q", tags)
		}
	}
	r.wantPosts(t, 1, 1)
}

func TestTitle_IsCharged(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onYouTube)
	r.published(t)
	job, err := r.DB.FindJob(t.Context(), r.claim.Run, "title")
	if err != nil || job.Charged.V != r.Bill(t).Providers["openai"].Micros || job.Charged.V == 0 {
		t.Errorf("charged %+v, %v; paid %+v", job.Charged, err, r.Bill(t).Providers)
	}
}

// A title is paid once, and its call isn't repeated while nobody knows whether it was accepted.
func TestTitle_LostAnswerIsFound(t *testing.T) {
	t.Parallel()
	r := atUpload(t, onYouTube)
	r.Fail(t, sandbox.Fault{Provider: "openai", What: "lost", Count: 1})
	r.wantFault(t, fault.Uncertain, store.CodeOutcomeUnknown)
	r.published(t)
	if n := r.posts(t, "openai"); n != 1 {
		t.Errorf("%d answers were paid", n)
	}
	r.wantPosts(t, 1, 0)
}
