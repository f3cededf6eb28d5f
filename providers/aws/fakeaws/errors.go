package fakeaws

import (
	"fmt"
	"net/http"
)

// apiError is what AWS refuses a call with.
type apiError struct {
	status  int
	code    string
	message string
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

// refuse returns a refusal of status 400, by far the most frequent one.
func refuse(code, format string, args ...any) error {
	return &apiError{status: http.StatusBadRequest, code: code, message: fmt.Sprintf(format, args...)}
}

// invalid is what Elastic Load Balancing calls most of what it does not like.
func invalid(format string, args ...any) error { return refuse("ValidationError", format, args...) }

// misconfigured is what fits the model of the API and not the rest of the
// configuration.
func misconfigured(format string, args ...any) error {
	return refuse("InvalidConfigurationRequest", format, args...)
}

// badValue is invalid, of EC2.
func badValue(format string, args ...any) error {
	return refuse("InvalidParameterValue", format, args...)
}

// dialect is how a service words the refusals that all services have.
type dialect struct {
	unknownAction, unknown, missing, malformed, throttled, internal, denied string
	throttledStatus                                                         int
}

var dialects = map[string]dialect{
	elbv2Service: {
		unknownAction: "InvalidAction", unknown: "ValidationError", missing: "ValidationError", malformed: "ValidationError",
		throttled: "Throttling", throttledStatus: http.StatusBadRequest, internal: "InternalFailure", denied: "AccessDenied",
	},
	ec2Service: {
		unknownAction: "InvalidAction", unknown: "UnknownParameter", missing: "MissingParameter", malformed: "InvalidParameterValue",
		throttled: "RequestLimitExceeded", throttledStatus: http.StatusServiceUnavailable, internal: "InternalError", denied: "UnauthorizedOperation",
	},
	taggingService: {
		unknownAction: "UnknownOperationException", unknown: "SerializationException", missing: "InvalidParameterException", malformed: "SerializationException",
		throttled: "ThrottledException", throttledStatus: http.StatusBadRequest, internal: "InternalServiceException", denied: "AccessDeniedException",
	},
	stsService: {
		unknownAction: "InvalidAction", unknown: "ValidationError", missing: "ValidationError", malformed: "ValidationError",
		throttled: "Throttling", throttledStatus: http.StatusBadRequest, internal: "InternalFailure", denied: "AccessDenied",
	},
}

func (d dialect) throttling() error {
	message := "Rate exceeded"
	if d.throttled == "RequestLimitExceeded" {
		message = "Request limit exceeded."
	}
	return &apiError{status: d.throttledStatus, code: d.throttled, message: message}
}

func (d dialect) failure() error {
	return &apiError{status: http.StatusInternalServerError, code: d.internal, message: "An internal error has occurred. Please try your query again at a later time."}
}
