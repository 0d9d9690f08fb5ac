package main

import (
	"context"
	"database/sql/driver"
	"errors"
	"net"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-sql-driver/mysql"
	"github.com/gofiber/fiber/v2"

	"castad/internal/pipeline"
	"castad/store"
)

// Problem is every error that this API answers: a problem document of RFC 9457 with a stable code.
type Problem struct {
	Type   string              `json:"type" doc:"where the code is explained" example:"/docs#not_found"`
	Title  string              `json:"title" example:"Not Found"`
	Status int                 `json:"status" example:"404"`
	Code   string              `json:"code" doc:"stable, for programs; the list is on /docs" example:"not_found"`
	Detail string              `json:"detail" doc:"for people: what is wrong and what to do"`
	Errors []*huma.ErrorDetail `json:"errors,omitempty" doc:"each thing that is wrong, with its place in the request"`
}

// Error returns the sentence for people.
func (p *Problem) Error() string { return p.Detail }

// GetStatus returns the HTTP status. The name is huma's.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType makes the answer a problem document.
func (p *Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

func problem(status int, code, detail string) *Problem {
	return &Problem{Type: "/docs#" + code, Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// refused is a 422 about one place in the request.
func refused(code, location, detail string) *Problem {
	p := problem(http.StatusUnprocessableEntity, code, detail)
	if location != "" {
		p.Errors = []*huma.ErrorDetail{{Location: location, Message: detail}}
	}
	return p
}

// statusCodes are the codes of errors that the framework finds.
var statusCodes = map[int]string{
	http.StatusBadRequest: "malformed_request", http.StatusNotFound: "not_found", http.StatusMethodNotAllowed: "method_not_allowed",
	http.StatusNotAcceptable: "not_acceptable", http.StatusRequestTimeout: "request_timeout", http.StatusLengthRequired: "length_required",
	http.StatusRequestEntityTooLarge: "body_too_large", http.StatusUnsupportedMediaType: "unsupported_media_type",
	http.StatusUnprocessableEntity: "validation_failed", http.StatusRequestHeaderFieldsTooLarge: "headers_too_large",
	http.StatusInternalServerError: "internal", http.StatusServiceUnavailable: "unavailable",
}

const internalDetail = "Something went wrong on our side. Try again; if it stays, report the X-Request-Id of this answer."

func init() {
	// huma has this one switch for the shape of its errors, and it is a variable of its package.
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return frameworkProblem(status, message, errs)
	}
}

// frameworkProblem gives the framework's own errors our shape. A *Problem among errs is the answer itself, and the text
// of an unexpected error stays inside.
func frameworkProblem(status int, message string, errs []error) *Problem {
	for _, err := range errs {
		if p, ok := errors.AsType[*Problem](err); ok {
			return p
		}
	}
	code, ok := statusCodes[status]
	if !ok {
		code = "refused"
	}
	if status >= http.StatusInternalServerError {
		return problem(status, code, internalDetail)
	}
	p := problem(status, code, message)
	for _, err := range errs {
		if detailer, ok := err.(huma.ErrorDetailer); ok {
			p.Errors = append(p.Errors, detailer.ErrorDetail())
		} else if err != nil {
			p.Errors = append(p.Errors, &huma.ErrorDetail{Message: err.Error()})
		}
	}
	if status == http.StatusUnprocessableEntity && len(p.Errors) > 0 {
		p.Detail = "The request isn't as the API wants it: " + describe(p.Errors[0]) + ". All that is wrong stands in errors."
	}
	return p
}

func describe(e *huma.ErrorDetail) string {
	if e.Location == "" {
		return e.Message
	}
	return e.Message + " (" + e.Location + ")"
}

// problemOf gives every error of the layers below its answer. What nobody has an answer for is our fault: 503 when the
// database or the network is away, 500 for the rest.
func problemOf(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if refusal, ok := errors.AsType[*pipeline.Refusal](err); ok {
		return problem(http.StatusConflict, refusal.Code, refusal.Detail)
	}
	if e, ok := errors.AsType[*fiber.Error](err); ok {
		return frameworkProblem(e.Code, fiberDetail(e), nil)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return problem(http.StatusNotFound, "not_found", "There is nothing of yours with this id. Look at GET /tasks for what there is.")
	case errors.Is(err, store.ErrKeyReused):
		return problem(http.StatusUnprocessableEntity, "idempotency_key_reused",
			"This Idempotency-Key came with another request before. Send the same body again to get its task, or take a new key.")
	case away(err):
		return problem(http.StatusServiceUnavailable, "unavailable",
			"The service is away for a moment. Try again in some seconds, with the same Idempotency-Key.")
	}
	return problem(http.StatusInternalServerError, "internal", internalDetail)
}

// away reports whether the database, or what else is asked over the network, can't be reached now.
func away(err error) bool {
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) ||
		errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	refusal, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && passing[refusal.Number]
}

// passing are the database's refusals that say nothing about the request, by their numbers.
var passing = map[uint16]bool{
	1040: true, 1203: true, 1226: true, // connections used up
	1053: true, 1077: true, // being stopped
	1290: true, 1792: true, 1836: true, // read only: a replica, or in the middle of a failover
	1205: true, 1213: true, // rows locked for too long; a deadlock that came again and again
	1021: true, 1030: true, 1114: true, // disk full
}

func fiberDetail(e *fiber.Error) string {
	switch e.Code {
	case http.StatusNotFound:
		return "There is nothing at this address. /docs lists what there is."
	case http.StatusMethodNotAllowed:
		return "This address knows other methods; the Allow header names them."
	case http.StatusRequestEntityTooLarge:
		return tooLarge
	}
	return e.Message
}

const tooLarge = "The body is too large: JSON may have 1 MiB, images 15 MiB each and 20 in a request."

// problemCodes explains every code that this API answers, for the documentation. Those of stages and tasks that failed
// stand in the tasks themselves and are explained by their reason.
var problemCodes = map[string]string{
	"malformed_request":      "The body isn't JSON, or isn't there.",
	"validation_failed":      "A field has the wrong type or value, is missing, or isn't known. `errors` names each with its place.",
	"body_too_large":         tooLarge,
	"length_required":        "Images have to be sent with a Content-Length.",
	"unsupported_media_type": "Send application/json, or multipart/form-data for images.",
	"not_acceptable":         "Accept application/json.",
	"not_found":              "There is nothing at this address, or nothing of yours.",
	"method_not_allowed":     "The address knows other methods.",
	"request_timeout":        "The request came too slowly.",
	"headers_too_large":      "The request's headers are too large.",
	"internal":               "Something went wrong on our side.",
	"unavailable":            "The database or another part is away. Try again in some seconds with the same Idempotency-Key.",
	"blobs_unavailable":      "The store of files is away. Try again in some seconds.",
	"RATE_LIMITED":           "Too many requests of one kind. Retry-After says in how many seconds to come back.",
	"login_unavailable":      "Logins can't be counted for a moment, so nobody can log in. Try again in some seconds.",
	"shutting_down":          "This server is being stopped. Connect again.",
	"refused":                "The request can't be answered.",
	"MISSING_TOKEN":          "The request has no Bearer token.",
	"INVALID_TOKEN":          "The token isn't one of ours, or not an access token.",
	"TOKEN_EXPIRED":          "The token has expired: log in again.",
	"USER_NOT_FOUND":         "The token's user doesn't exist.",
	"USER_INACTIVE":          "The user was deactivated.",
	"ADMIN_REQUIRED":         "Only administrators may do this.",
	"source_required":        "Give exactly one of url, hit and place.",
	"not_a_place_url":        "The address can't be read as one of Naver Map.",
	"url_not_naver":          "Only addresses of naver.me and naver.com are taken.",
	"place_id_missing":       "The address shows no place.",
	"place_not_found":        "The place doesn't exist.",
	"place_ambiguous":        "The search hit may mean several places: give the link of the right one.",
	"url_refused":            "The address isn't a public http or https address.",
	"publish_twice":          "A platform is named twice.",
	"publish_too_late":       "A publication is planned for too far ahead.",
	"instagram_only_public":  "A reel can't be private or unlisted.",
	"idempotency_key_reused": "The key came with another request before.",
	"edit_not_for_stage":     "This edit belongs to another stage.",
	"edit_invalid":           "The edit doesn't fit the result that it is about.",
	"lyric_unreadable":       "The lyrics can't be read.",
	"lyric_refused":          "The lyrics break a rule of singing or language.",
	"report_refused":         "The report breaks a rule.",
	"result_not_ready":       "The stage has no result yet.",
	"image_refused":          "A file isn't a JPEG, PNG or WebP image of a usable size.",
	"event_id_unknown":       "Last-Event-ID isn't the number of an event of this task.",
	"not_held":               "The task isn't held.",
	"already_final":          "The task has ended.",
	"stage_not_failed":       "Only failed stages can be retried.",
	"stage_not_reached":      "A stage before has no result yet.",
	"stage_skipped":          "The task was submitted without anything to publish to.",
	"not_replayed":           "The dead letter's run was retried, superseded or cancelled meanwhile.",
	"no_run":                 "The message belongs to no run: it can only be dropped.",
	"selection_required":     "Say which dead letters: give at least one of stage, cause, task_id, since and before.",
	"time_unreadable":        "Give an instant as RFC 3339, or how long ago it was: 90m, 2h, 3d.",
}
