package fakeaws

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"
)

// The services, by the names that IAM has for them.
const (
	elbv2Service   = "elasticloadbalancing"
	ec2Service     = "ec2"
	taggingService = "tag"
	stsService     = "sts"
)

// versions tell the services of the query protocols apart, scopes are what a
// signature for them is made for.
var (
	versions = map[string]string{"2015-12-01": elbv2Service, "2016-11-15": ec2Service, "2011-06-15": stsService}
	scopes   = map[string]string{elbv2Service: "elasticloadbalancing", ec2Service: "ec2", taggingService: "tagging", stsService: "sts"}
	names    = map[string]string{
		elbv2Service: "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
		ec2Service:   "http://ec2.amazonaws.com/doc/2016-11-15/",
		stsService:   "https://sts.amazonaws.com/doc/2011-06-15/",
	}
)

const taggingTarget = "ResourceGroupsTaggingAPI_20170126."

// request is a call as it came in.
type request struct {
	service, action string
	form            url.Values
	body            []byte
	authorization   string
}

// ServeHTTP answers one call.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !pause(r.Context(), c.options.Latency) {
		panic(http.ErrAbortHandler)
	}
	req, err := read(r)
	if err != nil {
		c.respond(w, req, nil, err)
		return
	}
	call := Call{Time: c.now(), Service: req.service, Action: req.action, Parameters: req.summary()}
	c.mu.Lock()
	hook := c.onCall
	c.mu.Unlock()
	hook(call)

	out, cut, err := c.answer(call, req)
	if errors.Is(err, errSilent) {
		<-r.Context().Done()
	}
	if cut {
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}
	c.respond(w, req, out, err)
}

// answer decides what becomes of a call, and logs it. With cut, the caller never
// hears of it.
func (c *Cloud) answer(call Call, req request) (out any, cut bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kind, err := c.admit(call, req)
	switch {
	case kind == Timeout:
		err = errCut
	case kind == Silence:
		err = errSilent
	case err == nil:
		out, err = c.run(req)
	}
	cut = kind == Timeout || kind == Silence || kind == LostAnswer
	call.Fault = kind
	call.Cut = cut
	var refused *apiError
	if errors.As(err, &refused) {
		call.Code = refused.code
		call.Throttled = refused.code == dialects[req.service].throttled
	}
	c.calls = append(c.calls, call)
	return out, cut, err
}

var (
	errCut    = errors.New("the connection is cut")
	errSilent = errors.New("the connection stays open")
)

// admit says whether a call gets to do anything.
func (c *Cloud) admit(call Call, req request) (FaultKind, error) {
	d := dialects[req.service]
	name := req.service + ":" + req.action
	if err := c.authentic(req); err != nil {
		return "", err
	}
	kind, err := c.fault(call, d)
	if kind == Timeout || kind == Silence || err != nil {
		return kind, err
	}
	if !c.take(name, call.Time) {
		return "", d.throttling()
	}
	return kind, c.authorized(d, name)
}

// authentic looks whether the call is signed for this service and Region. What
// the signature is made of is not looked at.
//
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func (c *Cloud) authentic(req request) error {
	forbidden := func(code, format string, args ...any) error {
		return &apiError{status: http.StatusForbidden, code: code, message: fmt.Sprintf(format, args...)}
	}
	_, credential, ok := strings.Cut(req.authorization, "Credential=")
	if !ok {
		return forbidden("MissingAuthenticationToken", "Request is missing Authentication Token")
	}
	credential, _, _ = strings.Cut(credential, ",")
	scope := strings.Split(credential, "/") // key, day, Region, service, aws4_request
	switch {
	case len(scope) != 5 || !strings.Contains(req.authorization, "Signature="):
		return forbidden("IncompleteSignature", "Authorization header requires 'Credential' and 'Signature' parameters.")
	case scope[2] != c.options.Region:
		return forbidden("SignatureDoesNotMatch", "Credential should be scoped to a valid region, not '%s'.", scope[2])
	case scope[3] != scopes[req.service]:
		return forbidden("SignatureDoesNotMatch", "Credential should be scoped to correct service: '%s'.", scopes[req.service])
	}
	return nil
}

func (c *Cloud) authorized(d dialect, name string) error {
	if !matches(c.denied, name) {
		return nil
	}
	return c.notAuthorized(d, name)
}

// notAuthorized is how IAM refuses; EC2 has a sentence of its own before that.
func (c *Cloud) notAuthorized(d dialect, name string) error {
	message := fmt.Sprintf("User: %s is not authorized to perform: %s because no identity-based policy allows the %s action", c.principal(), name, name)
	if d.denied == "UnauthorizedOperation" {
		message = "You are not authorized to perform this operation. " + message
	}
	return &apiError{status: http.StatusForbidden, code: d.denied, message: message}
}

// run reads what the action is given, and performs it.
func (c *Cloud) run(req request) (any, error) {
	a, ok := actions[req.service][req.action]
	if !ok {
		return nil, refuse(dialects[req.service].unknownAction, "The action %s is not valid for this web service.", req.action)
	}
	in := a.input()
	if err := req.decode(in); err != nil {
		return nil, err
	}
	return a.run(c, in)
}

