package sandbox

import (
	"bytes"
	"cmp"
	"crypto/md5" //nolint:gosec // the protocol's checksum
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const azureAccount = "devstoreaccount1"

var containerName = regexp.MustCompile(`^[a-z0-9](-?[a-z0-9]){2,62}$`)

// blobHead is the first line of a blob's file; the content follows. One file a blob, named by a hash of
// the blob's name, needs no index in memory and survives every kind of end.
type blobHead struct {
	Name string            `json:"name"`
	Type string            `json:"type"`
	ETag string            `json:"etag"`
	Tier string            `json:"tier,omitempty"` // "" is Hot
	Meta map[string]string `json:"meta,omitempty"`
}

// azure serves the account by the escaped path, since slashes in blob names travel as %2F.
func (s *Server) azure(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Ms-Request-Id", "5b0d8f4e-0000-4000-8000-000000000000")
	w.Header().Set("X-Ms-Version", r.Header.Get("X-Ms-Version"))
	parts := strings.SplitN(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/", 3)
	if len(parts) < 2 || !containerName.MatchString(parts[1]) {
		azureError(w, r, 400, "InvalidResourceName")
		return
	}
	container := parts[1]
	if code := s.azureRefusal(r, container); code != "" {
		status := http.StatusForbidden
		if code == "ResourceNotFound" {
			status = http.StatusNotFound
		}
		azureError(w, r, status, code)
		return
	}
	if len(parts) < 3 || parts[2] == "" {
		s.azureContainer(w, r, container)
		return
	}
	name, err := url.PathUnescape(parts[2])
	if err != nil || len(name) > 1024 {
		azureError(w, r, 400, "InvalidResourceName")
		return
	}
	if _, err := os.Stat(s.blobDir(container)); err != nil {
		azureError(w, r, 404, "ContainerNotFound")
		return
	}
	s.azureBlob(w, r, container, name)
}

func (s *Server) blobDir(container string) string {
	return filepath.Join(s.cfg.Dir, "blobs", container)
}

func (s *Server) blobPath(container, name string) string {
	h := hashed(name)
	return filepath.Join(s.blobDir(container), h[:2], h)
}

func hashed(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:20])
}

func azureError(w http.ResponseWriter, r *http.Request, status int, code string) {
	w.Header().Set("X-Ms-Error-Code", code)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = fmt.Fprintf(w, "%s<Error><Code>%s</Code><Message>%s (sandbox)</Message></Error>", xml.Header, code, code)
	}
}

func (s *Server) azureContainer(w http.ResponseWriter, r *http.Request, container string) {
	dir := s.blobDir(container)
	_, err := os.Stat(dir)
	switch q := r.URL.Query(); {
	case r.Method == http.MethodPut && q.Get("restype") == "container" && q.Get("comp") == "":
		if err := os.Mkdir(dir, 0o755); err != nil {
			azureError(w, r, 409, "ContainerAlreadyExists")
			return
		}
		if err := os.WriteFile(filepath.Join(dir, ".access"), []byte(r.Header.Get("X-Ms-Blob-Public-Access")), 0o644); err != nil {
			azureError(w, r, 500, "InternalError")
			return
		}
		w.WriteHeader(http.StatusCreated)
	case err != nil:
		azureError(w, r, 404, "ContainerNotFound")
	case r.Method == http.MethodGet && q.Get("comp") == "list":
		s.listBlobs(w, r, container)
	case r.Method == http.MethodDelete:
		_ = os.RemoveAll(dir)
		w.WriteHeader(http.StatusAccepted)
	case r.Method == http.MethodPut && q.Get("comp") == "acl":
		_ = os.WriteFile(filepath.Join(dir, ".access"), []byte(r.Header.Get("X-Ms-Blob-Public-Access")), 0o644)
		w.WriteHeader(http.StatusOK)
	default:
		w.WriteHeader(http.StatusOK)
	}
}

