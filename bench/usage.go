package main

import (
	"castad/internal/usage"
)

// megabytes returns the resident memory of each process.
func megabytes(processes map[string]int) map[string]float64 {
	sizes := map[string]float64{}
	for name, bytes := range usage.Memory(processes) {
		sizes[name] = float64(bytes) / 1e6
	}
	return sizes
}
