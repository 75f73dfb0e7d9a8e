// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
)

// place is where calls go.
type place struct {
	region string
	// service is EC2, or what gives credentials for it.
	service string
	// endpoint is a URL set in place of AWS's own.
	endpoint string
}

func (p place) String() string {
	if p.endpoint != "" {
		return p.endpoint
	}
	return p.service + " in region " + p.region
}

// explain tells the user what a failed call means and what to do about it.
func explain(action string, err error, at place) *cloud.Error {
	out := explanation(action, err, at)
	out.Action, out.Cause = action, err
	return &out
}

func explanation(action string, err error, at place) cloud.Error {
	if isCancelled(err) {
		return cloud.Error{Reason: cloud.Other, Message: "cancelled"}
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok && isCode(api.ErrorCode()) {
		return explainCode(action, api, requestID(err), at)
	}
	// Ahead of the answer: the SDK makes up an empty one when there was none.
	if text, ok := explainNetwork(err); ok {
		return unreachable(text, at)
	}
	if answer, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return cloud.Error{
			Reason:  cloud.WrongEndpoint,
			Message: fmt.Sprintf("%s does not answer as EC2 does (HTTP status %d)", at, answer.HTTPStatusCode()),
			Remedy:  "check AWS_ENDPOINT_URL_EC2, AWS_ENDPOINT_URL, endpoint_url in the AWS config file, and any proxy",
		}
	}
	return cloud.Error{Reason: cloud.Other, Message: innermost(err), Remedy: "try again; if it stays, report it"}
}

// isCode tells EC2's codes from what the SDK makes up when an answer has none.
func isCode(code string) bool { return code != "" && code != "UnknownError" }

// explainCode tells EC2's error codes apart.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
func explainCode(action string, err smithy.APIError, requestID string, at place) cloud.Error {
	code := strings.TrimPrefix(err.ErrorCode(), "Client.")
	switch code {
	case "UnauthorizedOperation", "AccessDenied", "AccessDeniedException":
		return unauthorized(action, err.ErrorMessage())
	case "RequestExpired", "ExpiredToken", "ExpiredTokenException":
		return expired(code)
	case "AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch",
		"InvalidAccessKeyId", "IncompleteSignature", "InvalidSignatureException", "MissingAuthenticationToken":
		return cloud.Error{
			Reason:  cloud.InvalidCredentials,
			Message: fmt.Sprintf("AWS does not accept the credentials (%s)", code),
			Remedy: "see with `aws sts get-caller-identity` whose they are, then check AWS_PROFILE or the access key, " +
				"this machine's clock, and that region " + at.region + " is enabled for the account",
		}
	case "OptInRequired", "InvalidRegion":
		return cloud.Error{
			Reason:  cloud.WrongRegion,
			Message: fmt.Sprintf("region %s is not enabled for this AWS account (%s)", at.region, code),
			Remedy:  "give the region of the nodes by --region or AWS_REGION, or enable it in the account's settings",
		}
	}
	if _, throttled := retry.DefaultThrottleErrorCodes[code]; throttled {
		return cloud.Error{
			Reason:  cloud.Throttled,
			Message: fmt.Sprintf("AWS refuses further calls of this account in region %s for now (%s), after several attempts", at.region, code),
			Remedy:  "try again in a minute; everything that uses the account shares this limit, so look for another tool that calls EC2 often",
		}
	}
	message := fmt.Sprintf("%s: %s", code, oneLine(err.ErrorMessage()))
	if requestID != "" {
		message += fmt.Sprintf(" (request %s)", requestID)
	}
	remedy := "report it with this text"
	if err.ErrorFault() == smithy.FaultServer || serverCode(code) {
		remedy = "this is AWS's own failure: try again, and see https://health.aws.amazon.com"
	}
	return cloud.Error{Reason: cloud.Other, Message: message, Remedy: remedy}
}

func serverCode(code string) bool {
	return slices.Contains([]string{"InternalError", "InternalFailure", "Unavailable", "ServiceUnavailable"}, code)
}

// unauthorized takes who and why out of AWS's text, and leaves the encoded message out, which only an administrator
// can decode:
//
//	You are not authorized to perform this operation. User: arn:… is not authorized to perform: ec2:DescribeVpcs
//	because no identity-based policy allows the ec2:DescribeVpcs action
func unauthorized(action, text string) cloud.Error {
	who, why := "this AWS identity", ""
	if m := regexp.MustCompile(`User: (arn:\S+) is not authorized`).FindStringSubmatch(text); m != nil {
		who = m[1]
	}
	if m := regexp.MustCompile(`(?:because|with) (.+?)(?:\.? Encoded authorization|\.?$)`).FindStringSubmatch(oneLine(text)); m != nil {
		// Without the action, which stands at the front.
		why = " (" + regexp.MustCompile(`the \S+ action$`).ReplaceAllString(m[1], "it") + ")"
	}
	out := cloud.Error{
		Reason:  cloud.Unauthorized,
		Message: who + " lacks the permission" + why,
		Remedy:  "add this statement to its IAM policy: " + statement(action),
	}
	if !strings.HasPrefix(action, "ec2:") {
		out.Remedy = "allow " + action + " in its IAM policy and in the role's trust policy"
	}
	if strings.Contains(why, "explicit deny") {
		out.Message = who + " is forbidden to do this" + why
		out.Remedy = "ask whoever owns that policy to let it do " + strings.Join(Permissions(), ", ")
	}
	return out
}

func expired(code string) cloud.Error {
	return cloud.Error{
		Reason:  cloud.ExpiredCredentials,
		Message: fmt.Sprintf("the AWS credentials have expired (%s)", code),
		Remedy:  "renew them: `aws sso login` for an SSO profile, else fetch new temporary credentials; if they are new, set this machine's clock",
	}
}

// requestID is what AWS's support asks for.
func requestID(err error) string {
	if answer, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return answer.ServiceRequestID()
	}
	return ""
}

func isCancelled(err error) bool { return errors.Is(err, context.Canceled) }

// oneLine joins the lines of a text and keeps it short.
func oneLine(text string) string {
	const most = 400
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		text = text[:most] + "…"
	}
	return text
}

// innermost is the text of the cause itself, without what the SDK wraps around it, but with the name of a file.
func innermost(err error) string {
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		return oneLine(file.Error())
	}
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return oneLine(err.Error())
		}
		err = next
	}
}