func (s *Server) azureBlob(w http.ResponseWriter, r *http.Request, container, name string) {
	switch comp := r.URL.Query().Get("comp"); {
	case r.Method == http.MethodPut && comp == "block":
		s.putBlock(w, r, container, name)
	case r.Method == http.MethodPut && comp == "blocklist":
		s.putBlockList(w, r, container, name)
	case r.Method == http.MethodPut && comp == "tier":
		s.setTier(w, r, s.blobPath(container, name))
	case r.Method == http.MethodPut && r.Header.Get("X-Ms-Blob-Type") == "BlockBlob" && comp == "":
		s.putBlob(w, r, container, name, r.Body)
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
		s.getBlob(w, r, container, name)
	case r.Method == http.MethodDelete:
		if os.Remove(s.blobPath(container, name)) != nil {
			azureError(w, r, 404, "BlobNotFound")
			return
		}
		w.WriteHeader(http.StatusAccepted)
	default:
		azureError(w, r, 400, "InvalidHeaderValue")
	}
}

const maxBlob = 5000 << 20

// putBlob writes beside and then renames, or links where the blob must be new: readers see all or nothing.
func (s *Server) putBlob(w http.ResponseWriter, r *http.Request, container, name string, from io.Reader) {
	head := blobHead{Name: name, Type: r.Header.Get("X-Ms-Blob-Content-Type"), Meta: map[string]string{}}
	if head.Type == "" {
		head.Type = "application/octet-stream"
	}
	for key, v := range r.Header {
		if k, ok := strings.CutPrefix(strings.ToLower(key), "x-ms-meta-"); ok {
			head.Meta[k] = v[0]
		}
	}
	path := s.blobPath(container, name)
	old, err := readHead(path)
	if match := r.Header.Get("If-Match"); match != "" && (err != nil || match != "*" && match != old.ETag) {
		azureError(w, r, 412, "ConditionNotMet")
		return
	}
	head.ETag = fmt.Sprintf(`"0x%X"`, time.Now().UnixNano())
	content := checked(r, http.MaxBytesReader(w, io.NopCloser(from), maxBlob))
	err = writeBlob(path, head, content, r.Header.Get("If-None-Match") == "*")
	if status, code := writeRefusal(err); code != "" {
		azureError(w, r, status, code)
		return
	}
	w.Header().Set("ETag", head.ETag)
	w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
	w.WriteHeader(http.StatusCreated)
}

func writeBlob(path string, head blobHead, content io.Reader, onlyNew bool) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	line, err := json.Marshal(head)
	if err != nil {
		return err
	}
	size := binary.BigEndian.AppendUint32(nil, uint32(len(line)))
	from := io.MultiReader(bytes.NewReader(size), bytes.NewReader(line), content)
	if !onlyNew {
		return writeWhole(path, from)
	}
	beside := fmt.Sprintf("%s.%d", path, time.Now().UnixNano())
	defer os.Remove(beside)
	if err := writeWhole(beside, from); err != nil {
		return err
	}
	return os.Link(beside, path)
}

func readHead(path string) (blobHead, error) {
	f, err := os.Open(path)
	if err != nil {
		return blobHead{}, err
	}
	defer f.Close()
	head, _, err := openHead(f)
	return head, err
}

// openHead reads the head of an opened blob and returns where the content begins.
func openHead(f *os.File) (head blobHead, start int64, err error) {
	var size [4]byte
	if _, err := io.ReadFull(f, size[:]); err != nil {
		return head, 0, err
	}
	n := int64(binary.BigEndian.Uint32(size[:]))
	err = json.NewDecoder(io.LimitReader(f, n)).Decode(&head)
	return head, 4 + n, err
}

