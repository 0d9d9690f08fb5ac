package e2e

import (
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Metrics returns those metrics of a program's first copy that have no labels, as whole numbers.
func (p *Product) Metrics(name string) map[string]int {
	p.t.Helper()
	values := map[string]int{}
	for line := range strings.Lines(p.metricsPage(name)) {
		metric, text, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if value, err := strconv.ParseFloat(text, 64); ok && err == nil {
			values[metric] = int(value)
		}
	}
	return values
}

// metricsPage is what a program's first copy tells of itself.
func (p *Product) metricsPage(name string) string {
	p.t.Helper()
	resp, err := http.Get(p.at(healthOf(key(name, 0))) + "/metrics")
	if err != nil {
		p.t.Fatalf("read the metrics of %s: %v", name, err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatalf("read the metrics of %s: %v", name, err)
	}
	return string(page)
}
