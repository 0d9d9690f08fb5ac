package e2e

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
)

// Metrics returns those metrics of a program's first copy that have no labels, as whole numbers.
func (p *Product) Metrics(name string) map[string]int {
	p.t.Helper()
	resp, err := http.Get(p.at(healthOf(key(name, 0))) + "/metrics")
	if err != nil {
		p.t.Fatalf("read the metrics of %s: %v", name, err)
	}
	defer resp.Body.Close()
	values := map[string]int{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		metric, text, ok := strings.Cut(lines.Text(), " ")
		if value, err := strconv.ParseFloat(text, 64); ok && err == nil {
			values[metric] = int(value)
		}
	}
	if err := lines.Err(); err != nil {
		p.t.Fatalf("read the metrics of %s: %v", name, err)
	}
	return values
}