func (s *Server) getBlob(w http.ResponseWriter, r *http.Request, container, name string) {
	f, err := os.Open(s.blobPath(container, name))
	if err != nil {
		azureError(w, r, 404, "BlobNotFound")
		return
	}
	defer f.Close()
	head, start, err := openHead(f)
	info, statErr := f.Stat()
	if err != nil || statErr != nil {
		azureError(w, r, 500, "InternalError")
		return
	}
	h := w.Header()
	h.Set("Content-Type", head.Type)
	h.Set("ETag", head.ETag)
	h.Set("X-Ms-Blob-Type", "BlockBlob")
	h.Set("X-Ms-Access-Tier", cmp.Or(head.Tier, "Hot"))
	for k, v := range head.Meta {
		h.Set("X-Ms-Meta-"+k, v)
	}
	if ranged := r.Header.Get("X-Ms-Range"); ranged != "" {
		r.Header.Set("Range", ranged)
	}
	http.ServeContent(&azureAnswer{ResponseWriter: w, request: r}, r, "", info.ModTime(), io.NewSectionReader(f, start, info.Size()-start))
}

// azureAnswer gives the refusals of http.ServeContent Azure's form.
type azureAnswer struct {
	http.ResponseWriter
	request *http.Request
	refused bool
}

func (a *azureAnswer) WriteHeader(status int) {
	code := map[int]string{http.StatusRequestedRangeNotSatisfiable: "InvalidRange", http.StatusPreconditionFailed: "ConditionNotMet"}[status]
	if code == "" {
		a.ResponseWriter.WriteHeader(status)
		return
	}
	a.refused = true
	azureError(a.ResponseWriter, a.request, status, code)
}

// Write drops the text that ServeContent has for a refusal.
func (a *azureAnswer) Write(b []byte) (int, error) {
	if a.refused {
		return len(b), nil
	}
	return a.ResponseWriter.Write(b)
}

// setTier writes the blob anew under another tier; its content and ETag stay.
func (s *Server) setTier(w http.ResponseWriter, r *http.Request, path string) {
	tier := r.Header.Get("X-Ms-Access-Tier")
	if !slices.Contains([]string{"Hot", "Cool", "Cold", "Archive"}, tier) {
		azureError(w, r, 400, "InvalidHeaderValue")
		return
	}
	f, err := os.Open(path)
	if err != nil {
		azureError(w, r, 404, "BlobNotFound")
		return
	}
	defer f.Close()
	head, _, err := openHeadAt(f)
	head.Tier = tier
	if err == nil {
		err = writeBlob(path, head, f, false)
	}
	if err != nil {
		azureError(w, r, 500, "InternalError")
		return
	}
	w.WriteHeader(http.StatusOK)
}

// openHeadAt is openHead that leaves the file where the content begins.
func openHeadAt(f *os.File) (blobHead, int64, error) {
	head, start, err := openHead(f)
	if err == nil {
		_, err = f.Seek(start, io.SeekStart)
	}
	return head, start, err
}

var errMD5 = errors.New("the content doesn't have the MD5 of its header")

// checked fails at the end of a content whose Content-MD5 is another.
func checked(r *http.Request, from io.Reader) io.Reader {
	want := r.Header.Get("Content-Md5")
	if want == "" || r.URL.Query().Get("comp") == "blocklist" { // there it is the list's
		return from
	}
	return &summed{from: from, sum: md5.New(), want: want}
}

type summed struct {
	from io.Reader
	sum  hash.Hash
	want string
}

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	s.sum.Write(p[:n])
	if err == io.EOF && base64.StdEncoding.EncodeToString(s.sum.Sum(nil)) != s.want {
		return n, errMD5
	}
	return n, err
}

func writeRefusal(err error) (status int, code string) {
	tooLarge := new(http.MaxBytesError)
	switch {
	case err == nil:
		return 0, ""
	case errors.Is(err, os.ErrExist):
		return http.StatusConflict, "BlobAlreadyExists"
	case errors.Is(err, errMD5):
		return http.StatusBadRequest, "Md5Mismatch"
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge, "RequestBodyTooLarge"
	}
	return http.StatusInternalServerError, "InternalError"
}

