package apiproxy

import (
	"net/http"
	"slices"
	"strings"
)

// Request is what a client asks of the API server, in Kubernetes' terms.
type Request struct {
	// Verb is get, list, watch, create, update, patch, delete or
	// deletecollection.
	Verb string
	// Resource is in the plural, as in services; one of its parts is behind a
	// slash, as in services/status. It is empty where the path names none, as
	// in discovery.
	Resource        string
	Namespace, Name string
}

// Write says whether the request changes something.
func (r Request) Write() bool {
	return slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, r.Verb)
}

var verbs = map[string]string{
	http.MethodGet:    "get",
	http.MethodPost:   "create",
	http.MethodPut:    "update",
	http.MethodPatch:  "patch",
	http.MethodDelete: "delete",
}

// parse reads a path of the API:
// /api/v1/namespaces/NAMESPACE/RESOURCE/NAME/PART, or /apis/GROUP/VERSION/...
func parse(r *http.Request) Request {
	req := Request{Verb: verbs[r.Method]}
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case path[0] == "api" && len(path) > 2:
		path = path[2:]
	case path[0] == "apis" && len(path) > 3:
		path = path[3:]
	default:
		return req
	}
	if path[0] == "namespaces" && len(path) > 2 && !namespacePart(path[2]) {
		req.Namespace, path = path[1], path[2:]
	}
	req.Resource = path[0]
	if len(path) > 1 {
		req.Name = path[1]
	}
	if len(path) > 2 {
		req.Resource += "/" + path[2]
	}
	if req.Name == "" {
		req.Verb = ofMany(r, req.Verb)
	}
	return req
}

func namespacePart(s string) bool { return s == "status" || s == "finalize" }

func ofMany(r *http.Request, verb string) string {
	watch := r.URL.Query().Get("watch")
	switch {
	case verb == "get" && (watch == "true" || watch == "1"):
		return "watch"
	case verb == "get":
		return "list"
	case verb == "delete":
		return "deletecollection"
	}
	return verb
}
