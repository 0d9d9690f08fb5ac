package main

import (
	"fmt"
	"slices"
	"strings"
)

// reference is what ratios are given against, where it is measured.
const reference = "ceiling+outbox"

// table is the medians of the rounds as Markdown, ratios first.
func table(names []string, measured map[string][]Round) string {
	var out strings.Builder
	base := measured[reference]
	fmt.Fprintf(&out, "| system | throughput, of %[1]s | CPU a task, of %[1]s | tasks/s | p50 ms | p99 ms | CPU ms/task | missing | twice |\n|---|---|---|---|---|---|---|---|---|\n", reference)
	for _, name := range names {
		rounds := measured[name]
		fmt.Fprintf(&out, "| %s | %s | %s | %.0f | %.1f | %.1f | %.2f | %d | %d |\n", name,
			ratio(rounds, base, Round.PerSecond), ratio(rounds, base, Round.cpu),
			median(rounds, Round.PerSecond), median(rounds, func(r Round) float64 { return r.P50 }), median(rounds, func(r Round) float64 { return r.P99 }),
			median(rounds, Round.cpu), sum(rounds, func(r Round) int { return r.Missing }), sum(rounds, func(r Round) int { return r.Duplicates }))
	}
	return out.String()
}

func (r Round) cpu() float64 { return r.CPU }

func ratio(of, to []Round, figure func(Round) float64) string {
	if len(to) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", median(of, figure)/median(to, figure))
}

func median(rounds []Round, figure func(Round) float64) float64 {
	all := make([]float64, len(rounds))
	for i, r := range rounds {
		all[i] = figure(r)
	}
	slices.Sort(all)
	if n := len(all); n%2 == 0 {
		return (all[n/2-1] + all[n/2]) / 2
	}
	return all[len(all)/2]
}

func sum(rounds []Round, figure func(Round) int) (total int) {
	for _, r := range rounds {
		total += figure(r)
	}
	return total
}