func (s *Server) stagedDir(container, name string) string {
	return filepath.Join(s.cfg.Dir, "blocks", container, hashed(name))
}

func (s *Server) putBlock(w http.ResponseWriter, r *http.Request, container, name string) {
	dir := s.stagedDir(container, name)
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		content := checked(r, http.MaxBytesReader(w, r.Body, 4000<<20))
		err = writeWhole(filepath.Join(dir, hashed(r.URL.Query().Get("blockid"))), content)
	}
	if status, code := writeRefusal(err); code != "" {
		azureError(w, r, status, code)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

func (s *Server) putBlockList(w http.ResponseWriter, r *http.Request, container, name string) {
	var list struct {
		Latest      []string `xml:"Latest"`
		Uncommitted []string `xml:"Uncommitted"`
	}
	ids := []string{}
	if xml.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&list) == nil {
		ids = append(append(ids, list.Latest...), list.Uncommitted...)
	}
	dir := s.stagedDir(container, name)
	var blocks []io.Reader
	for _, id := range ids {
		f, err := os.Open(filepath.Join(dir, hashed(id)))
		if err != nil {
			azureError(w, r, 400, "InvalidBlockList")
			return
		}
		defer f.Close()
		blocks = append(blocks, f)
	}
	s.putBlob(w, r, container, name, io.MultiReader(blocks...))
	for _, id := range ids {
		_ = os.Remove(filepath.Join(dir, hashed(id)))
	}
}

type listedBlob struct {
	Name       string `xml:"Name"`
	Properties struct {
		LastModified string `xml:"Last-Modified"`
		ETag         string `xml:"Etag"`
		Length       int64  `xml:"Content-Length"`
		Type         string `xml:"Content-Type"`
		BlobType     string `xml:"BlobType"`
	} `xml:"Properties"`
}

// listBlobs answers up to maxresults names, 5,000 at most, in order; the marker is the last name of the page before.
func (s *Server) listBlobs(w http.ResponseWriter, r *http.Request, container string) {
	prefix, marker := r.URL.Query().Get("prefix"), r.URL.Query().Get("marker")
	out := struct {
		XMLName xml.Name     `xml:"EnumerationResults"`
		Prefix  string       `xml:"Prefix"`
		Blobs   []listedBlob `xml:"Blobs>Blob"`
		Next    string       `xml:"NextMarker"`
	}{Prefix: prefix}
	files, _ := filepath.Glob(filepath.Join(s.blobDir(container), "??", "*"))
	for _, path := range files {
		head, err := readHead(path)
		info, statErr := os.Stat(path)
		if err != nil || statErr != nil || !strings.HasPrefix(head.Name, prefix) || head.Name <= marker {
			continue
		}
		b := listedBlob{Name: head.Name}
		line, _ := json.Marshal(head) // was read from JSON
		b.Properties.LastModified, b.Properties.ETag = info.ModTime().UTC().Format(http.TimeFormat), head.ETag
		b.Properties.Length, b.Properties.Type, b.Properties.BlobType = info.Size()-4-int64(len(line)), head.Type, "BlockBlob"
		out.Blobs = append(out.Blobs, b)
	}
	slices.SortFunc(out.Blobs, func(a, b listedBlob) int { return strings.Compare(a.Name, b.Name) })
	most := 5000
	if n, err := strconv.Atoi(r.URL.Query().Get("maxresults")); err == nil && n > 0 {
		most = min(n, most)
	}
	if len(out.Blobs) > most {
		out.Blobs = out.Blobs[:most]
		out.Next = out.Blobs[most-1].Name
	}
	w.Header().Set("Content-Type", "application/xml")
	_, _ = io.WriteString(w, xml.Header)
	_ = xml.NewEncoder(w).Encode(out) // the caller may have hung up
}
