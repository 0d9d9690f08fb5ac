package creatomate

import "math"

// Credits returns what a render costs in credits: one a minute of 1280x720, in proportion to the pixels, and begun ones in
// full. The service's documentation names pixels and length as the measure; the exact number is on its price page.
func Credits(width, height int, seconds float64) int64 {
	return int64(math.Ceil(seconds / 60 * float64(width*height) / (1280 * 720)))
}
