package author

import (
	"castad/prompts"
	"castad/store"
)

// Writing is what a run waits for while a model works.
const Writing = "model_working"

// Facts returns what a task's project tells a model.
func Facts(p store.Project) prompts.Facts {
	return prompts.Facts{Name: p.StoreName, Region: p.Region, Detail: p.DetailRegionInfo, Category: p.Category,
		Facilities: p.Facilities.V, Description: p.Description, Language: p.Language}
}

// Unreadable makes a miss of an answer that can't be read, so that it goes back to the model like any other.
func Unreadable(err error) []prompts.Miss {
	return []prompts.Miss{{Rule: "answer_unreadable", Detail: err.Error()}}
}
