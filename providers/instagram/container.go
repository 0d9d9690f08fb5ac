package instagram

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"castad/internal/fault"
)

// States of a container. InProgress is also what an unknown one should be taken for.
const (
	InProgress = "IN_PROGRESS"
	Finished   = "FINISHED" // may be published
	Errored    = "ERROR"
	Expired    = "EXPIRED"   // 24 hours after its creation
	Published  = "PUBLISHED" // never make another container then
)

// Codes of Failure.
const (
	CodeContainerFailed = "instagram_container_failed"
	CodeUnfetched       = "instagram_video_unfetched"
)

// status holds the subcode inside its text: "Error: Media upload has failed with error code 2207026".
var subcode = regexp.MustCompile(`\b2207\d{3}\b`)

var (
	unfit     = []int{2207026}
	needOther = []int{2207004, 2207005, 2207009, 2207010, 2207023, 2207028, 2207035, 2207036, 2207037, 2207040, 2207057}
)

// Failure says what Meta's table of error codes tells to do about a container that is Errored or Expired, by its status
// text:
//
//	Retryable CodeContainerFailed   another container of the same video may do
//	Retryable CodeUnfetched         Meta couldn't fetch the video: another container, if need be for hours
//	Permanent                       no container of this video and text will do, or the account's owner has to act
func Failure(status, detail string) error {
	cause := fmt.Errorf("container is %s: %.300s", status, detail)
	found, _ := strconv.Atoi(subcode.FindString(detail)) // 0 for none
	switch {
	case found == 2207052:
		return fault.Retry(CodeUnfetched, cause)
	case found == 2207051:
		return fault.Stop("instagram_action_blocked", cause)
	case found == 2207050:
		return fault.Stop("instagram_account_restricted", cause)
	case slices.Contains(unfit, found):
		return fault.Stop("instagram_video_refused", cause)
	case slices.Contains(needOther, found):
		return fault.Stop("instagram_post_refused", cause)
	}
	return fault.Retry(CodeContainerFailed, cause)
}
