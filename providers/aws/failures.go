package aws

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	smithy "github.com/aws/smithy-go"

	"github.com/berth-lb/berth/providers"
)

// errStale says that AWS does not hold what was believed: observe it again.
var errStale = errors.New("AWS holds something else than was known")

// codeOf returns the code of an error that AWS answered, else nothing.
func codeOf(err error) string {
	if answer, ok := errors.AsType[smithy.APIError](err); ok {
		return answer.ErrorCode()
	}
	return ""
}

// What AWS answers when one of the things is not there that are made here; a
// subnet, certificate or allocation that is not there is the user's to fix.
var notFound = []string{"LoadBalancerNotFound", "TargetGroupNotFound", "ListenerNotFound", "InvalidGroup.NotFound", "InvalidPermission.NotFound"}

func isNotFound(err error) bool { return slices.Contains(notFound, codeOf(err)) }

// What AWS answers when something is there already, and is not as asked for.
var duplicates = []string{"DuplicateLoadBalancerName", "DuplicateTargetGroupName", "DuplicateListener", "InvalidGroup.Duplicate", "InvalidPermission.Duplicate"}

func isDuplicate(err error) bool { return slices.Contains(duplicates, codeOf(err)) }

// What AWS answers when something is in use, which it takes a while to notice the
// end of.
var inUse = []string{"ResourceInUse", "DependencyViolation"}

func isInUse(err error) bool { return slices.Contains(inUse, codeOf(err)) }

// What AWS answers while it is busy with what was asked for before.
const reservationPending = "CapacityReservationPending"

// Pauses before a Service is tried again where nothing wakes it.
const (
	afterFailure  = 5 * time.Second
	afterThrottle = 10 * time.Second
	afterUse      = 30 * time.Second
	afterDenial   = time.Minute
	// afterMistake is for what only users can put right, at AWS.
	afterMistake = 5 * time.Minute
)

var reasonOf = map[string]string{
	"TooManyLoadBalancers":                     providers.ReasonQuotaExceeded,
	"TooManyTargetGroups":                      providers.ReasonQuotaExceeded,
	"TooManyListeners":                         providers.ReasonQuotaExceeded,
	"TooManyTargets":                           providers.ReasonQuotaExceeded,
	"TooManyRegistrationsForTargetId":          providers.ReasonQuotaExceeded,
	"TooManyCertificates":                      providers.ReasonQuotaExceeded,
	"TooManyActions":                           providers.ReasonQuotaExceeded,
	"TooManyUniqueTargetGroupsPerLoadBalancer": providers.ReasonQuotaExceeded,
	"TargetGroupAssociationLimit":              providers.ReasonQuotaExceeded,
	"CapacityUnitsLimitExceeded":               providers.ReasonQuotaExceeded,
	"CapacityDecreaseRequestLimitExceeded":     providers.ReasonQuotaExceeded,
	"InsufficientCapacity":                     providers.ReasonQuotaExceeded,
	"SecurityGroupLimitExceeded":               providers.ReasonQuotaExceeded,
	"SecurityGroupsPerInterfaceLimitExceeded":  providers.ReasonQuotaExceeded,
	"RulesPerSecurityGroupLimitExceeded":       providers.ReasonQuotaExceeded,

	"TooManyTags":                  providers.ReasonInvalidRequest,
	"DuplicateTagKeys":             providers.ReasonInvalidRequest,
	"ValidationError":              providers.ReasonInvalidRequest,
	"InvalidConfigurationRequest":  providers.ReasonInvalidRequest,
	"InvalidParameterValue":        providers.ReasonInvalidRequest,
	"InvalidParameterCombination":  providers.ReasonInvalidRequest,
	"InvalidScheme":                providers.ReasonInvalidRequest,
	"InvalidSubnet":                providers.ReasonInvalidRequest,
	"SubnetNotFound":               providers.ReasonInvalidRequest,
	"InvalidSecurityGroup":         providers.ReasonInvalidRequest,
	"InvalidTarget":                providers.ReasonInvalidRequest,
	"CertificateNotFound":          providers.ReasonInvalidRequest,
	"SSLPolicyNotFound":            providers.ReasonInvalidRequest,
	"ALPNPolicyNotSupported":       providers.ReasonInvalidRequest,
	"ALPNPolicyNotFound":           providers.ReasonInvalidRequest,
	"AllocationIdNotFound":         providers.ReasonInvalidRequest,
	"AvailabilityZoneNotSupported": providers.ReasonInvalidRequest,
	"IncompatibleProtocols":        providers.ReasonInvalidRequest,
	"UnsupportedProtocol":          providers.ReasonInvalidRequest,
	"OperationNotPermitted":        providers.ReasonInvalidRequest,
	"InvalidPrefixListId.NotFound": providers.ReasonInvalidRequest,
	"InvalidPrefixListID.NotFound": providers.ReasonInvalidRequest,
	"InvalidVpcID.NotFound":        providers.ReasonInvalidRequest,
}

