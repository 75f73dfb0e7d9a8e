// Copyright The kubectl underlay Authors
// SPDX-License-Identifier: Apache-2.0

package aws

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"syscall"

	"github.com/underlay-dev/kubectl-underlay/internal/cloud"
)

func unreachable(text string, at place) cloud.Error {
	remedy := fmt.Sprintf("check the network, HTTPS_PROXY, and that %s is an AWS region", at.region)
	if at.endpoint != "" {
		remedy = "check the network, and AWS_ENDPOINT_URL_EC2 and AWS_ENDPOINT_URL"
	}
	return cloud.Error{Reason: cloud.Unreachable, Message: fmt.Sprintf("no answer from %s: %s", at, text), Remedy: remedy}
}

// explainNetwork tells what went wrong on the way, and false when it was something else.
func explainNetwork(err error) (string, bool) {
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return "the name " + dns.Name + " does not exist", true
	}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return innermost(certificate) + " (AWS_CA_BUNDLE names further authorities)", true
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "connection refused", true
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return "the connection was closed", true
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "timed out", true
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "timed out", true
	}
	if request, ok := errors.AsType[*url.Error](err); ok {
		return innermost(request), true
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return innermost(op), true
	}
	return "", false
}
