package wire

import (
	"bytes"
	"io"
	"net/http"
	"strings"
)

// leastSecret is the shortest credential that is looked for: a shorter one would be found in harmless words.
const leastSecret = 6

const blank = "(hidden)"

// discreet is an answer's body without the credentials of its request: providers repeat them in their errors, whose texts
// go into logs and rows. It reads the body when it is first read, since a credential can lie across two reads.
type discreet struct {
	io.ReadCloser
	secrets []string
	left    *bytes.Reader
	end     error // after what is left
}

func (d *discreet) Read(p []byte) (int, error) {
	if d.left == nil {
		raw, err := io.ReadAll(d.ReadCloser)
		for _, secret := range d.secrets {
			raw = bytes.ReplaceAll(raw, []byte(secret), []byte(blank))
		}
		if d.left, d.end = bytes.NewReader(raw), err; err == nil {
			d.end = io.EOF
		}
	}
	if d.left.Len() == 0 {
		return 0, d.end
	}
	return d.left.Read(p)
}

// credentials are those that a request holds in its Authorization header and in an access_token of its query.
func credentials(req *http.Request) (secrets []string) {
	_, token, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	for _, secret := range []string{token, req.URL.Query().Get("access_token")} {
		if len(secret) >= leastSecret {
			secrets = append(secrets, secret)
		}
	}
	return secrets
}