var denials = []string{"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}

var badCredentials = []string{"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException",
	"AuthFailure", "MissingAuthenticationToken", "MissingAuthenticationTokenException", "SignatureDoesNotMatch", "InvalidSignatureException", "OptInRequired"}

// explain says of an error of AWS what the user can do about it. Its text does
// not change while the trouble stays, as the IDs of requests would. What is a
// Refusal already or the end of a context passes through.
func explain(doing string, err error) error {
	if _, told := errors.AsType[*providers.Refusal](err); told || err == nil {
		return err
	}
	code := codeOf(err)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, errStale), errors.Is(err, providers.ErrPending):
		return fmt.Errorf("%s: %w", doing, err)
	case slices.Contains(denials, code):
		return refusal(providers.ReasonBackendError, afterDenial, "AWS denies the action %s: allow it in the IAM policy of berth-controller", deniedAction(err))
	case slices.Contains(badCredentials, code):
		return refusal(providers.ReasonBackendError, afterDenial, "%s: AWS does not accept the credentials of berth-controller (%s): %s", doing, code, said(err))
	case isThrottle(err):
		return refusal(providers.ReasonThrottled, afterThrottle, "%s: the account makes too many calls (%s): this is tried again on its own", doing, code)
	case isInUse(err), code == reservationPending:
		return refusal(providers.ReasonBackendError, afterUse, "%s: AWS can't do that yet: %s (%s): this is tried again on its own", doing, said(err), code)
	case reasonOf[code] == providers.ReasonQuotaExceeded:
		return refusal(providers.ReasonQuotaExceeded, afterDenial, "%s: %s (%s): have the quota raised, or delete what is not needed", doing, said(err), code)
	case reasonOf[code] != "":
		return refusal(reasonOf[code], afterMistake, "%s: AWS refuses: %s (%s)", doing, said(err), code)
	case strings.Contains(err.Error(), "get credentials"):
		return refusal(providers.ReasonBackendError, afterDenial,
			"%s: berth-controller has no AWS credentials: annotate its ServiceAccount with a role (IRSA) or associate one with it (EKS Pod Identity): %s", doing, said(err))
	}
	return refusal(providers.ReasonBackendError, afterFailure, "%s: %s: this is tried again on its own", doing, said(err))
}

func refusal(reason string, after time.Duration, format string, args ...any) *providers.Refusal {
	return &providers.Refusal{Reason: reason, Message: fmt.Sprintf(format, args...), RetryAfter: after}
}

var throttles = retry.IsErrorThrottles(retry.DefaultThrottles)

func isThrottle(err error) bool { return throttles.IsErrorThrottle(err).Bool() }

// longestSaid bounds what is repeated of AWS's words, in bytes.
const longestSaid = 300

// said is AWS's own message or, where it did not answer, the root of the
// trouble.
func said(err error) string {
	text := ""
	if answer, ok := errors.AsType[smithy.APIError](err); ok {
		text = answer.ErrorMessage()
		if text == "" {
			text = answer.ErrorCode()
		}
	} else {
		text = rootOf(err).Error()
	}
	text = strings.Join(strings.Fields(text), " ")
	return strings.ToValidUTF8(text[:min(len(text), longestSaid)], "")
}

func rootOf(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// performed finds the action in AWS's words: a call may need more than the one
// that it is named after.
var performed = regexp.MustCompile(`perform:? ([A-Za-z0-9-]+:[A-Za-z]+)`)

var prefixOf = map[string]string{
	"Elastic Load Balancing v2":   "elasticloadbalancing",
	"EC2":                         "ec2",
	"Resource Groups Tagging API": "tag",
}

// deniedAction names the IAM action that is missing.
func deniedAction(err error) string {
	if found := performed.FindStringSubmatch(said(err)); found != nil {
		return found[1]
	}
	if call, ok := errors.AsType[*smithy.OperationError](err); ok {
		return prefixOf[call.ServiceID] + ":" + call.OperationName
	}
	return "that this needs"
}