func (r request) decode(in any) error {
	if r.service == taggingService {
		return decodeJSON(r.body, in)
	}
	return protocols[r.service].decode(r.form, in)
}

// protocols are those that send parameters of a form.
var protocols = map[string]protocol{elbv2Service: query(elbv2Service), ec2Service: ec2Query(), stsService: query(stsService)}

func decodeJSON(body []byte, in any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(in); err != nil {
		return refuse("SerializationException", "%v", err)
	}
	return nil
}

func read(r *http.Request) (request, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return request{}, refuse("RequestAborted", "%v", err)
	}
	req := request{body: body, authorization: r.Header.Get("Authorization")}
	if action, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), taggingTarget); ok {
		req.service, req.action = taggingService, action
		return req, nil
	}
	if req.form, err = url.ParseQuery(string(body)); err != nil {
		return request{service: elbv2Service}, refuse("MalformedQueryString", "%v", err)
	}
	service, ok := versions[req.form.Get("Version")]
	if r.Method != http.MethodPost || !ok {
		return request{service: elbv2Service}, refuse("InvalidAction", "There is no action %q of version %q here.", req.form.Get("Action"), req.form.Get("Version"))
	}
	req.service, req.action = service, req.form.Get("Action")
	return req, nil
}

// summary is what was asked for, in one line.
func (r request) summary() string {
	if r.form == nil {
		return string(r.body)
	}
	var b strings.Builder
	for _, key := range sortedKeys(r.form) {
		if key != "Action" && key != "Version" {
			fmt.Fprintf(&b, "%s=%s ", key, r.form.Get(key))
		}
	}
	return strings.TrimSuffix(b.String(), " ")
}

func (c *Cloud) respond(w http.ResponseWriter, req request, out any, err error) {
	if err != nil {
		c.respondError(w, req, err)
		return
	}
	var body bytes.Buffer
	id := c.requestID()
	switch req.service {
	case taggingService:
		writeJSON(w, http.StatusOK, id, out)
		return
	case ec2Service:
		fmt.Fprintf(&body, `<%sResponse xmlns="%s"><requestId>%s</requestId>`, req.action, names[req.service], id)
		protocols[req.service].encode(&body, out)
	default:
		fmt.Fprintf(&body, `<%[1]sResponse xmlns="%[2]s"><%[1]sResult>`, req.action, names[req.service])
		protocols[req.service].encode(&body, out)
		fmt.Fprintf(&body, `</%sResult><ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata>`, req.action, id)
	}
	fmt.Fprintf(&body, `</%sResponse>`, req.action)
	writeXML(w, http.StatusOK, body.Bytes())
}

func (c *Cloud) respondError(w http.ResponseWriter, req request, err error) {
	var refused *apiError
	if !errors.As(err, &refused) {
		refused = &apiError{status: http.StatusInternalServerError, code: dialects[req.service].internal, message: err.Error()}
	}
	id := c.requestID()
	var body bytes.Buffer
	switch req.service {
	case taggingService:
		writeJSON(w, refused.status, id, map[string]string{"__type": refused.code, "message": refused.message})
		return
	case ec2Service:
		fmt.Fprintf(&body, `<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>%s</RequestID></Response>`, refused.code, escape(refused.message), id)
	default:
		kind := "Sender"
		if refused.status >= http.StatusInternalServerError {
			kind = "Receiver"
		}
		fmt.Fprintf(&body, `<ErrorResponse xmlns="%s"><Error><Type>%s</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>%s</RequestId></ErrorResponse>`, names[req.service], kind, refused.code, escape(refused.message), id)
	}
	writeXML(w, refused.status, body.Bytes())
}

func (c *Cloud) requestID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.number("request", 32)
	return n[:8] + "-" + n[8:12] + "-" + n[12:16] + "-" + n[16:20] + "-" + n[20:]
}

func writeXML(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a caller that is gone does not read it
}

func writeJSON(w http.ResponseWriter, status int, id string, v any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Requestid", id)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a caller that is gone does not read it
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a Buffer does not fail
	return b.String()
}

// pause waits, and says whether ctx is still there.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Transport reaches c without a network: for http.Client, and for tests in a
// bubble of testing/synctest.
func (c *Cloud) Transport() http.RoundTripper { return transport{c} }

type transport struct{ cloud *Cloud }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	if r.Body == nil {
		r = r.Clone(r.Context())
		r.Body = http.NoBody
	}
	defer func() { _ = r.Body.Close() }()
	defer func() {
		if p := recover(); p == http.ErrAbortHandler {
			resp, err = nil, context.Cause(r.Context())
			if err == nil {
				err = io.ErrUnexpectedEOF
			}
		} else if p != nil {
			panic(p)
		}
	}()
	recorder := httptest.NewRecorder()
	t.cloud.ServeHTTP(recorder, r)
	resp = recorder.Result()
	resp.Request = r
	return resp, nil
}
