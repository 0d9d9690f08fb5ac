package main

import (
	"castad/internal/config"
	"castad/providers/creatomate"
	"castad/store"
)

// typicalInput and typicalOutput are the tokens of a typical answer with its prompt.
const (
	typicalInput  = 3000
	typicalOutput = 1500
)

// estimate returns what providers will charge for a submission if all goes well, in micro-dollars: a report, lyrics and
// where it is published a title, a song, and a video of a minute.
func estimate(prices config.Prices, order store.Submission) int64 {
	answers := int64(2)
	if len(order.Publish) > 0 {
		answers++
	}
	width, height := 1080, 1920 // as many pixels in both orientations
	return answers*prices.Tokens.Of("", typicalInput, typicalOutput) + prices.Song + prices.Credit*creatomate.Credits(width, height, 60)
}
