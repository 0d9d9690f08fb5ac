package sandbox

import (
	"html/template"
	"net/http"
)

const style = `<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#223;background:#f7f8fa}
h1{font-size:1.5rem}table{border-collapse:collapse;width:100%;background:#fff}td,th{padding:.5rem;border-bottom:1px solid #dde;text-align:left}
video{max-height:24rem;border-radius:.5rem;background:#000}.grid{display:flex;flex-wrap:wrap;gap:1rem}button,input{font:inherit;padding:.3rem .6rem}pre{white-space:pre-wrap}</style>`

var pageTemplate = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>CastAD sandbox</title>` + style + `
<h1>CastAD sandbox</h1><p>Nothing here costs money; this is what it would have cost.</p>
<table><tr><th>Provider<th>Accepted calls<th>US dollars</tr>
{{range $name, $t := .Bill.Providers}}<tr><td>{{$name}}<td>{{$t.Calls}}<td>{{printf "%.4f" ($.Dollars $t.Micros)}}</tr>{{end}}
<tr><th>Total<th>{{.Bill.Total.Calls}}<th>{{printf "%.4f" (.Dollars .Bill.Total.Micros)}}</tr></table>
<h2>Jobs</h2><table><tr><th>Kind<th>Kept</tr>{{range .Jobs}}<tr><td>{{.Kind}}<td>{{.Count}}</tr>{{end}}</table>
<h2>Faults</h2><form id="f"><input name="provider" placeholder="suno"> <input name="what" placeholder="lost, delay, status …"> <input name="count" type="number" value="1" min="0"> <button>Add</button> <button type="button" id="c">Clear all</button></form>
<h2>Published</h2><div class="grid">{{range .Movies}}<figure><video controls preload="none" src="{{.URL}}"></video><figcaption>{{.Title}}</figcaption></figure>{{else}}Nothing yet.{{end}}</div>
<script>f.onsubmit=async e=>{e.preventDefault();await fetch("/admin/faults",{method:"POST",body:JSON.stringify({provider:f.provider.value,what:f.what.value,count:+f.count.value})});location.reload()}
c.onclick=async()=>{await fetch("/admin/faults",{method:"DELETE"});location.reload()}</script></html>`))

var movieTemplate = template.Must(template.New("").Parse(`<!doctype html><html><meta charset="utf-8"><title>{{.Title}}</title>` + style + `
<video controls src="{{.URL}}"></video><h1>{{.Title}}</h1><pre>{{.Text}}</pre></html>`))

type movieView struct{ Title, Text, URL string }

type jobCount struct {
	Kind  string
	Count int
}

type pageView struct {
	Bill   Bill
	Jobs   []jobCount
	Movies []movieView
}

// Dollars turns micro-dollars into dollars, for people only.
func (pageView) Dollars(micros int64) float64 { return float64(micros) / 1e6 }

func (s *Server) showPage(w http.ResponseWriter, _ *http.Request) {
	view := pageView{Jobs: []jobCount{{"answers", s.answers.count()}, {"songs", s.songs.count()}, {"renders", s.renders.count()},
		{"videos", s.videos.count()}, {"Instagram containers", s.containers.count()}}}
	for _, id := range s.videos.recent(24) {
		v, _ := s.videos.find(id)
		view.Movies = append(view.Movies, movieView{Title: v.Meta.Snippet.Title, URL: "/files/videos/" + id + ".mp4"})
	}
	s.bill.mu.Lock()
	defer s.bill.mu.Unlock()
	view.Bill = s.bill.sum
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = pageTemplate.Execute(w, view) // the caller may have hung up
}

func showMovie(w http.ResponseWriter, title, text, url string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = movieTemplate.Execute(w, movieView{title, text, url}) // the caller may have hung up
}
