package wire_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/iotest"

	"castad/providers/wire"
)

// A provider's error quoted the key that it refused, and the key stood in a log.
func TestCall_AnswerRepeatsNoCredential(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		for _, half := range []string{"key sk-se", "cret and ", r.FormValue("access_token"), " are wrong"} { // two packets, two reads
			fmt.Fprint(w, half)
			w.(http.Flusher).Flush()
		}
	}))
	t.Cleanup(server.Close)
	req, err := wire.NewRequest(t.Context(), http.MethodGet, server.URL+"/?access_token=IG-token", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk-secret")
	got, err := wire.New(wire.Limits{}).Call(req)
	if want := "key (hidden) and (hidden) are wrong"; err != nil || string(got.Body) != want {
		t.Errorf("got %q, %v, want %q", got.Body, err, want)
	}
}

// What is read of an answer is what came, in pieces of any size.
func TestDo_BodyReadsAsAReaderDoes(t *testing.T) {
	t.Parallel()
	const said = "an answer without any secret"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, said) }))
	t.Cleanup(server.Close)
	req, err := wire.NewRequest(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := wire.New(wire.Limits{}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := iotest.TestReader(resp.Body, []byte(said)); err != nil {
		t.Error(err)
	}
}
