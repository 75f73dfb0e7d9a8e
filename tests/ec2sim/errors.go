// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package ec2sim

import (
	"fmt"
	"net/http"
	"strings"
)

// Error is what EC2 answers in place of a result. Codes are those of
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html. Texts are EC2's as seen in public reports
// of them; where none was found, a comment says so.
type Error struct {
	// Status of HTTP.
	Status int
	// Code such as InvalidParameterValue.
	Code string
	// Message in EC2's words.
	Message string

	// body is answered as it is, by something that is not EC2.
	body string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

func client(code, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Code: code, Message: fmt.Sprintf(format, args...)}
}

func invalidValue(format string, args ...any) *Error {
	return client("InvalidParameterValue", format, args...)
}

// RequestLimitExceeded is for Fault.Error: too many calls.
func RequestLimitExceeded() *Error {
	return &Error{Status: http.StatusServiceUnavailable, Code: "RequestLimitExceeded", Message: "Request limit exceeded."}
}

// InternalError is for Fault.Error: AWS's own failure.
func InternalError() *Error {
	return &Error{Status: http.StatusInternalServerError, Code: "InternalError", Message: "An internal error has occurred"}
}

// OptInRequired is for Fault.Error: the account may not use the service in this region.
func OptInRequired() *Error {
	return &Error{Status: http.StatusUnauthorized, Code: "OptInRequired",
		Message: "You are not subscribed to this service. Please go to http://aws.amazon.com to subscribe."}
}

func internal(err error) *Error {
	e := InternalError()
	e.Message += ": " + err.Error()
	return e
}

func malformedQuery(err error) *Error {
	return client("MalformedQueryString", "The query string contains a syntax error: %v", err)
}

func missingAction() *Error {
	return client("MissingAction", "The request must contain the parameter Action")
}

func invalidAction(name string) *Error {
	return client("InvalidAction", "The action %s is not valid for this web service.", name)
}

func noSuchVersion(version string) *Error {
	return client("NoSuchVersion", "The requested version (%s) of service AmazonEC2 does not exist", version)
}

// noCredentials is what EC2 says to a request without Authorization, in the words of its oldest way of signing.
func noCredentials() *Error {
	return client("MissingParameter", "The request must contain the parameter AWSAccessKeyId")
}

func authFailure() *Error {
	return &Error{Status: http.StatusUnauthorized, Code: "AuthFailure",
		Message: "AWS was not able to validate the provided access credentials"}
}

func requestExpired() *Error { return client("RequestExpired", "Request has expired.") }

func dryRunOperation() *Error {
	return &Error{Status: http.StatusPreconditionFailed, Code: "DryRunOperation",
		Message: "Request would have succeeded, but DryRun flag is set."}
}

func unauthorizedOperation(act action, interfaceID string) *Error {
	resource, encoded := "", ""
	if act.writes {
		resource = " on resource: arn:aws:ec2:*:" + accountID + ":network-interface/" + interfaceID
		encoded = ". Encoded authorization failure message: " + strings.Repeat("3xAmpLe_", 40)
	}
	return &Error{Status: http.StatusForbidden, Code: "UnauthorizedOperation", Message: fmt.Sprintf(
		"You are not authorized to perform this operation. User: arn:aws:iam::%s:user/ec2sim is not authorized to perform: "+
			"ec2:%s%s because no identity-based policy allows the ec2:%s action%s", accountID, act.name, resource, act.name, encoded)}
}

func missingParameter(name string) *Error {
	return client("MissingParameter", "The request must contain the parameter %s", name)
}

func unknownParameter(name string) *Error {
	return client("UnknownParameter", "The parameter %s is not recognized", name)
}

func invalidFilter(name string) *Error { return invalidValue("The filter '%s' is invalid", name) }

func filterLimitExceeded() *Error {
	return client("FilterLimitExceeded", "The maximum number of filter values specified on a single call is %d", maxFilterValues)
}

func interfaceNotFound(id string) *Error {
	return client("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '%s' does not exist", id)
}

func interfaceMalformed(id string) *Error {
	return client("InvalidNetworkInterfaceID.Malformed", "Invalid id: %q (expecting \"eni-...\")", id)
}

func addressLimitExceeded() *Error {
	return client("PrivateIpAddressLimitExceeded", "Number of private addresses will exceed limit.")
}

func noFreeAddresses() *Error {
	return client("InsufficientFreeAddressesInSubnet", "The specified subnet does not have enough free addresses to satisfy the request.")
}

// noFreeBlocks: enough addresses are free, but not 16 aligned ones in a row.
func noFreeBlocks() *Error {
	return client("InsufficientCidrBlocks", "The specified subnet does not have enough free cidr blocks to satisfy the request.")
}

// noRoomForPrefixes: the subnet has fewer addresses left than the prefixes need (AWS support, as quoted in
// https://github.com/cilium/cilium/pull/31016).
func noRoomForPrefixes() *Error {
	return invalidValue("There aren't sufficient free Ipv4 addresses or prefixes")
}

// notNitro is in words of ours: no report of EC2's was found.
func notNitro(instanceType string) *Error {
	return client("UnsupportedOperation", "Prefixes are not supported on instance type %s: it is not built on the Nitro System.", instanceType)
}

// noIPv6Support is in words of ours: no report of EC2's was found.
func noIPv6Support(instanceType string) *Error {
	return client("UnsupportedOperation", "IPv6 is not supported on instance type %s.", instanceType)
}
