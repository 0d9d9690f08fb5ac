package servers

// Fetching returns how the folder of a download in progress begins.
func Fetching(set string, names ...string) string {
	return fetching(set + "-" + fingerprint(names))
}

// Wrapper writes the script that runs an unpacked program.
var Wrapper = wrapper
