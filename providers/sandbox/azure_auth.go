package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// azureKeys are the account's two keys: the well-known one, which is public, and "key".
var azureKeys = []string{"Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==", "a2V5"}

// azureRefusal lets in who signs with the account's key, who has an unexpired SAS with the right, and readers of blobs
// in a public container. It returns the error code for everybody else.
func (s *Server) azureRefusal(r *http.Request, container string) string {
	if proof, ok := strings.CutPrefix(r.Header.Get("Authorization"), "SharedKey "+azureAccount+":"); ok {
		if !signedAs(proof, sharedKeyText(r)) {
			return "AuthenticationFailed"
		}
		return ""
	}
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	if r.URL.Query().Get("sig") != "" {
		return sasRefusal(r, read)
	}
	access, err := os.ReadFile(filepath.Join(s.blobDir(container), ".access"))
	listing := r.URL.Query().Get("restype") == "container"
	switch {
	case read && err == nil && (string(access) == "container" || string(access) == "blob" && !listing):
		return ""
	case read:
		return "ResourceNotFound"
	}
	return "AuthenticationFailed"
}

func signedAs(proof, text string) bool {
	return slices.ContainsFunc(azureKeys, func(encoded string) bool {
		key, _ := base64.StdEncoding.DecodeString(encoded) // a constant
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(text))
		return hmac.Equal([]byte(proof), []byte(base64.StdEncoding.EncodeToString(mac.Sum(nil))))
	})
}

// sharedKeyText is what a request's signature covers (learn.microsoft.com, authorize with Shared Key).
func sharedKeyText(r *http.Request) string {
	lines := []string{r.Method}
	for _, name := range []string{"Content-Encoding", "Content-Language", "Content-Length", "Content-Md5", "Content-Type", "Date",
		"If-Modified-Since", "If-Match", "If-None-Match", "If-Unmodified-Since", "Range"} {
		value := r.Header.Get(name)
		if name == "Content-Length" && value == "0" {
			value = ""
		}
		if name == "Date" && r.Header.Get("X-Ms-Date") != "" {
			value = ""
		}
		lines = append(lines, value)
	}
	var own []string
	for name, values := range r.Header {
		if name := strings.ToLower(name); strings.HasPrefix(name, "x-ms-") {
			own = append(own, name+":"+strings.Join(values, ","))
		}
	}
	slices.Sort(own)
	lines = append(append(lines, own...), "/"+azureAccount+r.URL.EscapedPath())
	var asked []string
	for name, values := range r.URL.Query() {
		slices.Sort(values)
		asked = append(asked, strings.ToLower(name)+":"+strings.Join(values, ","))
	}
	slices.Sort(asked)
	return strings.Join(append(lines, asked...), "\n")
}

// sasRefusal checks a shared access signature of a blob or of the account: who signed it, until when, and for what.
func sasRefusal(r *http.Request, read bool) string {
	q := r.URL.Query()
	end, err := time.Parse(time.RFC3339, q.Get("se"))
	text := blobSASText(r, q)
	if q.Get("srt") != "" {
		text = accountSASText(q)
	}
	switch {
	case !signedAs(q.Get("sig"), text), err != nil, time.Now().After(end):
		return "AuthenticationFailed"
	case !strings.ContainsAny(q.Get("sp"), map[bool]string{true: "r", false: "wcd"}[read]):
		return "AuthorizationPermissionMismatch"
	}
	return ""
}

// blobSASText is signed by a service SAS since version 2020-12-06 (learn.microsoft.com, create a service SAS).
func blobSASText(r *http.Request, q url.Values) string {
	resource := r.URL.Path
	if q.Get("sr") == "c" {
		resource = "/" + strings.Join(strings.SplitN(strings.TrimPrefix(resource, "/"), "/", 3)[:2], "/")
	}
	return strings.Join([]string{q.Get("sp"), q.Get("st"), q.Get("se"), "/blob" + resource, q.Get("si"), q.Get("sip"), q.Get("spr"), q.Get("sv"),
		q.Get("sr"), "", q.Get("ses"), q.Get("rscc"), q.Get("rscd"), q.Get("rsce"), q.Get("rscl"), q.Get("rsct")}, "\n")
}

// accountSASText is signed by an account SAS since the same version.
func accountSASText(q url.Values) string {
	return strings.Join([]string{azureAccount, q.Get("sp"), q.Get("ss"), q.Get("srt"), q.Get("st"), q.Get("se"), q.Get("sip"), q.Get("spr"),
		q.Get("sv"), q.Get("ses"), ""}, "\n")
}
